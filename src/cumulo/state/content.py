"""Content: large files named by the digest of their bytes, written in pieces.

    incoming/<name>  ──append, append, ...──▶  finish(digest): checked, synced, renamed  ──▶  sha256/ab/abcd...

A file that can be found under its digest is whole.  Whoever keeps content commits a record of it afterwards; `collect`
removes what no record needs.  Between the two lies a grace period: keeping content that is here already makes its file
young again, and only old files are removed, each looked at once more under the lock that keeping takes.

Nothing here blocks the event loop: disk and hashes are the business of a few threads of our own.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from cumulo.base.threads import surely
from cumulo.state.arrival import Arrival, hash_file
from cumulo.state.blobs import sync_folder

THREADS: Final = 8
ALGORITHMS: Final = {"sha256": 64, "sha512": 128}  # and their hexadecimal digits
SHARDS: Final = 256
_DIGEST = re.compile(r"(sha256):[0-9a-f]{64}|(sha512):[0-9a-f]{128}")
_NAME = re.compile(r"[0-9A-Za-z_-]{1,128}")

T = TypeVar("T")


class WrongDigest(Exception):
    """The bytes are not those that the digest names; `found` is the digest that they have."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(f"the content has the digest {found}, not {wanted}")
        self.wanted = wanted
        self.found = found


def is_digest(text: str) -> bool:
    """Whether a text is a digest of an algorithm that is known here."""
    return _DIGEST.fullmatch(text) is not None


class Content:
    """A folder of content-addressed files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        for algorithm in ALGORITHMS:
            (root / algorithm).mkdir(mode=0o700, exist_ok=True)
        self._lock = threading.Lock()  # keeping against collecting
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Do something that blocks, in a thread.  Who is cancelled meanwhile waits for the thread first."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="content")
        future = asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        return await surely(future)

    def close(self) -> None:
        """Let the threads go; what they do is finished first."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    # -- what is here --------------------------------------------------------------------------------------

    def path(self, digest: str) -> Path:
        """Where content is, or would be."""
        assert is_digest(digest), "a digest"
        algorithm, _, name = digest.partition(":")
        return self.root / algorithm / name[:2] / name

    def has(self, digest: str) -> bool:
        """Whether it is here, whole."""
        return self.path(digest).exists()

    async def read(self, digest: str) -> bytes:
        """Small content as bytes; FileNotFoundError when it is not here."""
        return await self.run(self.path(digest).read_bytes)

    # -- keeping -------------------------------------------------------------------------------------------

    async def put(self, data: bytes, algorithm: str = "sha256") -> str:
        """Keep something small; gives its digest.  OSError when the disk refuses."""
        return await self.run(self._put, data, algorithm)

    async def take(self, file: Path, digest: str) -> int:
        """Keep a file (moved, its digest checked first); gives its size.  WrongDigest, OSError: it stays where it is."""
        return await self.run(self._take, file, digest)

    def arrival(self, name: str) -> Arrival:
        """Content that arrives under a name of the caller's, with what has arrived of it before."""
        assert _NAME.fullmatch(name), "a name for a file"
        return Arrival(self._incoming / name, self.run, self._keep)

    async def discard(self, name: str) -> None:
        """Forget what arrived under a name."""
        await self.run(self._remove_incoming, [name])

    def _put(self, data: bytes, algorithm: str) -> str:
        digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        with self._lock:
            if self._renew(self.path(digest)):
                return digest
        temporary = self._incoming / f"put-{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._keep(temporary, digest)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return digest

    def _take(self, file: Path, digest: str) -> int:
        algorithm = digest.partition(":")[0]
        with file.open("rb", buffering=0) as stream:
            hasher = hashlib.new(algorithm)
            size = hash_file(hasher, stream.fileno(), 0, None)
            found = f"{algorithm}:{hasher.hexdigest()}"
            if found != digest:
                raise WrongDigest(digest, found)
            os.fsync(stream.fileno())
        if file.stat().st_dev == self.root.stat().st_dev:
            self._keep(file, digest)
            return size
        temporary = self._incoming / f"put-{secrets.token_hex(8)}"
        try:
            shutil.copyfile(file, temporary)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            self._keep(temporary, digest)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        file.unlink()
        return size

    def _keep(self, file: Path, digest: str) -> None:
        """Give a file that is whole and synced its place; of two of the same, the first stays."""
        target = self.path(digest)
        if not target.parent.exists():
            target.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(target.parent.parent)
        with self._lock:
            if self._renew(target):
                file.unlink()
            else:
                file.rename(target)
                os.utime(target)
        sync_folder(target.parent)

    def _renew(self, target: Path) -> bool:
        """Make a file young, so that it is not collected before its record is committed; False when it is not here."""
        try:
            os.utime(target)
        except FileNotFoundError:
            return False
        return True

    # -- collecting ----------------------------------------------------------------------------------------

    async def collect(
        self, needed: Callable[[str], bool], arriving: Callable[[str], bool], before: float
    ) -> int:
        """Remove what is older than `before` (seconds since the epoch, by the files' own time) and that nobody needs.

        `needed` (by digest) and `arriving` (by name) are asked on the event loop.  Gives how many files went.  It may be
        broken off and begun again at any point.
        """
        gone = 0
        for algorithm in ALGORITHMS:
            for shard in range(SHARDS):
                folder = self.root / algorithm / f"{shard:02x}"
                names = await self.run(_older, folder, before)
                digests = [f"{algorithm}:{name}" for name in names]
                doomed = [one for one in digests if is_digest(one) and not needed(one)]
                if doomed:
                    gone += await self.run(self._remove, doomed, before)
        left = [name for name in await self.run(_older, self._incoming, before) if not arriving(name)]
        if left:
            gone += await self.run(self._remove_incoming, left)
        return gone

    def _remove(self, digests: Iterable[str], before: float) -> int:
        gone = 0
        for digest in digests:
            path = self.path(digest)
            with self._lock, contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:  # else somebody has kept it again meanwhile
                    path.unlink()
                    gone += 1
        return gone

    def _remove_incoming(self, names: Iterable[str]) -> int:
        gone = 0
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (self._incoming / name).unlink()
                gone += 1
        return gone


def _older(folder: Path, before: float) -> list[str]:
    """The names of the files in a folder that were last touched before a moment."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.stat(follow_symlinks=False).st_mtime < before]
    except FileNotFoundError:
        return []
