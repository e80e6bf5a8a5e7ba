"""`cumulo up`: start a cloud, in the foreground or detached."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cumulo import __version__
from cumulo.base.caller import DEFAULT_ACCOUNT, DEFAULT_REGION
from cumulo.cli.running import Running, runtime_folder
from cumulo.settings import Settings

if TYPE_CHECKING:
    from cumulo.app import Cloud

START_SECONDS_MAX = 60.0
PATH = click.Path(path_type=Path)


def default_data() -> Path:
    """Where the cloud keeps everything unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "cumulo"


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, settings in reversed(list(OPTIONS.items())):
        variable = f"CUMULO_{name.upper()}"
        flag = f"--{name.replace('_', '-')}"
        function = click.option(flag, name, envvar=variable, show_default=True, **settings)(function)
    return function


def _choice(*words: str) -> dict[str, Any]:
    return {"type": click.Choice(words), "default": words[0]}


def _endpoints(_context: click.Context, _option: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """SERVICE=URL pairs as a mapping."""
    found = dict(pair.partition("=")[::2] for pair in pairs)
    for service, url in found.items():
        if not service or not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"{service}={url} is not SERVICE=http://host:port")
    return found


OPTIONS: Mapping[str, dict[str, Any]] = {
    "host": {"default": "127.0.0.1", "help": "The address to listen on."},
    "port": {"default": 4566, "help": "The port to listen on; 0 takes a free one."},
    "data": {"type": PATH, "help": "The folder that keeps everything.  Default: ~/.local/share/cumulo"},
    "ephemeral": {"is_flag": True, "help": "Keep nothing."},
    "engine": _choice("auto", "local", "docker", "none") | {"help": "What runs containers."},
    "sandbox": _choice("auto", "namespaces", "plain") | {"help": "What runs functions."},
    "mode": _choice("local", "shared") | {"help": "local: any key is accepted; shared: signatures are verified."},
    "account": {"default": DEFAULT_ACCOUNT, "help": "The account of keys that name none."},
    "region": {"default": DEFAULT_REGION, "help": "The region of requests that name none."},
    "concurrency": {"default": 1000, "help": "Concurrent executions of an account in a region."},
    "idle_seconds": {"default": 600.0, "help": "How long an idle execution environment is kept."},
    "prices": {"type": PATH, "help": "A price file, or a folder of them, instead of the one that is shipped."},
    "companions": {"multiple": True, "callback": _endpoints, "metavar": "SERVICE=URL",
                   "help": "A real endpoint for a service that is not ours, instead of moto."},
    "log_level": _choice("info", "debug", "warning", "error") | {"help": "Of the server's own log (on stderr)."},
}  # fmt: skip


@click.command("up")
@_options
@click.option("--detach", "-d", is_flag=True, help="Return when it is ready; `cumulo down` stops it.")
def command(*, detach: bool, **options: Any) -> None:
    """Start a cloud.  Prints `Ready.` when it serves calls; stops on Ctrl-C or SIGTERM."""
    settings = Settings(**options)
    if settings.engine in ("local", "docker"):
        raise click.UsageError(f"the {settings.engine} engine is not part of this version; use --engine none")
    if settings.data is None and not settings.ephemeral:
        settings = Settings(**{**options, "data": default_data()})
    if detach:
        _detach(settings)
        return
    from cumulo.app import serve
    from cumulo.base.lock import Locked
    from cumulo.sandbox.opening import InstanceRuns
    from cumulo.state.store import StoreError

    announced: list[Running] = []
    try:
        code = serve(settings, lambda cloud: announced.append(announce(cloud)))
    except (Locked, InstanceRuns, StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        for running in announced:
            running.remove(runtime_folder())
    sys.exit(code)


def announce(cloud: "Cloud") -> Running:
    """Tell the user (and the tools that wait for `Ready.`) where the cloud is."""
    running = Running(
        port=cloud.port,
        pid=os.getpid(),
        endpoint=cloud.endpoint,
        data=str(cloud.data),
        started_at=time.time(),  # noqa: TID251 - for people to read
        version=__version__,
    )
    running.write(runtime_folder())
    for note in cloud.notes:
        print(f"note: {note}")
    print(f"Cumulo is at {cloud.endpoint}")
    print("Ready.", flush=True)
    return running


def _detach(settings: Settings) -> None:
    """Start the same command as a session of its own and wait for its Ready line."""
    argv = [arg for arg in sys.argv[1:] if arg not in ("--detach", "-d")]
    log = Path(settings.data or "/tmp") / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        mark = sink.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "cumulo.cli.main", *argv],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS_MAX
    while process.poll() is None and time.monotonic() < deadline:
        mine = [running for running in Running.list(runtime_folder()) if running.pid == process.pid]
        if mine:
            click.echo(f"Cumulo is at {mine[0].endpoint} (pid {process.pid}, log {log})\nReady.")
            return
        time.sleep(0.02)
    with log.open("rb") as source:
        source.seek(mark)
        click.echo(source.read().decode(errors="replace"), err=True)
    raise click.ClickException("the cloud did not start")
