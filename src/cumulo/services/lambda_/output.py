"""What a sandbox prints: pipes to log lines.

Two pipes: `output` (stdout and stderr, split at newlines) and `telemetry` (frames written by runtimes that know
Lambda's log protocol: type, length and timestamp in microseconds, big-endian, then the message).  Whatever
comes is believed to be hostile: a line, a frame and the whole of a call are bounded, garbage is dropped and
its size is told.
"""

import os
import select
import struct

LINE_BYTES_MAX = 256 * 1024
CALL_BYTES_MAX = 64 * 1024 * 1024  # of output in one invocation
READ_BYTES_MAX = 1024 * 1024  # in one go, so that a chatty function does not hold up the others
_CHUNK = 64 * 1024
_FRAME = struct.Struct(">IIQ")
_FRAME_MARK = 0xA55A0000

Line = tuple[int, str]  # milliseconds since the epoch (0: now), message


class Lines:
    """Cuts a byte stream into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, each with its newline; over-long ones in pieces."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        *whole, rest = data.split(b"\n")
        lines = [line + b"\n" for line in whole]
        if any(len(line) > LINE_BYTES_MAX for line in lines):
            lines = [piece for line in lines for piece in _pieces(line)]
        while len(rest) > LINE_BYTES_MAX:
            lines.append(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._rest = rest
        return lines

    @property
    def pending(self) -> bool:
        """Whether there is the beginning of a line."""
        return bool(self._rest)

    def finish(self) -> list[bytes]:
        """What is left without a newline."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class Frames:
    """Takes framed log records apart."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._broken = False
        self.dropped = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Timestamp in milliseconds and message of each frame that is complete now."""
        if self._broken:
            self.dropped += len(data)
            return []
        if self._rest:
            data = self._rest + data
        found: list[tuple[int, bytes]] = []
        at = 0
        while True:
            at += self._skipped(len(data) - at)
            if len(data) - at < _FRAME.size:
                break
            kind, length, micros = _FRAME.unpack_from(data, at)
            if kind & 0xFFFF0000 != _FRAME_MARK:
                self._broken = True
                self.dropped += len(data) - at
                at = len(data)
                break
            if length > LINE_BYTES_MAX:
                at += _FRAME.size
                self._skip = length
                self.dropped += length
                continue
            end = at + _FRAME.size + length
            if end > len(data):
                break
            found.append((micros // 1000, data[at + _FRAME.size : end]))
            at = end
        self._rest = data[at:]
        return found

    def _skipped(self, available: int) -> int:
        step = min(self._skip, available)
        self._skip -= step
        return step


class Output:
    """Reads both pipes of one process without ever waiting."""

    def __init__(self, output: int, telemetry: int) -> None:
        self._output = output
        self._telemetry = telemetry
        self._lines = Lines()
        self._frames = Frames()
        self._budget = CALL_BYTES_MAX
        self._dropped = 0
        self._poll = select.poll()
        self._open = {output, telemetry}
        for fd in self._open:
            self._poll.register(fd, select.POLLIN)

    @property
    def open(self) -> frozenset[int]:
        """The descriptors that may still bring something."""
        return frozenset(self._open)

    def begin(self) -> None:
        """A new call: a new budget."""
        self._budget = CALL_BYTES_MAX

    def drain(self) -> list[Line]:
        """Everything that is in the pipes now, as lines in order."""
        found: list[Line] = []
        if not self._open:
            return found
        left = READ_BYTES_MAX
        while left > 0 and (ready := self._poll.poll(0)):
            full = False
            for fd, _ in ready:
                data = self._read(fd)
                left -= max(len(data), 1)
                full |= len(data) == _CHUNK
                self._sort_in(fd, data, found)
            if not full:
                break
        return found

    def drain_all(self) -> list[Line]:
        """Everything of a call that is over."""
        found = self.drain()
        if self._lines.pending or self._dropped or self._frames.dropped:
            found += self.finish()
        return found

    def finish(self) -> list[Line]:
        """The rest of an unfinished line, and how much was dropped."""
        found: list[Line] = [(0, _text(rest)) for rest in self._lines.finish()]
        dropped = self._dropped + self._frames.dropped
        if dropped:
            found.append((0, f"[cumulo] {dropped} bytes of output dropped\n"))
            self._dropped = self._frames.dropped = 0
        return found

    def close(self) -> None:
        """Look at the pipes no more; their owner closes them."""
        self._open.clear()

    def _read(self, fd: int) -> bytes:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(fd)
            self._open.discard(fd)
        return data

    def _sort_in(self, fd: int, data: bytes, found: list[Line]) -> None:
        if len(data) > self._budget:
            self._dropped += len(data) - self._budget
            data = data[: self._budget]
        self._budget -= len(data)
        if not data:
            return
        if fd == self._output:
            found += [(0, _text(line)) for line in self._lines.feed(data)]
        else:
            found += [(at, _text(message)) for at, message in self._frames.feed(data)]


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + LINE_BYTES_MAX] for at in range(0, len(line), LINE_BYTES_MAX)]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
