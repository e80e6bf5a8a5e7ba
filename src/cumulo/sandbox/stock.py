# ruff: noqa: PTH102, PTH103, PTH106, PTH108, PTH110
# (pathlib would cost the warden and every cell a megabyte)
"""The warden's stock of /tmp volumes: a few made beforehand, the others known by their names."""

import os
from typing import TYPE_CHECKING

from cumulo.sandbox import kernel, volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    from cumulo.sandbox.loop import Loop

FAILURES_MAX = 3  # then images are given up for good
UIDS = 16_384


class Volume:
    """One /tmp: where it is mounted in the warden's namespace, and the user id that owns what is in it."""

    def __init__(self, path: str, image: str, size_mib: int, uid: int) -> None:
        self.path = path
        self.image = image
        self.size_mib = size_mib
        self.uid = uid
        self.ready = False
        self.problem = ""
        self.dropped = False


class Stock:
    """Makes, keeps and drops volumes; calls back when one has become ready."""

    def __init__(
        self,
        loop: "Loop",
        *,
        images: str,
        mounts: str,
        mkfs: str,
        uid_base: int,
        uid_count: int,
        changed: "Callable[[], None]",
    ) -> None:
        self._loop = loop
        self._images = images
        self._mounts = mounts
        self._mkfs = mkfs
        self._uid_base = uid_base
        self._uid_count = uid_count
        self._changed = changed
        self._serial = 0
        self._failures = 0
        self._named: dict[str, Volume] = {}
        self._spares: list[Volume] = []
        self.problem = "" if mkfs else "no mkfs.ext4 here"
        os.makedirs(images, mode=0o700, exist_ok=True)

    def take(self, name: str, size_mib: int) -> Volume:
        """The volume of this name, which may not be ready yet."""
        volume = self._named.get(name)
        if volume is None:
            volume = self._spare(size_mib) or self._make(size_mib)
            self._named[name] = volume
        return volume

    def drop(self, name: str) -> Volume | None:
        """Forget a volume and what is in it."""
        volume = self._named.pop(name, None)
        if volume is None:
            return None
        volume.dropped = True
        if volume.ready or volume.problem:
            self._loop.help_with(lambda: _destroy(volume), _ignore)
        return volume

    def reserve(self, size_mib: int) -> Volume | None:
        """A volume that is ready and has no name yet, for somebody who will have one: see `name`."""
        for volume in self._spares:
            if volume.size_mib == size_mib and volume.ready:
                self._spares.remove(volume)
                return volume
        return None

    def has(self, name: str) -> bool:
        """Whether there is a volume of this name."""
        return name in self._named

    def name(self, volume: Volume, name: str) -> None:
        """Give a reserved volume its name."""
        assert name not in self._named, "a volume keeps its name until it is dropped"
        self._named[name] = volume

    def give_back(self, volume: Volume) -> None:
        """A reserved volume is not needed after all."""
        volume.dropped = True
        self._loop.help_with(lambda: _destroy(volume), _ignore)

    def refill(self, count: int, size_mib: int) -> None:
        """Have so many of the usual size at hand."""
        while len(self._spares) < count:
            self._spares.append(self._make(size_mib))

    def _spare(self, size_mib: int) -> Volume | None:
        for volume in self._spares:
            if volume.size_mib == size_mib:
                self._spares.remove(volume)
                return volume
        return None

    def _make(self, size_mib: int) -> Volume:
        self._serial += 1
        path = f"{self._mounts}/{self._serial}"
        os.mkdir(path)
        uid = self._uid_base + self._serial % self._uid_count
        volume = Volume(path, f"{self._images}/{self._serial}.img", size_mib, uid)
        if self.problem:
            volumes.mount_tmpfs(path, size_mib)
            volume.ready = True
            return volume

        def made(problem: str) -> None:
            if problem:
                self._substitute(volume, problem)
            volume.ready = not volume.problem
            if volume.dropped:
                self._loop.help_with(lambda: _destroy(volume), _ignore)
            self._changed()

        template = f"{self._images}/template-{size_mib}.img"
        self._loop.help_with(lambda: _build(volume, template, self._mkfs), made)
        return volume

    def _substitute(self, volume: Volume, problem: str) -> None:
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            self.problem = problem
        try:
            volumes.mount_tmpfs(volume.path, volume.size_mib)
        except OSError as error:
            volume.problem = f"{problem}; and {error}"


def _build(volume: Volume, template: str, mkfs: str) -> None:
    volumes.make_image(template, volume.size_mib, mkfs, volume.path)
    volumes.copy_sparse(template, volume.image)
    volumes.mount_image(volume.image, volume.path)


def _destroy(volume: Volume) -> None:
    # The name goes first, so that a machine that stops here has nothing to clean up.
    if os.path.exists(volume.image):
        os.unlink(volume.image)
    kernel.umount(volume.path)
    os.rmdir(volume.path)


def _ignore(_problem: str) -> None:
    """A volume that cannot be dropped goes when the warden does."""
