"""`cumulo up`: start a cloud, in the foreground or detached."""

import errno
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cumulo import __version__
from cumulo.base.caller import DEFAULT_ACCOUNT, DEFAULT_REGION
from cumulo.cli.running import Running, runtime_folder
from cumulo.settings import Settings

if TYPE_CHECKING:
    from cumulo.app import Cloud
    from cumulo.sandbox.probe import Report

START_SECONDS_MAX = 60.0
PATH = click.Path(path_type=Path)


def default_data() -> Path:
    """Where the cloud keeps everything unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "cumulo"


def _endpoints(_context: click.Context, _option: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """Read SERVICE=URL, as often as it was given."""
    found: dict[str, str] = {}
    for text in given:
        service, separator, url = text.partition("=")
        if not (service and separator and url.startswith(("http://", "https://"))):
            raise click.BadParameter(f"{text!r} is not of the form s3=http://127.0.0.1:9000")
        found[service] = url
    return found


def _runtime_images(
    _context: click.Context, _option: click.Parameter, given: Sequence[str]
) -> dict[str, str]:
    """Read RUNTIME=IMAGE, as often as it was given."""
    from cumulo.sandbox.runtimes import catalog

    found: dict[str, str] = {}
    for text in given:
        runtime, separator, image = text.partition("=")
        if not (runtime and separator and image):
            raise click.BadParameter(f"{text!r} is not of the form ruby3.3=registry.example/lambda-ruby:3.3")
        if catalog.find(runtime) is None:
            raise click.BadParameter(f"{runtime!r} is not a runtime of AWS Lambda")
        found[runtime] = image
    return found


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, settings in reversed(list(OPTIONS.items())):
        flag = f"--{name.replace('_', '-')}"
        function = click.option(flag, name, show_default=True, **settings)(function)
    return function


def _choice(*words: str) -> dict[str, Any]:
    return {"type": click.Choice(words), "default": words[0]}


OPTIONS: Mapping[str, dict[str, Any]] = {
    "host": {"default": "127.0.0.1", "help": "The address to listen on."},
    "port": {"default": 4566, "help": "The port to listen on; 0 takes a free one."},
    "tls_port": {
        "type": click.IntRange(0, 65535),
        "help": "The port for TLS; 0 takes a free one.  Default: 4567, opened when a custom domain name is made.",
    },
    "data": {"type": PATH, "help": "The folder that keeps everything.  Default: ~/.local/share/cumulo."},
    "ephemeral": {"is_flag": True, "help": "Keep nothing."},
    "engine": _choice("auto", "local", "docker", "none") | {"help": "What runs containers."},
    "sandbox": _choice("auto", "namespaces", "plain") | {"help": "What runs functions."},
    "mode": _choice("local", "shared") | {"help": "local: any key is accepted; shared: signatures are verified."},
    "account": {"default": DEFAULT_ACCOUNT, "help": "The account of keys that name none."},
    "region": {"default": DEFAULT_REGION, "help": "The region of requests that name none."},
    "overcommit": {
        "default": 1.0,
        "type": click.FloatRange(0.01, 1000),
        "help": "How many times this machine's processors and memory may be promised to tasks and EC2 instances.",
    },
    "pace": {
        "default": 1.0,
        "type": click.FloatRange(0.1, 1000),
        "help": "How many times faster than AWS's the waiting times of alarms, scaling and Spot warnings pass.",
    },
    "concurrency": {"default": 1000, "help": "Concurrent executions of an account in a region."},
    "idle_seconds": {"default": 600.0, "help": "How long an idle execution environment is kept."},
    "prices": {"type": PATH, "help": "A price file, or a folder of them, instead of the one that is shipped."},
    "companions": {"multiple": True, "callback": _endpoints, "metavar": "SERVICE=URL",
                   "help": "A real endpoint for a service that is not ours, instead of moto."},
    "runtime_images": {"multiple": True, "callback": _runtime_images, "metavar": "RUNTIME=IMAGE",
                       "help": "The image that runs functions of a runtime which this machine lacks."},
    "log_level": _choice("info", "debug", "warning", "error") | {"help": "Of the server's own log (on stderr)."},
}  # fmt: skip


@click.command("up", context_settings={"auto_envvar_prefix": "CUMULO"})
@_options
@click.option("--detach", "-d", is_flag=True, help="Return when it is ready; `cumulo down` stops it.")
def command(*, detach: bool, **options: Any) -> None:
    """Start a cloud.  Prints `Ready.` when it serves calls; stops on Ctrl-C or SIGTERM.

    Each option may also be given as a variable: --data is CUMULO_DATA, and so on.
    """
    settings = Settings(**options)
    if settings.data is None and not settings.ephemeral:
        settings = Settings(**{**options, "data": default_data()})
    if detach:
        _detach(settings)
        return
    gc.disable()  # until it is served: nothing of what is imported and built now is garbage
    report = _begin_to_look()
    from cumulo.base.lock import Locked
    from cumulo.cli.serving import serve
    from cumulo.engines.engine import EngineError
    from cumulo.sandbox.opening import InstanceRuns
    from cumulo.state.store import StoreError

    announced: list[Running] = []
    try:
        code = serve(settings, lambda cloud: announced.append(announce(cloud)), report)
    except Locked as error:
        raise click.ClickException(f"{error}: stop it with `cumulo down`, or name another --data") from error
    except (InstanceRuns, StoreError, EngineError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(_why_not(error, settings)) from error
    finally:
        for running in announced:
            running.remove(runtime_folder())
    sys.exit(code)


def _begin_to_look() -> "Callable[[], Report]":
    """Look at the machine in a thread; waits for the report when called.

    Looking is waiting for other programs, and importing all of the server takes as long.
    """
    from concurrent.futures import ThreadPoolExecutor

    from cumulo.sandbox.probe import probe

    thread = ThreadPoolExecutor(1)
    looking = thread.submit(probe)
    thread.shutdown(wait=False)
    return looking.result


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
    if cloud.secure_endpoint:
        print(f"TLS is at {cloud.secure_endpoint}")
    print("Ready.", flush=True)
    return running


def _why_not(error: OSError, settings: Settings) -> str:
    """What the user is told when the cloud cannot start."""
    if error.errno == errno.EADDRINUSE:
        return f"port {settings.port} of {settings.host} is taken: name another --port (0 takes a free one)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{settings.host} is no address of this machine: name another --host"
    if error.errno == errno.EACCES and settings.port and settings.port < 1024:
        return f"this user may not listen on port {settings.port}: name a --port above 1023"
    return str(error)


def _log_of(settings: Settings) -> Path:
    """Where a detached server writes: beside its data, or where only this user may write."""
    if settings.data is not None and not settings.ephemeral:
        settings.data.mkdir(parents=True, exist_ok=True)
        return settings.data / "server.log"
    folder = runtime_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "server.log"


def _detach(settings: Settings) -> None:
    """Start the same command as a session of its own and wait for its Ready line."""
    argv = [arg for arg in sys.argv[1:] if arg not in ("--detach", "-d")]
    log = _log_of(settings)
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
        told = source.read().decode(errors="replace").strip()
    if process.poll() is None:
        process.kill()
        told += f"\nError: the cloud was not ready within {START_SECONDS_MAX:.0f} s"
    click.echo(told or f"Error: the cloud did not start; see {log}", err=True)
    sys.exit(process.wait() or 1)
