"""Where the code of functions is kept: each zip as a blob, and unpacked once beside it, named by its digest.

    zip bytes -> hold(digest) -> <root>/.incoming-x unpacked, synced -> <root>/<digest> -> blob
    unused    -> renamed to <root>/.trash-x -> removed, link by link, never through a mount

A tree that has its final name is whole.  The blob comes after its tree, so what a crash leaves behind shows as
a tree that nothing refers to, and `sweep` at start finds it.
"""

import asyncio
import ctypes
import hashlib
import os
import secrets
import stat
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from cumulo.base.clock import Clock
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.zips import FOLDER_MODE, ZipRefused, unpack
from cumulo.state.blobs import Blobs, sync_folder

INTAKES_MAX = 4  # zips that are unpacked at the same time
SYNC_ONE_BY_ONE_MAX = 32
KEEP_UNUSED_SECONDS = 960.0  # the longest call, and a minute
KEEP_UNUSED_SECONDS_WHEN_ASKED = 30.0  # a call that has resolved the old code may still start a sandbox
HEXADECIMAL_DIGITS = 64


class Kept(msgspec.Struct, frozen=True):
    """A zip that is safe: its digest, its size, and where it is unpacked."""

    digest: str
    size: int
    tree: Path


class CodeStore:
    """Zips and their trees.

    `in_use` tells whether an execution environment still looks at a tree; without it, an unused tree is kept
    for as long as the longest call could take.
    """

    def __init__(
        self, blobs: Blobs, root: Path, clock: Clock, *, in_use: Callable[[Path], bool] | None = None
    ) -> None:
        self._blobs = blobs
        self._root = root
        self._clock = clock
        self._in_use = in_use
        self._holds: Counter[str] = Counter()
        self._unused: dict[str, float] = {}
        self._intake = asyncio.Semaphore(INTAKES_MAX)
        root.mkdir(parents=True, exist_ok=True)

    def tree(self, digest: str) -> Path:
        """Where a zip is, or would be, unpacked."""
        assert len(digest) == HEXADECIMAL_DIGITS, "a sha256 in hexadecimal"
        return self._root / digest

    def blob(self, digest: str) -> Path:
        """The zip itself."""
        return self._blobs.path(digest)

    @asynccontextmanager
    async def keep(self, data: bytes) -> AsyncIterator[Kept]:
        """Check, unpack and store a zip; nothing removes it while the block runs.  AwsError for a bad one."""
        async with self._intake:
            digest = await asyncio.to_thread(_digest, data)
            self._holds[digest] += 1
            try:
                await asyncio.to_thread(self._take_in, digest, data)
            except ZipRefused as error:
                self._release(digest)
                raise errors.invalid(str(error)) from error
            except BaseException:
                self._release(digest)
                raise
        try:
            yield Kept(digest, len(data), self.tree(digest))
        finally:
            self._release(digest)

    async def ensure(self, digest: str) -> Path:
        """The tree of a zip that was kept, unpacked again when it is gone.  FileNotFoundError, ZipRefused."""
        tree = self.tree(digest)
        if tree.is_dir():
            return tree
        self._holds[digest] += 1
        try:
            async with self._intake:
                data = await asyncio.to_thread(self._blobs.get, digest)
                await asyncio.to_thread(self._unpack, digest, data)
        finally:
            self._release(digest)
        return tree

    def unused(self, digests: Collection[str]) -> None:
        """Nothing refers to these any more; `remove_unused` takes them away when nobody looks at them."""
        wait = KEEP_UNUSED_SECONDS if self._in_use is None else KEEP_UNUSED_SECONDS_WHEN_ASKED
        for digest in digests:
            self._unused[digest] = self._clock.monotonic() + wait

    def next_removal(self) -> float | None:
        """When `remove_unused` has something to do, on the monotonic clock."""
        return min(self._unused.values(), default=None)

    async def remove_unused(self, referenced: Collection[str]) -> int:
        """Remove what has been unused for long enough, unless it came into use again; how many zips went."""
        now = self._clock.monotonic()
        for digest in [d for d in self._unused if d in referenced]:
            del self._unused[digest]
        gone = [d for d, due in self._unused.items() if due <= now and not self._busy(d)]
        for digest in gone:
            del self._unused[digest]
            self._detach(digest)
        for digest in [d for d, due in self._unused.items() if due <= now]:
            self._unused[digest] = now + KEEP_UNUSED_SECONDS_WHEN_ASKED
        if gone:
            await asyncio.to_thread(self._empty_trash)
        return len(gone)

    async def sweep(self, referenced: Collection[str]) -> None:
        """At start: remove what a crash left behind and what nothing refers to."""
        for digest in await asyncio.to_thread(self._trees):
            if digest not in referenced and not self._holds[digest]:
                self._detach(digest)
        await asyncio.to_thread(self._empty_trash)

    async def clear(self) -> None:
        """Remove everything that no operation holds."""
        self._unused.clear()
        await self.sweep(())

    def _busy(self, digest: str) -> bool:
        return bool(self._holds[digest]) or (self._in_use is not None and self._in_use(self.tree(digest)))

    def _release(self, digest: str) -> None:
        self._holds[digest] -= 1
        if not self._holds[digest]:
            del self._holds[digest]

    # -- on the disk ---------------------------------------------------------------------------------------

    def _take_in(self, digest: str, data: bytes) -> None:
        if not self.tree(digest).is_dir():
            self._unpack(digest, data)
        self._blobs.put(data)

    def _unpack(self, digest: str, data: bytes) -> None:
        folder = self._root / f".incoming-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        try:
            unpack(data, folder)
            _sync(folder)
            with suppress(OSError):  # another upload of the same zip was quicker
                folder.rename(self.tree(digest))
                self.tree(digest).chmod(FOLDER_MODE)
                sync_folder(self._root)
        finally:
            if folder.exists():
                _remove(folder)
        if not self.tree(digest).is_dir():
            raise FileNotFoundError(f"the code {digest} could not be put into place")

    def _detach(self, digest: str) -> None:
        """Take the zip and its tree out of sight: quick, and atomic for everybody else."""
        tree = self.tree(digest)
        if tree.is_dir() and not _mounts_below(tree):
            tree.chmod(0o700)  # or its owner may not move it
            tree.rename(self._root / f".trash-{secrets.token_hex(8)}")
        self._blobs.delete(digest)

    def _trees(self) -> list[str]:
        return [entry.name for entry in self._root.iterdir() if len(entry.name) == HEXADECIMAL_DIGITS]

    def _empty_trash(self) -> None:
        for entry in self._root.glob(".trash-*"):
            _remove(entry)

    def remove_leftovers(self) -> None:
        """Before anything runs: remove what was being unpacked or removed when the process died."""
        for pattern in (".incoming-*", ".trash-*"):
            for entry in self._root.glob(pattern):
                _remove(entry)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _remove(folder: Path) -> None:
    """Remove a tree without following a link and without entering a mount; what is mounted stays."""
    if _mounts_below(folder):
        return
    folders = [folder]
    for here in folders:
        here.chmod(0o700)
        for entry in os.scandir(here):
            if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                folders.append(Path(entry.path))
            else:
                Path(entry.path).unlink()
    for here in reversed(folders):
        here.rmdir()


def _mounts_below(folder: Path) -> bool:
    """Whether something is mounted on or below a folder (a bind mount has its source's device, so ask the kernel)."""
    try:
        table = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return folder.is_mount()
    below = str(folder.resolve())
    for line in table.splitlines():
        point = line.split(" ", 5)[4].encode().decode("unicode_escape")
        if point == below or point.startswith(below + "/"):
            return True
    return False


def _sync(folder: Path) -> None:
    """Bring a tree to the disk: file by file when it is small, its whole file system when that is quicker."""
    paths = [Path(here) / name for here, _, names in os.walk(folder) for name in names]
    files = [path for path in paths if not path.is_symlink()]
    if len(files) > SYNC_ONE_BY_ONE_MAX:
        _sync_file_system(folder)
        return
    for path in files:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    sync_folder(folder)


def _sync_file_system(folder: Path) -> None:
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed", str(folder))
    finally:
        os.close(fd)
