"""One file that is arriving: pieces are gathered, and written and hashed in a thread while the next ones come.

pieces ──▶ batches of 1 MiB ──▶ write + hash (thread)      one batch is written while the next is gathered
                                 └─ every 32 MiB: fdatasync (another thread), so that the last sync is short
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from cumulo.base.threads import surely

BATCH_BYTES: Final = 1024 * 1024
BATCH_PIECES_MAX: Final = 512  # of one writev; the system allows 1,024
SYNC_BYTES: Final = 32 * 1024 * 1024
READ_BYTES: Final = 1024 * 1024
sync_data: Final = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Misplaced(Exception):
    """Bytes that do not follow on the `received` ones that are here."""

    def __init__(self, received: int) -> None:
        super().__init__(f"{received} bytes are here")
        self.received = received


class Abandoned(Exception):
    """Nobody wants the file any more."""


class Hasher(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest of what was added so far."""
        ...


Run = Callable[..., Awaitable[Any]]


class Arrival:
    """A file in the making.  It has one writer at a time, and may be taken up again after a restart.

    `received` counts what was written; a kill of the process does not lose it, a power cut may.
    """

    def __init__(self, path: Path, run: Run, keep: Callable[[Path, str], None]) -> None:
        self._path = path
        self._run = run
        self._keep = keep
        self._fd = -1
        self._hasher: Hasher = hashlib.sha256()
        self._hashed = 0
        self._synced = 0
        self._sync: asyncio.Future[None] | None = None
        self._abandoned = False
        self.lock = asyncio.Lock()
        try:
            self.received = path.stat().st_size
        except FileNotFoundError:
            self.received = 0

    async def append(self, pieces: AsyncIterator[bytes], first: int | None, bytes_max: int) -> None:
        """Add bytes; what came before a failure of `pieces` stays.

        Misplaced when `first` is given and is not what was received so far; Abandoned; OSError when the disk refuses;
        OverflowError before the file grows beyond `bytes_max`.  All leave what was whole; but when the disk loses what it
        had taken, all of it must come again.
        """
        async with self.lock:
            await self._begin()
            try:
                if first is not None and first != self.received:
                    raise Misplaced(self.received)
                await self._append(pieces, bytes_max)
            finally:
                try:
                    await self._settle()
                finally:
                    await self._run(self._close)

    async def _begin(self) -> None:
        if self._abandoned:
            raise Abandoned
        await self._run(self._open)

    async def _append(self, pieces: AsyncIterator[bytes], bytes_max: int) -> None:
        batch: list[bytes] = []
        size = 0
        coming = self.received
        writing: asyncio.Future[None] | None = None
        try:
            async for piece in pieces:
                if self._abandoned:
                    raise Abandoned
                coming += len(piece)
                if coming > bytes_max:
                    raise OverflowError(f"more than {bytes_max} bytes")
                batch.append(piece)
                size += len(piece)
                if size >= BATCH_BYTES or len(batch) >= BATCH_PIECES_MAX:
                    if writing is not None:
                        await writing
                    writing = asyncio.ensure_future(self._run(self._write, batch, size))
                    batch, size = [], 0
                    self._sync_now_and_then()
        finally:
            if writing is not None:
                await writing
            if batch:
                await self._run(self._write, batch, size)

    def _sync_now_and_then(self) -> None:
        """Let the disk begin with what it has long before the end."""
        idle = self._sync is None or (self._sync.done() and self._sync.exception() is None)
        if idle and self.received - self._synced >= SYNC_BYTES:
            self._synced = self.received
            self._sync = asyncio.ensure_future(self._run(sync_data, self._fd))

    async def _settle(self) -> None:
        """Wait for a sync that is running: its descriptor will be closed.

        The system tells only once of bytes that it could not write: then they are lost, and all must come again.
        """
        sync, self._sync = self._sync, None
        if sync is None:
            return
        try:
            await surely(sync)
        except OSError:
            await self._run(self._start_over)
            raise

    async def finish(self, digests: Sequence[str]) -> str:
        """Keep the file under the one of some digests that it has; an empty text, and nothing changed, when it has none.

        Abandoned, OSError.
        """
        async with self.lock:
            await self._begin()
            try:
                digest: str = await self._run(self._check, digests)
                if digest:
                    await self._run(self._sync_and_keep, digest)
            finally:
                await self._run(self._close)
            return digest

    def abandon(self) -> None:
        """Its upload has gone: a writer that is still at it ends at its next piece."""
        self._abandoned = True

    # -- in threads ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self.received = os.fstat(self._fd).st_size
        if self._hashed > self.received:
            self._hasher, self._hashed = hashlib.sha256(), 0
        # After a restart the hash of what is here is made again from the file.
        self._hashed += hash_file(self._hasher, self._fd, self._hashed, self.received)

    def _start_over(self) -> None:
        os.ftruncate(self._fd, 0)
        self._hasher, self._hashed, self.received = hashlib.sha256(), 0, 0

    def _close(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def _write(self, pieces: list[bytes], size: int) -> None:
        at = self.received
        end = at + size
        try:
            written = os.pwritev(self._fd, pieces, at)
            if written < size:
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.pwrite(self._fd, rest, end - len(rest)) :]
        except OSError:
            os.ftruncate(self._fd, at)
            raise
        for piece in pieces:
            self._hasher.update(piece)
        self._hashed = self.received = end

    def _check(self, digests: Sequence[str]) -> str:
        found = {"sha256": f"sha256:{self._hasher.hexdigest()}"}
        for digest in digests:
            algorithm = digest.partition(":")[0]
            if algorithm not in found:
                hasher = hashlib.new(algorithm)
                hash_file(hasher, self._fd, 0, self.received)
                found[algorithm] = f"{algorithm}:{hasher.hexdigest()}"
            if found[algorithm] == digest:
                return digest
        return ""

    def _sync_and_keep(self, digest: str) -> None:
        os.fsync(self._fd)
        self._keep(self._path, digest)
        self._hasher, self._hashed, self.received = hashlib.sha256(), 0, 0


def hash_file(hasher: Hasher, fd: int, start: int, end: int | None) -> int:
    """Add a part of a file to a hash; gives how many bytes.  `end` None: to the end of the file."""
    at = start
    while end is None or at < end:
        data = os.pread(fd, READ_BYTES if end is None else min(READ_BYTES, end - at), at)
        if not data:
            break
        hasher.update(data)
        at += len(data)
    return at - start
