# ruff: noqa: PTH101, PTH104, PTH106, PTH110
# (pathlib would cost the warden and every cell a megabyte)
"""The /tmp volumes: sparse ext4 images behind loop devices, so that what a function stores is bounded by the
volume and not counted as its memory.  Mounted in the warden's own mount namespace only: when the warden ends,
the kernel unmounts them and frees the loop devices.

Where this cannot be had (no mkfs.ext4, no loop devices, not root), a volume is a tmpfs of the same size.
"""

import fcntl
import os
import struct

from cumulo.sandbox import kernel

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CLR_FD = 0x4C01
_LO_FLAGS_AUTOCLEAR = 4
_LOOP_CONFIG_BYTES = 304  # fd, block_size, struct loop_info64 (232), reserved (64)
_LOOP_FLAGS_OFFSET = 8 + 52  # lo_flags in loop_info64
_ATTEMPTS_MAX = 20  # others may take the free loop device that we were told of
_MOUNT_OPTIONS = "noinit_itable,errors=continue,noquota"
MKFS_OPTIONS = (
    "-q",
    "-F",
    "-O",
    "^has_journal",
    "-m",
    "0",
    "-E",
    "lazy_itable_init=1,nodiscard",
    "-I",
    "256",
)
MIB = 1024 * 1024


def image_mib(size_mib: int) -> int:
    """The image that has so much room for files: ext4 keeps 16 MiB back, and one part in 64 for inodes."""
    return size_mib + 17 + size_mib // 60


class VolumeError(Exception):
    """No image, loop device or mount could be had."""


def make_image(template: str, size_mib: int, mkfs: str, spot: str) -> None:
    """Make the image that others of this size are copied from."""
    if os.path.exists(template):
        return
    temporary = f"{template}.{os.getpid()}"
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.ftruncate(fd, image_mib(size_mib) * MIB)
    os.close(fd)
    pid = os.posix_spawn(mkfs, [mkfs, *MKFS_OPTIONS, temporary], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise VolumeError(f"{mkfs} failed")
    mount_image(temporary, spot)
    os.rmdir(f"{spot}/lost+found")
    os.chmod(spot, 0o1777)  # noqa: S103 - it is a /tmp
    # A mount namespace that was made meanwhile may hold a copy of the mount: then its end writes nothing yet.
    kernel.syncfs(spot)
    kernel.umount(spot, 0)
    os.rename(temporary, template)


def copy_sparse(source: str, target: str) -> None:
    """Copy only what holds data."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(reading).st_size
        os.ftruncate(writing, size)
        at = 0
        while at < size:
            try:
                start = os.lseek(reading, at, os.SEEK_DATA)
            except OSError:
                break  # ENXIO: only a hole is left
            end = os.lseek(reading, start, os.SEEK_HOLE)
            while start < end:
                done = os.copy_file_range(reading, writing, end - start, start, start)
                if done == 0:
                    raise VolumeError(f"{source} ends early")
                start += done
            at = end
    finally:
        os.close(reading)
        os.close(writing)


def mount_image(image: str, target: str) -> None:
    """Mount an image by a loop device that goes away with the mount."""
    device, fd = _attach(image)
    try:
        flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOATIME
        kernel.mount(device, target, "ext4", flags, _MOUNT_OPTIONS)
    finally:
        os.close(fd)  # with AUTOCLEAR the mount now holds the device, or nobody does


def mount_tmpfs(target: str, size_mib: int) -> None:
    """The substitute: bounded too, but counted as the sandbox's memory."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("tmpfs", target, "tmpfs", flags, f"mode=1777,size={size_mib}m")


def _attach(image: str) -> tuple[str, int]:
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS_MAX):
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            device = f"/dev/loop{number}"
            try:
                fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            except OSError as error:
                raise VolumeError(f"cannot open {device}: {error.strerror}") from error
            try:
                fcntl.ioctl(fd, _LOOP_CONFIGURE, _configuration(backing, image))
            except OSError:
                os.close(fd)  # EBUSY: somebody was quicker
                continue
            return device, fd
    finally:
        os.close(control)
        os.close(backing)
    raise VolumeError("no loop device is free")


def _configuration(backing: int, image: str) -> bytes:
    raw = bytearray(_LOOP_CONFIG_BYTES)
    struct.pack_into("II", raw, 0, backing, 0)
    struct.pack_into("I", raw, _LOOP_FLAGS_OFFSET, _LO_FLAGS_AUTOCLEAR)
    name = image.encode()[-63:]
    raw[_LOOP_FLAGS_OFFSET + 4 : _LOOP_FLAGS_OFFSET + 4 + len(name)] = name
    return bytes(raw)
