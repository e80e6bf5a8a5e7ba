"""Frames of a WebSocket (RFC 6455) as a server takes them in: whole messages come out, in bounded memory.

A reader between two messages has nothing to remember but empty bytes, so ten thousand idle clients cost little.  It only
finds out where frames end; what is in one (masks, reserved bits, codes of closing) is the `websockets` library's.
"""

from collections.abc import Generator
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from websockets.frames import Frame


class Kind(IntEnum):
    """What a client has said; the numbers are the opcodes."""

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Said(NamedTuple):
    """A whole message, or a control frame."""

    kind: Kind
    data: bytes


class Broken(Exception):
    """The client broke the protocol, or a limit: the connection ends with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class FrameReader:
    """Cuts a client's bytes into what it said.  After a Broken it is of no more use."""

    __slots__ = ("_at", "_frame_bytes_max", "_kind", "_message_bytes_max", "_parts", "_rest")

    def __init__(self, *, frame_bytes_max: int, message_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._message_bytes_max = message_bytes_max
        self._rest: bytes | bytearray = b""
        self._at = 0
        self._kind: Kind | None = None  # of the message whose fragments arrive
        self._parts: bytearray | None = None

    @property
    def held(self) -> int:
        """How many bytes of messages that are not whole, or not asked for, are kept."""
        return len(self._rest) - self._at + (len(self._parts) if self._parts is not None else 0)

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        if not self._rest:
            self._rest = data
            return
        if isinstance(self._rest, bytes):
            self._rest = bytearray(self._rest)
        if self._at:
            del self._rest[: self._at]
            self._at = 0
        self._rest += data

    def drop(self) -> None:
        """Forget what has come."""
        self._rest, self._at = b"", 0
        self._kind = self._parts = None

    def next(self) -> Said | None:
        """The next message or control frame; None when it is not all here.  Broken."""
        while (end := self._end()) is not None:
            said = self._frame(bytes(self._rest[self._at : end]))
            self._at = end
            if end == len(self._rest):
                self._rest, self._at = b"", 0
            if said is not None:
                return said
        return None

    def _end(self) -> int | None:
        """Where the frame ends that begins here; None while it is not all here."""
        rest, at = self._rest, self._at
        here = len(rest) - at
        if here < 2:
            return None
        if not rest[at + 1] & 0x80:
            raise Broken(1002, "incorrect masking")
        length, header = rest[at + 1] & 0x7F, 2
        if length > 125:
            header = 4 if length == 126 else 10
            if here < header:
                return None
            length = int.from_bytes(rest[at + 2 : at + header], "big")
        if length > self._frame_bytes_max:
            raise Broken(1009, "")
        end = at + header + 4 + length
        return end if end <= len(rest) else None

    def _frame(self, whole: bytes) -> Said | None:
        from websockets.exceptions import ProtocolError

        try:
            frame = _parse(whole)
        except ProtocolError as error:
            raise Broken(1002, str(error)) from None
        opcode = int(frame.opcode)
        if opcode >= Kind.CLOSE:
            return Said(Kind(opcode), bytes(frame.data))
        if (opcode == 0) != (self._kind is not None):
            raise Broken(
                1002, "unexpected continuation frame" if opcode == 0 else "expected a continuation frame"
            )
        if opcode and frame.fin:
            return _whole(Kind(opcode), bytes(frame.data))
        return self._fragment(opcode, bytes(frame.data), fin=frame.fin)

    def _fragment(self, opcode: int, data: bytes, *, fin: bool) -> Said | None:
        if self._kind is None or self._parts is None:
            self._kind, self._parts = Kind(opcode), bytearray()
        if len(self._parts) + len(data) > self._message_bytes_max:
            raise Broken(1009, "")
        self._parts += data
        if not fin:
            return None
        said = _whole(self._kind, bytes(self._parts))
        self._kind = self._parts = None
        return said


def close_of(data: bytes) -> tuple[int, str]:
    """Code and reason of a closing frame; 1005 when it has none.  Broken."""
    from websockets.exceptions import ProtocolError
    from websockets.frames import Close

    try:
        close = Close.parse(data)
    except ProtocolError as error:
        raise Broken(1002, str(error)) from None
    except UnicodeDecodeError:
        raise Broken(1007, "the reason is not UTF-8") from None
    return int(close.code), close.reason


def frames_of(kind: Kind, data: bytes, frame_bytes_max: int) -> bytes:
    """A message of the server's, in as many frames as it needs."""
    if len(data) <= frame_bytes_max:
        return _written(kind, data, fin=True)
    starts = range(0, len(data), frame_bytes_max)
    return b"".join(
        _written(kind if start == 0 else 0, data[start : start + frame_bytes_max], fin=start == starts[-1])
        for start in starts
    )


def close_frame(code: int, reason: str) -> bytes:
    """The frame that says goodbye; a code that may not be sent (1005, 1006) is left out."""
    from websockets.frames import Close

    if code in (1005, 1006):
        return _written(Kind.CLOSE, b"", fin=True)
    return _written(Kind.CLOSE, Close(code, reason).serialize()[:125], fin=True)


def _whole(kind: Kind, data: bytes) -> Said:
    if kind is Kind.TEXT:
        try:
            data.decode()
        except UnicodeDecodeError:
            raise Broken(1007, "the text is not UTF-8") from None
    return Said(kind, data)


def _written(opcode: int, data: bytes, *, fin: bool) -> bytes:
    size = len(data)
    first = opcode | (0x80 if fin else 0)
    if size < 126:
        return bytes((first, size)) + data
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + data
    return bytes((first, 127)) + size.to_bytes(8, "big") + data


def _parse(whole: bytes) -> "Frame":
    """The library's parser, given a frame that is all here."""
    from websockets.frames import Frame as Parser

    at = 0

    def read_exact(count: int) -> Generator[None, None, bytes]:
        nonlocal at
        data = whole[at : at + count]
        at += count
        return data
        yield

    try:
        next(Parser.parse(read_exact, mask=True))
    except StopIteration as done:
        frame: Frame = done.value
        return frame
    raise AssertionError("a frame that is all here parses without waiting")
