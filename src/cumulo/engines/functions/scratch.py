"""The /tmp of functions in containers: bounded, and the same files for the same name until it is dropped.

Each is a sparse ext4 image behind a loop device, mounted in a folder of ours that the container has bound; where
that cannot be had, a tmpfs (counted as the sandbox's memory), and where nothing can be mounted, a plain folder.
What a killed server left mounted is unmounted at the next start.
"""

import asyncio
import contextlib
import os
import shutil
import threading
from pathlib import Path

from cumulo.base.log import Log
from cumulo.sandbox import kernel, volumes
from cumulo.sandbox.volumes import VolumeError

_log = Log("engines")
_MS_SHARED = 1 << 20
_MKFS = ("/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4")


class Scratch:
    """The volumes below one folder, which is nobody else's."""

    def __init__(self, folder: Path, *, mkfs: str | None = None) -> None:
        self._folder = folder.absolute()
        self._mkfs = (
            mkfs if mkfs is not None else next((path for path in _MKFS if os.access(path, os.X_OK)), "")
        )
        self._mounted: dict[str, bool] = {}  # by name: whether something is mounted there
        self._lock = asyncio.Lock()  # one at a time: each takes milliseconds
        self._whole = threading.Lock()  # who is told to stop while it opens has opened before it closes

    async def open(self) -> None:
        """Clear away what a killed server left, and begin."""
        await asyncio.to_thread(self._begin)

    def place(self, name: str) -> Path:
        """Where the folder of a volume is, once it was taken."""
        return self._folder / name

    async def take(self, name: str, size_mib: int) -> Path:
        """The folder of a volume, made when there is none.  OSError."""
        async with self._lock:
            if name not in self._mounted:
                self._mounted[name] = await asyncio.to_thread(self._make, name, size_mib)
        return self.place(name)

    def has(self, name: str) -> bool:
        """Whether there is such a volume."""
        return name in self._mounted

    async def drop(self, name: str) -> None:
        """Forget a volume that nothing uses.  Harmless when there is none."""
        async with self._lock:
            mounted = self._mounted.pop(name, None)
            if mounted is not None:
                await asyncio.to_thread(self._remove, name, mounted=mounted)

    async def close(self) -> None:
        """Forget them all."""
        async with self._lock:
            self._mounted.clear()
            await asyncio.to_thread(self._end)

    # -- in threads --------------------------------------------------------------------------------------

    def _make(self, name: str, size_mib: int) -> bool:
        spot = self._folder / name
        spot.mkdir(mode=0o700, parents=True)
        if self._mkfs:
            try:
                image = self._image(name)
                volumes.copy_sparse(self._template(size_mib), str(image))
                volumes.mount_image(str(image), str(spot))
                return True
            except (OSError, VolumeError) as error:
                _log.warning("a /tmp is kept in memory", error=str(error))
                self._image(name).unlink(missing_ok=True)
                self._mkfs = ""  # it will not be otherwise next time
        try:
            volumes.mount_tmpfs(str(spot), size_mib)
            return True
        except OSError:
            spot.chmod(0o1777)
            return False

    def _template(self, size_mib: int) -> str:
        template = self._folder / f".template-{size_mib}"
        spot = self._folder / ".template"
        spot.mkdir(exist_ok=True)
        volumes.make_image(str(template), size_mib, self._mkfs, str(spot))
        return str(template)

    def _image(self, name: str) -> Path:
        return self._folder / f"{name}.ext4"

    def _remove(self, name: str, *, mounted: bool) -> None:
        spot = self._folder / name
        if mounted:
            _unmount(spot)
        self._image(name).unlink(missing_ok=True)
        shutil.rmtree(spot, ignore_errors=True)

    def _begin(self) -> None:
        with self._whole:
            self._clear()
            self._prepare()

    def _end(self) -> None:
        with self._whole:
            self._clear()

    def _clear(self) -> None:
        for point in reversed(self._points()):
            _unmount(Path(point))
        if not self._points():
            shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare(self) -> None:
        """Have the folder.

        It is a mount of its own that is shared: whoever leaves for another mount namespace while volumes are here (an
        engine, its monitors) takes them along, and has them unmounted there too when they are unmounted here.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # nothing can be mounted: then nothing is to be shared
            kernel.mount(str(self._folder), str(self._folder), flags=kernel.MS_BIND)
            kernel.mount("", str(self._folder), flags=_MS_SHARED)

    def _points(self) -> list[str]:
        here = str(self._folder)
        return [p for p in _mount_points() if p == here or p.startswith(f"{here}/")]


def _unmount(spot: Path) -> None:
    try:
        kernel.umount(str(spot), kernel.MNT_DETACH)
    except OSError as error:
        _log.warning("a /tmp could not be unmounted", folder=str(spot), error=str(error))


def _mount_points() -> list[str]:
    try:
        table = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return []
    return [line.split(" ", 5)[4].encode().decode("unicode_escape") for line in table.splitlines()]
