"""`cumulo down`: stop clouds that run on this machine."""

import os
import signal
import time

import click

from cumulo.cli.running import Running, runtime_folder

STOP_SECONDS_MAX = 30.0


@click.command("down")
@click.option("--port", type=int, help="Only the cloud on this port.")
def command(port: int | None) -> None:
    """Stop the cloud (every one of this user, unless --port names one)."""
    found = [running for running in Running.list(runtime_folder()) if port is None or running.port == port]
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
