"""Runs a cloud in this process until SIGTERM or Ctrl-C: what `cumulo up` does when it stays."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable

from cumulo.app import Cloud
from cumulo.base.log import Log
from cumulo.sandbox.probe import Report
from cumulo.settings import Settings
from cumulo.state.store import StoreError

CLOSING_SECONDS_MAX = 5.0
_log = Log("app")


def serve(settings: Settings, on_ready: Callable[[Cloud], None], report: Callable[[], Report]) -> int:
    """Run a cloud until SIGTERM or Ctrl-C; the process's exit code.  `report` says what this machine allows."""
    import uvloop

    code: int = uvloop.run(_serve(settings, on_ready, report))
    return code


async def _serve(settings: Settings, on_ready: Callable[[Cloud], None], report: Callable[[], Report]) -> int:
    import signal

    from cumulo.base.log import set_up

    set_up(settings.log_level)
    cloud = Cloud(settings, report)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, cloud.stopping.set)
    try:
        await cloud.start()
    except BaseException:
        cloud.abandon()
        raise
    # What is there now stays; the collector need not walk it again and again, which takes it tens of milliseconds.
    gc.freeze()
    gc.enable()
    on_ready(cloud)
    await cloud.stopping.wait()
    try:
        await cloud.stop()
    except (StoreError, OSError) as error:
        _log.error("not everything could be kept; what was acknowledged is in the journal", error=str(error))
        return _leave(1)
    return _leave(1 if cloud.loops.died else 0)


def _leave(code: int) -> int:
    """The exit code; and everything is stopped: the process ends soon, even where the closing of the loop hangs.

    uvloop waits for every handle of its own, and was seen to wait for one for ever.
    """
    end = threading.Timer(CLOSING_SECONDS_MAX, os._exit, (code,))
    end.daemon = True
    end.start()
    return code
