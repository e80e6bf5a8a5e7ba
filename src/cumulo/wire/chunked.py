"""The chunked transfer coding: bytes in any pieces to the payload, its end, and what follows it."""

import re
from enum import IntEnum
from typing import Final

from cumulo.wire.head import Refused
from cumulo.wire.http import HeaderList

SIZE_LINE_BYTES_MAX: Final = 1024
TRAILERS_BYTES_MAX: Final = 16 * 1024

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")


class _At(IntEnum):
    SIZE = 0
    DATA = 1
    DATA_END = 2
    TRAILERS = 3
    DONE = 4


class ChunkedReader:
    """Takes a chunked body apart.  After `done`, `rest` is what follows it."""

    __slots__ = ("_at", "_held", "_left", "_trailer_bytes", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._at = _At.SIZE
        self._held = b""
        self._left = 0
        self._trailer_bytes = 0
        self.done = False
        self.rest = b""
        self.trailers: HeaderList = []

    def feed(self, data: bytes) -> bytes:
        """Take the next piece and give the payload in it; Refused when it is malformed."""
        if self._held:
            data, self._held = self._held + data, b""
        payload: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            if self._at is _At.DATA:
                piece = data[at : at + self._left]
                payload.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._at = _At.DATA_END
                continue
            end = self._line_end(data, at)
            if end < 0:
                self._held = data[at:]
                break
            self._line(data[at:end])
            at = end + 2
        if self.done:
            self.rest = data[at:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _line_end(self, data: bytes, at: int) -> int:
        bound = TRAILERS_BYTES_MAX if self._at is _At.TRAILERS else SIZE_LINE_BYTES_MAX
        if self._at is _At.DATA_END and data[at : at + 2] not in {b"\r\n", b"\r"}:
            raise Refused(400, "A chunk of the body is longer than it said")
        end = data.find(b"\r\n", at, at + bound + 2)
        if end < 0:
            lone = data.find(b"\n", at, at + bound + 2)
            if lone >= 0 or len(data) - at > bound:
                raise Refused(400, "The chunked body is malformed")
        return end

    def _line(self, line: bytes) -> None:
        if self._at is _At.DATA_END:
            self._at = _At.SIZE
        elif self._at is _At.SIZE:
            size = _SIZE_LINE.fullmatch(line)
            if size is None:
                raise Refused(400, "The size of a chunk is malformed")
            self._left = int(size[1], 16)
            self._at = _At.DATA if self._left else _At.TRAILERS
        elif line:
            self._trailer(line)
        else:
            self._at = _At.DONE
            self.done = True

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        trailer = _TRAILER.fullmatch(line)
        if trailer is None or self._trailer_bytes > TRAILERS_BYTES_MAX:
            raise Refused(400, "The trailers of the body are malformed or too long")
        self.trailers.append((trailer[1].lower(), trailer[2].rstrip(b" \t")))
