"""The monitor's log, read: lines like `2026-01-02T03:04:05.123456789+00:00 stdout F text`.

The monitor writes what it reads: a line that came in pieces, or is longer than 8 KiB, is several lines of which all
but the last are marked P.  They are put together again, up to 16 KiB.

A cursor is `<generation>.<stdout>.<stderr>`: when the file's first line was written (the monitor starts a new file when
it has grown too big), and from where on each stream has not been handed out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from cumulo.engines.engine import LogLine

LINE_BYTES_MAX = 16 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STREAMS = ("stdout", "stderr")


class Cursor(msgspec.Struct, frozen=True):
    """Where to go on."""

    generation: int = 0
    positions: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return f"{self.generation}.{self.positions[0]}.{self.positions[1]}"


def parse_cursor(text: str) -> Cursor:
    """A cursor that we gave out; the beginning for anything else."""
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        return Cursor()
    return Cursor(int(parts[0]), (int(parts[1]), int(parts[2])))


class Piece(msgspec.Struct, frozen=True):
    """One line of the file.  `whole` when it ends a line of output."""

    stream: str
    time_ns: int
    text: bytes
    whole: bool


def parse(line: bytes) -> Piece | None:
    """A line of the file without its end; None for one that is not of the monitor's making."""
    words = line.split(b" ", 3)
    if len(words) != 4 or words[2] not in {b"F", b"P"}:
        return None
    stream = words[1].decode("ascii", "replace")
    try:
        at = time_ns(words[0].decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        return None
    return Piece(stream, at, words[3], words[2] == b"F") if stream in _STREAMS else None


def time_ns(text: str) -> int:
    """Nanoseconds since the epoch of RFC 3339 with nine digits.  ValueError."""
    seconds, zone = text[:19], text[29:]
    whole = datetime.fromisoformat(seconds + (zone.replace("Z", "+00:00") or "+00:00")) - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000 + int(text[20:29])


class _Pending(msgspec.Struct):
    """The pieces of a line that has not ended: where the first is, and when it came."""

    start: int
    time_ns: int
    pieces: list[bytes]
    size: int = 0


class Assembler:
    """Turns the bytes of one file into lines of output.  Feed it from `start` on."""

    def __init__(self, generation: int, cursor: Cursor | None = None) -> None:
        positions = cursor.positions if cursor is not None and cursor.generation == generation else (0, 0)
        self._generation = generation
        self._from = dict(zip(_STREAMS, positions, strict=True))
        self.position = self.start = min(positions)
        self._rest = b""
        self._pending: dict[str, _Pending] = {}

    def feed(self, data: bytes) -> Iterator[LogLine]:
        """What these further bytes complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            at = self.position
            self.position += len(line) + 1
            piece = parse(line)
            if piece is not None and at >= self._from[piece.stream]:
                yield from self._take(piece, at)

    def finish(self) -> Iterator[LogLine]:
        """What is left when nothing will follow: lines that were never ended."""
        for stream in list(self._pending):
            yield self._line(stream, partial=False)

    def _take(self, piece: Piece, at: int) -> Iterator[LogLine]:
        pending = self._pending.get(piece.stream)
        if pending is None:
            pending = self._pending[piece.stream] = _Pending(at, piece.time_ns, [])
        if pending.pieces and pending.size + len(piece.text) > LINE_BYTES_MAX:
            self._from[piece.stream] = at
            yield self._line(piece.stream, partial=True, at=at)
            pending = self._pending[piece.stream] = _Pending(at, piece.time_ns, [])
        pending.pieces.append(piece.text)
        pending.size += len(piece.text)
        if piece.whole:
            yield self._line(piece.stream, partial=False)

    def _line(self, stream: str, *, partial: bool, at: int | None = None) -> LogLine:
        pending = self._pending.pop(stream)
        self._from[stream] = self.position if at is None else at
        positions = [
            self._pending[one].start
            if one in self._pending
            else (self._from[stream] if one == stream else self.position)
            for one in _STREAMS
        ]
        cursor = Cursor(self._generation, (positions[0], positions[1]))
        return LogLine(stream, pending.time_ns, b"".join(pending.pieces), partial, str(cursor))
