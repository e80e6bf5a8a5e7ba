"""`cumulo batch top`: queues, shares, environments and instances, once or as they change."""

import contextlib
import json
import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import click

from cumulo.cli.cloud import (
    Failed,
    Unreachable,
    client,
    endpoint_option,
    fetch,
    find_endpoint,
    find_token,
    on_terminal,
    talking,
)

WIDE: Final = 140  # columns, where nobody says how many there are
Look = Callable[[], Mapping[str, Any]]


@click.command("top")
@click.option("--once", is_flag=True, help="Print it once. So it is where there is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, once.")
@click.option("--every", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True, metavar="SECONDS",
              help="How often to look.")  # fmt: skip
@click.option("--region", default="", help="Only this region's.")
@click.option("--account", default="", help="Only this account's.")
@endpoint_option
def command(once: bool, as_json: bool, every: float, region: str, account: str, endpoint: str | None) -> None:
    """Show queues, shares, environments and instances as they are now; `q` ends it.

    Jobs are children of arrays, too.  A cloud that is not Cumulo's is asked through AWS's operations, with your keys and for
    your region: they do not tell of shares, nor of how much went through in the last minute.
    """
    cloud = find_endpoint(endpoint)
    look = looker(cloud, account, region)
    with talking(cloud):
        if as_json:
            click.echo(json.dumps(look(), indent=2))
        elif once or not sys.stdout.isatty():
            _print(look())
        else:
            _live(look, every)


def looker(cloud: str, account: str, region: str) -> Look:
    """Who reads what is to be shown: the cloud's own page, or AWS's operations where there is none."""
    from urllib.parse import urlencode

    path = "/_cumulo/batch?" + urlencode({"account": account, "region": region})
    token = ""
    with contextlib.suppress(Failed):  # it is needed in shared mode only
        token = find_token(cloud)

    def page() -> Mapping[str, Any]:
        found = json.loads(fetch(cloud, path, token))
        if not isinstance(found, dict) or "queues" not in found:
            raise ValueError("no such page")
        return found

    def look() -> Mapping[str, Any]:
        try:
            return page()
        except Unreachable:
            raise
        except (Failed, ValueError):
            return _by_operations(cloud, account, region)

    return look


def _by_operations(cloud: str, account: str, region: str) -> Mapping[str, Any]:
    from cumulo.cli.batch_reading import read

    seen = read(client("batch", cloud), client("ecs", cloud))
    return {
        kind: [one for one in rows if account in ("", one["account"]) and region in ("", one["region"])]
        for kind, rows in seen.items()
    }


def _print(seen: Mapping[str, Any]) -> None:
    from rich.console import Console

    from cumulo.cli.batch_tables import tables

    wide = int(os.environ.get("COLUMNS") or WIDE) if not sys.stdout.isatty() else None
    console = Console(no_color=not on_terminal(), width=wide)
    console.print(tables(seen, columns=console.width))


def _live(look: Look, every: float) -> None:
    from rich.console import Console
    from rich.live import Live

    from cumulo.cli.batch_tables import tables

    console = Console(no_color=not on_terminal())
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(tables(look(), columns=console.width), refresh=True)
        while pressed(every) != "q":
            live.update(tables(look(), columns=console.width), refresh=True)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key; empty when none came.  The terminal is as before afterwards."""
    if not sys.stdin.isatty():
        import time

        def rest(seconds: float) -> str:
            time.sleep(seconds)
            return ""

        with contextlib.suppress(KeyboardInterrupt):
            yield rest
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield _key
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _key(seconds: float) -> str:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return os.read(sys.stdin.fileno(), 1).decode(errors="replace") if ready else ""
