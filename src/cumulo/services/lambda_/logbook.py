"""One environment's log stream: the platform's lines and the function's, in order, until they are handed on."""

from functools import partial

from cumulo.base.clock import Clock
from cumulo.base.ports import LogEvent
from cumulo.services.lambda_.endings import Endings
from cumulo.services.lambda_.faults import Fault
from cumulo.services.lambda_.model import Version
from cumulo.services.lambda_.output import Line
from cumulo.services.lambda_.report import Init, Run, reporter_for

TAIL_BYTES = 4096
# What LogEvent(...) does, without the function that a NamedTuple makes of it: this is done four times a call.
_event = partial(tuple.__new__, LogEvent)


class LogBook:
    """Collects events; `flush` hands them to the log service."""

    def __init__(self, version: Version, stream: str, endings: Endings, clock: Clock) -> None:
        self._append = endings.log_to(version, stream)
        self._clock = clock
        self._words = reporter_for(version)
        self._events: list[LogEvent] = []
        self._last_ms = 0
        self._keep_tail = False
        self._tail = b""

    def init_start(self, runtime: str, runtime_arn: str, warning: str) -> None:
        """A runtime begins to initialise."""
        now = self._clock.now()
        self._say(self._words.init_start(now, runtime, runtime_arn), now)
        if warning:
            self._say(f"[cumulo] {warning}\n", now)

    def init_failed(self, init: Init) -> None:
        """An initialisation failed."""
        now = self._clock.now()
        self._say(self._words.init_report(now, init), now)

    def start(self, request_id: str, *, keep_tail: bool) -> None:
        """An invocation begins."""
        now = self._clock.now()
        self._keep_tail = keep_tail
        self._tail = b""
        if keep_tail:
            self.flush()
            self._tail = b""
        self._say(self._words.start(now, request_id), now)

    def not_startable(self, request_id: str, fault: Fault) -> None:
        """Say why the runtime could not begin."""
        self._say(f"RequestId: {request_id} Error: {fault.message}\n{fault.kind}\n", self._clock.now())

    def finish(self, run: Run, now: float) -> bytes:
        """An invocation is over: everything goes out.  Returns the last 4 KB when they were wanted."""
        self._say(self._words.end(now, run.request_id), now)
        self._say(self._words.report(now, run), now)
        self.flush()
        return self._tail

    def lines(self, lines: list[Line]) -> None:
        """What the function printed; its own timestamps count as far as they are possible."""
        if not lines:
            return
        now_ms = int(self._clock.now() * 1000)
        last = self._last_ms
        for at_ms, message in lines:
            last = min(max(at_ms, last), now_ms) if at_ms else now_ms
            self._events.append(_event((last, message)))
        self._last_ms = last

    def flush(self) -> None:
        """Hand everything on."""
        if not self._events:
            return
        events, self._events = self._events, []
        if self._keep_tail:
            self._tail = (self._tail + "".join(e.message for e in events).encode())[-TAIL_BYTES:]
        self._append(events)

    def _say(self, message: str, at: float) -> None:
        if message:
            self._last_ms = int(at * 1000)
            self._events.append(_event((self._last_ms, message)))
