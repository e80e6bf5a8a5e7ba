"""Lines of output as events: pieces of long lines joined, lines of one event joined.  Pure."""

from collections.abc import Callable, Iterable

from cumulo.base.ports import LogEvent
from cumulo.engines.engine import LogLine

EVENT_BYTES_MAX = 262_144 - 26  # CloudWatch Logs' bound, without its overhead
LINES_MAX = 10_000


class Assembler:
    """Takes lines, gives events with the cursor of the last line in them.

    A line that `first` does not hold of belongs to the event before it.
    """

    def __init__(self, first: Callable[[str], bool] | None = None) -> None:
        self._first = first
        self._pieces: dict[str, list[LogLine]] = {}  # of a line that goes on, by stream
        self._held: list[tuple[int, str]] = []  # lines of the event that may go on
        self._held_bytes = 0
        self._cursor = ""
        self._held_cursor = ""

    @property
    def holds(self) -> bool:
        """Whether something waits for what comes next."""
        return bool(self._held)

    @property
    def cursor(self) -> str:
        """Everything up to here was given."""
        return self._cursor

    def take(self, lines: Iterable[LogLine]) -> list[LogEvent]:
        """The events that these lines complete."""
        events: list[LogEvent] = []
        for line in lines:
            pieces = self._pieces.setdefault(line.stream, [])
            pieces.append(line)
            if line.partial and sum(len(one.text) for one in pieces) < EVENT_BYTES_MAX:
                continue
            text = b"".join(one.text for one in pieces).decode(errors="replace")
            at = pieces[0].time_ns // 1_000_000
            del self._pieces[line.stream]
            self._add(events, at, text)
            if not self._pieces:  # else the cursor would pass over the other stream's begun line
                self._held_cursor = line.cursor
                if not self._held:
                    self._cursor = line.cursor
        return events

    def _add(self, events: list[LogEvent], at: int, text: str) -> None:
        if self._first is None:
            if text:
                events.append(LogEvent(at, text))
            return
        size = len(text.encode(errors="replace")) + 1
        full = self._held_bytes + size > EVENT_BYTES_MAX or len(self._held) >= LINES_MAX
        if self._held and (full or self._first(text)):
            events += self.flush()
        self._held.append((at, text))
        self._held_bytes += size

    def flush(self) -> list[LogEvent]:
        """The event that was held back for more."""
        if not self._held:
            return []
        event = LogEvent(self._held[0][0], "\n".join(text for _, text in self._held))
        self._held, self._held_bytes = [], 0
        self._cursor = self._held_cursor or self._cursor
        return [event] if event.message else []
