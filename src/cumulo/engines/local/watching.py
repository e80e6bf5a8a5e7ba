"""Waiting for the end of a run: its process, and then its monitor, which has written the exit code by then."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine

from cumulo.base.tasks import cancel_all
from cumulo.engines.local import processes
from cumulo.engines.local.places import RunRecord

_MONITOR_SECONDS_MAX = 15.0


async def watch(run: RunRecord, kill: Callable[[], Awaitable[None]]) -> None:
    """Return when process and monitor are gone.

    kill  ends every process of the run: a container whose monitor was killed is ended, for nobody reads what it
          prints any more and nobody will know its exit code
    """
    process = processes.open_process(run.pid, run.born)
    monitor = processes.open_process(run.monitor, run.monitor_born)
    try:
        if process is not None:
            if monitor is not None:
                await _first([processes.ended(process), processes.ended(monitor)])
            if processes.born(run.pid) == run.born:
                await kill()
                await processes.ended(process)
        if monitor is not None:
            try:
                await asyncio.wait_for(processes.ended(monitor), _MONITOR_SECONDS_MAX)
            except TimeoutError:  # it hangs: somebody holds the output open, or has stopped it
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(monitor, signal.SIGKILL)
                await processes.ended(monitor)
    finally:
        for fd in (process, monitor):
            if fd is not None:
                os.close(fd)


async def _first(waits: list[Coroutine[None, None, None]]) -> None:
    """Wait for one of them, and let the others be."""
    ends = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_all(ends)
