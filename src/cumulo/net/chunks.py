"""The chunked transfer coding as it passes through: checked byte by byte, forwarded as it came."""

import re
from typing import Final

from cumulo.net.messages import Refused

SIZE_LINE_BYTES_MAX: Final = 1024
TRAILERS_BYTES_MAX: Final = 16 * 1024

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t\x20-\x7e\x80-\xff]*")
_NOT_IN_TRAILERS: Final = frozenset({b"content-length", b"transfer-encoding", b"host", b"connection", b"trailer",
                                     b"te", b"upgrade", b"content-encoding", b"content-type", b"content-range",
                                     b"expect", b"authorization", b"set-cookie", b"keep-alive"})  # fmt: skip


class Chunks:
    """Follows a chunked body.  Lines are let through when they are complete, so nothing unchecked goes on.

    raw    gives the bytes as they came; otherwise the payload alone
    done   the body has ended; `rest` is what follows it
    """

    __slots__ = ("_at", "_held", "_left", "_trailer_bytes", "done", "raw", "rest")

    def __init__(self, *, raw: bool = True) -> None:
        self.raw = raw
        self.done = False
        self.rest = b""
        self._at = _SIZE
        self._held = b""
        self._left = 0
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; give what may go on of it.  Refused (400) when it is malformed."""
        if self._at == _DATA and len(data) <= self._left:
            self._left -= len(data)
            if not self._left:
                self._at = _DATA_END
            return data
        if self._held:
            data, self._held = self._held + data, b""
        payload: list[bytes] = []
        at = self._walk(data, payload)
        if self.done:
            self.rest = data[at:]
        else:
            self._held = data[at:]
        if not self.raw:
            return b"".join(payload)
        return data if at == len(data) else data[:at]

    def _walk(self, data: bytes, payload: list[bytes]) -> int:
        """Go as far as data is understood; gives how far that is."""
        at, size = 0, len(data)
        while at < size and not self.done:
            if self._at == _DATA:
                take = min(self._left, size - at)
                if not self.raw:
                    payload.append(data[at : at + take])
                at += take
                self._left -= take
                if not self._left:
                    self._at = _DATA_END
                continue
            end = self._line_end(data, at)
            if end < 0:
                break
            self._line(data[at:end])
            at = end + 2
        return at

    def _line_end(self, data: bytes, at: int) -> int:
        bound = TRAILERS_BYTES_MAX if self._at == _TRAILERS else SIZE_LINE_BYTES_MAX
        if self._at == _DATA_END and data[at : at + 2] not in {b"\r\n", b"\r"}:
            raise Refused(400, "A chunk of the body is longer than it said")
        end = data.find(b"\r\n", at, at + bound + 2)
        if end < 0 and (len(data) - at > bound or data.find(b"\n", at) >= 0):
            raise Refused(400, "The chunked body is malformed")
        return end

    def _line(self, line: bytes) -> None:
        if self._at == _DATA_END:
            self._at = _SIZE
        elif self._at == _SIZE:
            size = _SIZE_LINE.fullmatch(line)
            if size is None:
                raise Refused(400, "The size of a chunk is malformed")
            self._left = int(size[1], 16)
            self._at = _DATA if self._left else _TRAILERS
        elif line:
            self._trailer_bytes += len(line)
            trailer = _TRAILER.fullmatch(line)
            if trailer is None or self._trailer_bytes > TRAILERS_BYTES_MAX:
                raise Refused(400, "The trailers of the body are malformed or too long")
            if trailer[1].lower() in _NOT_IN_TRAILERS:
                raise Refused(400, "A trailer that may only be a header")
        else:
            self.done = True
