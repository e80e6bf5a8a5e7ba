"""The journal: what is too frequent for a transaction of its own, safe from a kill at the price of one write.

An invocation leaves usage and log lines.  Committing each to SQLite would cost more than the invocation; so
they are appended here before the answer leaves, and folded into the store in groups:

    append -> flush (one write)          before the answer
    fold   -> store.commit -> unlink     every FOLD_SECONDS

A segment is folded as a whole.  The number of the last folded segment is committed in the same transaction
as what it held, so a record is replayed exactly when it had not been folded.  A torn last record (the machine
died in the middle of a write) ends the replay of its segment.
"""

import asyncio
import contextlib
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from cumulo.base.log import Log
from cumulo.state.store import Store, StoreBroken, StoreError

FOLD_SECONDS = 0.25
RETRY_SECONDS = 1.0
BUFFER_BYTES_MAX = 64 * 1024 * 1024
SEGMENT_BYTES_MAX = 64 * 1024 * 1024
_HEAD = struct.Struct("<BII")  # kind, length, crc32 of the payload
_pack = _HEAD.pack


class _Folded(msgspec.Struct):
    segment: int


class Journal:
    """Appends records by kind; each kind has one owner that folds and replays.

    At start: owners call `register`, then `replay()` is called once, then `run()` folds for ever.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store = store
        self._log = Log("journal")
        self._mark = store.table("journal", _Folded)
        self._owners: dict[int, Callable[[bytes], None]] = {}
        self._folds: list[Callable[[], None]] = []
        self._buffer: list[bytes] = []
        self._segment = max([_number(p) for p in _segments(folder)] + [self._folded()]) + 1
        self._fd = self._open(self._segment)
        self._bytes = 0
        self._refused = False
        self._lock = asyncio.Lock()
        self._full = asyncio.Event()

    def register(self, kind: int, *, replay: Callable[[bytes], None], fold: Callable[[], None]) -> None:
        """Own a kind: `replay(payload)` after a crash; `fold()` writes what came since the last fold to the store.

        `fold` runs on the event loop and must not await; it only calls `Table.put` and `Store.execute`.
        """
        assert kind not in self._owners, f"kind {kind} has an owner"
        self._owners[kind] = replay
        self._folds.append(fold)

    def append(self, kind: int, payload: bytes) -> None:
        """Add a record; it is safe after `flush`."""
        self._buffer += (_pack(kind, len(payload), zlib.crc32(payload)), payload)

    @property
    def refuses(self) -> bool:
        """Whether the disk refused the last write; what is appended now would wait in memory."""
        return self._refused

    def flush(self) -> bool:
        """Hand what was appended to the operating system: from here on a kill of this process cannot lose it.

        A full disk raises nothing: calls go on, and what could not be written waits in memory (up to
        BUFFER_BYTES_MAX; beyond it, the oldest is dropped) for the next fold.  Then the answer is False.
        """
        if not self._buffer:
            return True
        if self._refused:  # writing everything again for every call would cost more than the calls
            self._bound()
            return False
        return self._write()

    def _write(self) -> bool:
        data = b"".join(self._buffer)
        try:
            _write_all(self._fd, data)
        except OSError as error:
            os.ftruncate(self._fd, self._bytes)  # a torn record would hide those after it
            if not self._refused:
                self._log.error("write_failed", bytes=len(data), error=str(error))
            self._refused = True
            self._bound()
            return False
        self._buffer.clear()
        self._refused = False
        self._bytes += len(data)
        if self._bytes > SEGMENT_BYTES_MAX:
            self._full.set()
        return True

    def _bound(self) -> None:
        """Forget what is beyond the bound, the oldest first; a record is a head and a payload."""
        while self._refused_bytes() > BUFFER_BYTES_MAX:
            dropped = self._buffer[: max(2, len(self._buffer) // 4 * 2)]
            del self._buffer[: len(dropped)]
            self._log.error("dropped", records=len(dropped) // 2)

    def _refused_bytes(self) -> int:
        return sum(map(len, self._buffer))

    def replay(self) -> int:
        """Give every record that was not folded to its owner; how many there were."""
        count = 0
        folded = self._folded()
        for path in sorted(_segments(self._folder), key=_number):
            if _number(path) == self._segment:
                continue
            if _number(path) > folded:
                for kind, payload in _records(path.read_bytes()):
                    self._owners[kind](payload)
                    count += 1
        return count

    async def fold(self) -> None:
        """Move everything appended so far into the store, durably, and drop its segments."""
        async with self._lock:
            # While the store cannot keep what earlier folds gave it, another one would only add to it.
            await self._store.ready()
            self._write()
            old = self._segment
            if not self._bytes and not self._buffer and not self._leftovers(old - 1):
                return
            fresh = self._open(old + 1)
            os.close(self._fd)
            self._fd, self._segment, self._bytes = fresh, old + 1, 0
            for fold in self._folds:
                fold()
            self._buffer.clear()  # what a full disk left here goes with this fold; a replay must not add it again
            self._mark.put("mark", _Folded(old))
            await self._store.commit()
            for path in self._leftovers(old):
                path.unlink(missing_ok=True)

    async def run(self) -> None:
        """Fold for ever; when the disk refuses, the segments stay and the next round tries again."""
        while True:
            # Not wait_for: it can swallow a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOLD_SECONDS):
                    await self._full.wait()
            self._full.clear()
            try:
                await self.fold()
            except StoreBroken:
                raise
            except (OSError, StoreError) as error:
                self._log.error("fold_failed", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """Fold what is left; when the disk refuses, it stays in the segments for the next start."""
        try:
            await self.fold()
        finally:
            os.close(self._fd)
            if not self._bytes:
                (self._folder / f"{self._segment}.log").unlink(missing_ok=True)

    def _folded(self) -> int:
        mark = self._mark.get("mark")
        return mark.segment if mark else 0

    def _leftovers(self, upto: int) -> list[Path]:
        return [path for path in _segments(self._folder) if _number(path) <= upto]

    def _open(self, number: int) -> int:
        return os.open(self._folder / f"{number}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)


def _segments(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.log") if path.stem.isdecimal()]


def _number(path: Path) -> int:
    return int(path.stem)


def _records(data: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + _HEAD.size <= len(data):
        kind, length, crc = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(payload) < length or zlib.crc32(payload) != crc:
            break
        found.append((kind, payload))
        at += _HEAD.size + length
    return found


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        data = data[written:]
        written = os.write(fd, data)
