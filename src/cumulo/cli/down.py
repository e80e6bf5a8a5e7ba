"""`cumulo down`: stop clouds that run on this machine."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import click

from cumulo.cli.cloud import Failed, find_endpoint, is_local
from cumulo.cli.running import Running, runtime_folder

STOP_SECONDS_MAX = 30.0


@click.command("down")
@click.option("--port", type=int, help="The cloud on this port.")
@click.option("--all", "everyone", is_flag=True, help="Every cloud of this user.")
def command(port: int | None, everyone: bool) -> None:
    """Stop the cloud: the one that --port, CUMULO_ENDPOINT or AWS_ENDPOINT_URL names, or the only one that runs."""
    found = chosen(Running.list(runtime_folder()), port, os.environ, everyone=everyone)
    if not found:
        click.echo("no cloud is running")
        return
    for running in found:
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    for running in found:
        while _alive(running.pid):
            if time.monotonic() > deadline:
                raise click.ClickException(f"{running.endpoint} (pid {running.pid}) does not stop")
            time.sleep(0.02)
        click.echo(f"stopped {running.endpoint}")


def chosen(
    running: Sequence[Running], port: int | None, environ: Mapping[str, str], *, everyone: bool
) -> list[Running]:
    """Those that are meant.  Failed when it is not clear: others may be working with the others."""
    named = environ.get("CUMULO_ENDPOINT") or environ.get("AWS_ENDPOINT_URL")
    if everyone or not running:
        return list(running)
    if port is None and named:
        endpoint = find_endpoint(None, environ)
        port = urlsplit(endpoint).port
        if not is_local(endpoint) or all(one.port != port for one in running):
            raise Failed(
                f"No cloud at {endpoint} runs on this machine; --port names another, --all stops all."
            )
    if port is None and len(running) > 1:
        places = ", ".join(one.endpoint for one in running)
        raise Failed(f"Several clouds run ({places}): name one with --port, or stop them with --all.")
    return [one for one in running if port is None or one.port == port]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not _zombie(pid)


def _zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[-1].split()[0] == "Z"
    except OSError:
        return True
