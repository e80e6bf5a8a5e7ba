"""Reading a container's log while it is written, also when the monitor starts a new file."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from cumulo.engines.engine import LogLine
from cumulo.engines.local.hands import Hands
from cumulo.engines.local.loglines import Assembler, Cursor, parse, parse_cursor

_PIECE_BYTES = 256 * 1024
_FIRST_LINE_BYTES_MAX = 64
_LOOK_SECONDS = 0.02


class LogFile:
    """One opened file of the log; it can be read to its end although another one has taken its name."""

    def __init__(self, path: Path, cursor: Cursor) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.assembler: Assembler | None = None
        self._cursor = cursor

    def read(self) -> bytes:
        """What has come; empty when nothing has."""
        if self.assembler is None:
            head = os.pread(self.fd, _FIRST_LINE_BYTES_MAX, 0)
            piece = parse(head.partition(b"\n")[0] + b" ") if len(head.split(b" ")) >= 4 else None
            if piece is None:
                return b""
            self.assembler = Assembler(piece.time_ns, self._cursor)
            os.lseek(self.fd, self.assembler.start, os.SEEK_SET)
        return os.read(self.fd, _PIECE_BYTES)

    def replaced(self) -> bool:
        """Whether there is a newer file of its name."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self.fd)
        return (there.st_ino, there.st_dev) != (mine.st_ino, mine.st_dev)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)


async def read_log(
    hands: Hands, path: Path, after: str, *, ended: Callable[[], bool], follow: bool
) -> AsyncIterator[LogLine]:
    """The lines after a cursor; with `follow` until `ended`, and all is read."""
    file: LogFile | None = None
    cursor = parse_cursor(after)
    try:
        while True:
            over = ended()  # asked before looking: what was printed before the end is in the file by then
            if file is None:
                file = await hands.do(_open, path, cursor)
            data = await hands.do(file.read) if file is not None else b""
            if file is not None and file.assembler is not None and data:
                for line in file.assembler.feed(data):
                    yield line
            elif file is not None and await hands.do(file.replaced):
                file.close()
                file, cursor = None, Cursor()
            elif over or not follow:
                break
            else:
                await asyncio.sleep(_LOOK_SECONDS)
        if over and file is not None and file.assembler is not None:
            for line in file.assembler.finish():
                yield line
    finally:
        if file is not None:
            file.close()


def _open(path: Path, cursor: Cursor) -> LogFile | None:
    try:
        return LogFile(path, cursor)
    except FileNotFoundError:
        return None
