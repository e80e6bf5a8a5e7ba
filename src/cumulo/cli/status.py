"""`cumulo status`: which clouds run, and what is in them."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from cumulo.cli.cloud import TOKEN_HEADER
from cumulo.cli.running import Running, runtime_folder


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(*, as_json: bool) -> None:
    """Show the clouds that run on this machine.  Exit code 1 when there is none."""
    rows = [_describe(running) for running in Running.list(runtime_folder())]
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
    elif not rows:
        click.echo("no cloud is running (cumulo up starts one)")
    else:
        for row in rows:
            state = "ready" if row["ready"] else "not answering"
            click.echo(f"{row['endpoint']}  {state}  pid {row['pid']}  data {row['data']}")
            for name, value in row["gauges"].items():
                click.echo(f"  {name:<28} {value:g}")
            for note in row["notes"]:
                click.echo(f"  note: {note}")
    sys.exit(0 if rows else 1)


def _describe(running: Running) -> dict[str, Any]:
    gauges: dict[str, float] = {}
    notes: list[str] = []
    ready = False
    token = _token(running)
    try:
        ready = "true" in _get(running.endpoint + "/_cumulo/ready", token)
        for line in _get(running.endpoint + "/metrics", token).splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("cumulo_") and "{" not in name and not name.endswith("_created"):
                gauges[name.removeprefix("cumulo_")] = float(value)
        notes = msgspec.json.decode(_get(running.endpoint + "/_cumulo/notes", token))["notes"]
    except OSError:
        ready = False
    return {
        "endpoint": running.endpoint,
        "pid": running.pid,
        "data": str(running.data),
        "ready": ready,
        "gauges": gauges,
        "notes": notes,
    }


def _token(running: Running) -> str:
    """What the pages of a shared cloud ask for; empty when we may not read it."""
    try:
        return (Path(running.data) / "admin-token").read_text().strip()
    except OSError:
        return ""


def _get(url: str, token: str) -> str:
    from urllib.request import Request, urlopen

    asked = Request(url, headers={TOKEN_HEADER: token} if token else {})  # noqa: S310 - our own endpoint
    with urlopen(asked, timeout=5) as answer:  # noqa: S310
        text: str = answer.read().decode()
        return text
