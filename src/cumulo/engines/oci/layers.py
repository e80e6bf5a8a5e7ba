"""Unpacked layers, each once, by diff id (the digest of the uncompressed tar).

    layers/<hex>/diff          a lowerdir for overlayfs
    layers/<hex>/layer.json    its size; the boot in which it was written, until it is surely on the disk
    incoming/                  what is not finished, or on its way out; emptied at start

A layer is renamed into place when it is whole and its digests matched, so a kill leaves none by halves.  Waiting for
the disk would make a pull half as slow again; so that is done afterwards (`settle`), and a layer that was not yet
settled when the machine (not only the process) went down is forgotten at the next start.
"""

import asyncio
import ctypes
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cumulo.engines.images import Descriptor, PullError
from cumulo.engines.oci import records
from cumulo.engines.oci.flights import Flights
from cumulo.engines.oci.refusals import Bounds
from cumulo.engines.oci.unpacking import unpack

_PROCESSES_MAX = 8  # that unpack at once, over all pulls

Fetch = Callable[[], AsyncIterator[bytes] | Path]


class _Record(msgspec.Struct, frozen=True):
    size: int
    entries: int
    boot: str = ""


class Layers:
    """The layers that are here.  `start` comes first."""

    def __init__(self, root: Path, bounds: Bounds) -> None:
        self._layers = root / "layers"
        self.incoming = root / "incoming"
        self._bounds = bounds
        self._known: dict[str, _Record] = {}
        self._pins: Counter[str] = Counter()
        self._flights: Flights[None] = Flights()
        self._processes = asyncio.Semaphore(_PROCESSES_MAX)
        self._boot = ""
        self._settling: asyncio.Task[None] | None = None
        self._removing: set[asyncio.Task[None]] = set()

    def load(self) -> None:
        """Read what is here, and sweep what is not whole.  Blocks for the disk."""
        self._layers.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.incoming.mkdir(mode=0o700, exist_ok=True)
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for leftover in self.incoming.iterdir():
            _delete(leftover)
        for folder in self._layers.iterdir():
            record = _read(folder / "layer.json")
            if record is None or record.boot not in ("", self._boot):
                _delete(folder)
            else:
                self._known[f"sha256:{folder.name}"] = record

    def has(self, diff_id: str) -> bool:
        """Whether the layer is here, whole."""
        return diff_id in self._known

    def size(self, diff_id: str) -> int:
        """Bytes of its files; KeyError."""
        return self._known[diff_id].size

    def folder(self, diff_id: str) -> Path:
        """Its files, ready to be a lowerdir of overlayfs; KeyError when it is not here."""
        if diff_id not in self._known:
            raise KeyError(diff_id)
        return self._place(diff_id) / "diff"

    def _place(self, diff_id: str) -> Path:
        return self._layers / diff_id.removeprefix("sha256:")

    @contextmanager
    def pinned(self, diff_ids: Iterable[str]) -> Iterator[None]:
        """They are not collected meanwhile."""
        pins = list(diff_ids)
        self._pins.update(pins)
        try:
            yield
        finally:
            self._pins.subtract(pins)

    async def ensure(self, diff_id: str, blob: Descriptor, fetch: Fetch) -> None:
        """Have the layer here.  The same for many at once is unpacked once.  PullError."""
        while diff_id not in self._known:
            others = self._flights.has(diff_id)
            try:
                await self._flights.join(diff_id, lambda: self._unpack(diff_id, blob, fetch))
            except PullError:
                if not others:  # theirs may have come from a broken place
                    raise

    async def _unpack(self, diff_id: str, blob: Descriptor, fetch: Fetch) -> None:
        async with self._processes:
            staging = self.incoming / f"layer-{secrets.token_hex(8)}"
            try:
                (staging / "diff").mkdir(mode=0o755, parents=True)
                (staging / "diff").chmod(0o755)
                layer = fetch()
                trusted = isinstance(layer, Path)
                found = await unpack(
                    staging / "diff", diff_id, layer, self._bounds,
                    digest="" if trusted or blob.digest == diff_id else blob.digest,
                    packed_size=-1 if trusted else blob.size,
                )  # fmt: skip
                record = _Record(found.size, found.entries, self._boot)
                (staging / "layer.json").write_bytes(msgspec.json.encode(record))
                staging.rename(self._place(diff_id))
            except OSError as error:
                await asyncio.to_thread(_delete, staging)
                raise PullError("no-space", f"the layer cannot be kept: {error}") from error
            except BaseException:
                await asyncio.shield(asyncio.to_thread(_delete, staging))
                raise
        self._known[diff_id] = record

    def settle(self) -> None:
        """Begin to bring what is new safely to the disk, in the background."""
        if self._settling is None or self._settling.done():
            self._settling = asyncio.get_running_loop().create_task(self._settle())

    async def _settle(self) -> None:
        while fresh := [diff_id for diff_id, record in self._known.items() if record.boot]:
            await asyncio.to_thread(_sync, self._layers)
            for diff_id in fresh:
                record = self._known.get(diff_id)
                if record is not None:
                    self._known[diff_id] = settled = msgspec.structs.replace(record, boot="")
                    await self._rewrite(diff_id, settled)

    async def _rewrite(self, diff_id: str, record: _Record) -> None:
        target = self._place(diff_id) / "layer.json"
        try:
            await asyncio.to_thread(records.write, self.incoming, target, msgspec.json.encode(record))
        except OSError:  # removed meanwhile, or no space: at worst it is forgotten at the next boot
            return

    def collect(self, needed: set[str]) -> None:
        """Let go of every layer that is neither needed nor pinned; the files go in the background."""
        for diff_id in [one for one in self._known if one not in needed and self._pins[one] <= 0]:
            del self._known[diff_id]
            trash = self.incoming / f"trash-{secrets.token_hex(8)}"
            self._place(diff_id).rename(trash)
            self._later(asyncio.to_thread(_delete, trash))

    def _later(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        task = asyncio.get_running_loop().create_task(run())
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def close(self) -> None:
        """End what is under way, and wait for the disk."""
        await self._flights.close()
        if self._settling is not None:
            await asyncio.gather(self._settling, return_exceptions=True)
        await asyncio.gather(*self._removing, return_exceptions=True)


def _read(path: Path) -> _Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Record)
    except (OSError, msgspec.DecodeError):
        return None


def _delete(path: Path) -> None:
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """syncfs: only the file system of the layers."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(fd)
