"""The warden's event loop: descriptors, timers, and helpers forked for work that would hold it up."""

import heapq
import os
import select
import time
from typing import TYPE_CHECKING

from cumulo.sandbox import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

HELPERS_MAX = 4


class Loop:
    """Calls back when a descriptor is readable, a time has come or a helper is done."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._helpers = 0
        self._work: list[tuple[Callable[[], None], Callable[[str], None]]] = []
        self._running = True

    def watch(self, fd: int, callback: "Callable[[], None]") -> None:
        """Call back whenever `fd` is readable or hung up."""
        self._readers[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching; call it before closing."""
        del self._readers[fd]
        self._epoll.unregister(fd)

    def later(self, seconds: float, callback: "Callable[[], None]") -> None:
        """Call back after a while."""
        self._serial += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._serial, callback))

    def help_with(self, work: "Callable[[], None]", done: "Callable[[str], None]") -> None:
        """Do `work` in a forked process, a few at a time; `done` gets what went wrong, or nothing."""
        self._work.append((work, done))
        self._start_helpers()

    def run(self) -> None:
        """Run until `stop`."""
        while self._running:
            self.turn(None)

    def turn(self, wait_seconds: float | None) -> None:
        """Wait for events at most so long and handle them."""
        now = time.monotonic()
        if self._timers:
            until = max(0.0, self._timers[0][0] - now)
            wait_seconds = until if wait_seconds is None else min(until, wait_seconds)
        for fd, _ in self._epoll.poll(wait_seconds):
            callback = self._readers.get(fd)
            if callback is not None:
                callback()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def stop(self) -> None:
        """End `run` after this turn."""
        self._running = False

    def _start_helpers(self) -> None:
        while self._work and self._helpers < HELPERS_MAX:
            work, done = self._work.pop(0)
            self._fork(work, done)

    def _fork(self, work: "Callable[[], None]", done: "Callable[[str], None]") -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            _help(work, writing)
        os.close(writing)
        self._helpers += 1

        def ended() -> None:
            said = os.read(reading, 4096)
            self.forget(reading)
            os.close(reading)
            _, status = os.waitpid(pid, 0)
            self._helpers -= 1
            self._start_helpers()
            done(said.decode(errors="replace") or ("" if status == 0 else "a helper was killed"))

        self.watch(reading, ended)


def _help(work: "Callable[[], None]", writing: int) -> None:
    """Do the work and end; what went wrong is written to the pipe."""
    code = 1
    try:
        kernel.die_with_parent()
        work()
        code = 0
    except BaseException as error:  # noqa: BLE001 - nothing may climb out of a forked process
        os.write(writing, (str(error) or type(error).__name__).encode()[:4000])
    finally:
        os._exit(code)
