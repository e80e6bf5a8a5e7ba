r"""Docker's multiplexed streams, and its logs as lines with cursors.  Pure but for reading a stream.

frame: | stream 1 | 0 0 0 | length, 4 bytes, big endian | payload |      stream: 1 stdout, 2 stderr
of a log: one entry in each frame, `2026-01-01T00:00:00.000000000Z text\n`; the parts of a long line share a time
"""

import asyncio
import contextlib
import struct
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from cumulo.engines.engine import EngineError, LogLine

_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}
_HEADER_BYTES = 8
_FRAME_BYTES_MAX = 16 * 1024 * 1024
PART_BYTES = 16 * 1024
MARGIN_NS = (
    2_000_000_000  # two streams are stamped by two writers: neighbours may be out of order by less than this
)
_ENTRIES_HELD_MAX = 10_000


class Frames:
    """Takes bytes as they come, gives frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """The frames that are whole now: (stream, payload)."""
        self._rest += data
        while len(self._rest) >= _HEADER_BYTES:
            stream, length = _header(bytes(self._rest[:_HEADER_BYTES]))
            end = _HEADER_BYTES + length
            if len(self._rest) < end:
                return
            payload = bytes(self._rest[_HEADER_BYTES:end])
            del self._rest[:end]
            yield stream, payload


class RawLines:
    """The log of a container with a terminal: no frames, a line is an entry."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """The lines that are whole now, as entries of stdout."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield "stdout", line + b"\n"


def _header(raw: bytes) -> tuple[str, int]:
    kind, length = struct.unpack(">BxxxI", raw)
    if kind not in _STREAMS or length > _FRAME_BYTES_MAX:
        raise EngineError("Docker's stream is broken: this is no frame")
    return _STREAMS[kind], length


async def read_frame(reader: asyncio.StreamReader) -> tuple[str, bytes] | None:
    """The next frame of a connection; None at its end."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        stream, length = _header(await reader.readexactly(_HEADER_BYTES))
        return stream, await reader.readexactly(length)
    return None


class Cursor(msgspec.Struct, frozen=True):
    """A place in a log: the `nth` entry of a stream at that time.  Times alone repeat: parts of a line share one."""

    time_ns: int
    stream: str
    nth: int

    def __str__(self) -> str:
        return f"{self.time_ns}.{self.stream}.{self.nth}"


def parse_cursor(text: str) -> Cursor | None:
    """A cursor that `logs` gave; None for none; EngineError for another's."""
    if not text:
        return None
    try:
        time_ns, stream, nth = text.split(".")
        return Cursor(int(time_ns), stream, int(nth))
    except ValueError:
        raise EngineError(f"{text[:80]!r} is no cursor of this engine") from None


class LogReader:
    """Entries to lines.  After a cursor it skips what comes up to it, in the order of the log and not of the times."""

    def __init__(self, after: Cursor | None) -> None:
        self._after = after
        self._last: dict[
            str, tuple[int, int]
        ] = {}  # by stream: time of its last entry, and which one at that time
        self._held: list[LogLine] = []  # later than the cursor, but perhaps before it in the log

    def take(self, stream: str, payload: bytes) -> list[LogLine]:
        """The lines that are known to follow the cursor."""
        time_ns, text = _entry(payload)
        before, nth = self._last.get(stream, (-1, 0))
        nth = nth + 1 if time_ns == before else 0
        self._last[stream] = (time_ns, nth)
        # Of a long line every part but the last fills Docker's buffer; some log drivers give the last no end either.
        partial = not text.endswith(b"\n") and len(text) >= PART_BYTES
        here = Cursor(time_ns, stream, nth)
        line = LogLine(stream, time_ns, text.removesuffix(b"\n"), partial, str(here))
        if self._after is None:
            return [line]
        if here == self._after:
            self._after, self._held = None, []
            return []
        if time_ns <= self._after.time_ns:
            return []
        self._held.append(line)
        if time_ns - self._after.time_ns > MARGIN_NS or len(self._held) >= _ENTRIES_HELD_MAX:
            return self.rest()
        return []

    def rest(self) -> list[LogLine]:
        """At the end, or far beyond the cursor: its entry has been dropped from the log, what was held follows it."""
        held, self._held, self._after = self._held, [], None
        return held


def _entry(payload: bytes) -> tuple[int, bytes]:
    stamp, space, text = payload.partition(b" ")
    try:
        return time_ns_of(stamp.decode()), text if space else b""
    except (ValueError, UnicodeDecodeError):
        raise EngineError(f"Docker's log is broken: {payload[:60]!r} begins with no time") from None


def time_ns_of(stamp: str) -> int:
    """RFC 3339 in UTC, exact to the nanosecond.  ValueError."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 1_000_000_000 + int(f"{fraction or '0':0<9}"[:9])


def since(after: Cursor | None) -> str | None:
    """The `since` of a request whose answer has the cursor's entry in it."""
    if after is None:
        return None
    start = max(0, after.time_ns - MARGIN_NS)
    return f"{start // 1_000_000_000}.{start % 1_000_000_000:09d}"
