"""Writes the entries of a layer into the folder that the process has been shut into (chroot).

A path is walked one component at a time from an open folder, and no symbolic link is ever followed: an entry that
would go through one is refused, so that even inside its folder a layer writes only where its names say.  What a layer
says of lower ones becomes what overlayfs reads: `.wh.name` a character device 0/0, `.wh..wh..opq` the attribute
trusted.overlay.opaque.

Attributes that are kept: security.capability (what file capabilities are) and user.*.  Dropped: trusted.* and
user.overlay.*, for a layer could redirect overlayfs with them; other security.* (SELinux labels of the machine where
the image was made mean nothing here), and system.* (access control lists, which are bound to that machine's users).
"""

import errno
import os
import stat

from cumulo.engines.oci import tar
from cumulo.engines.oci.refusals import Bounds, Refusal, corrupt, refused

_FOLDERS_OPEN_MAX = 200
_DEPTH_MAX = 255
_LOOK_AFTER = 64 << 20  # bytes written between two looks at the free space
_COMPONENT_MAX = 255
_PATH_MAX = 4096
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_WHITEOUT = b".wh."
_OPAQUE_MARK = b".wh..wh..opq"
_OPAQUE = "trusted.overlay.opaque"
_SECONDS_MIN, _SECONDS_MAX = -(1 << 31), (1 << 34) - 1  # what ext4 can hold


class Planter:
    """Writes into the root folder of the process.  `finish` must come last.  Refusal, OSError."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._root = os.open("/", _FOLDER)
        self._open: dict[bytes, int] = {b"": self._root}
        self._folders: dict[
            bytes, tuple[int, int]
        ] = {}  # path -> mode, mtime: set at the end, writing disturbs them
        self._others = {
            tar.FOLDER: self._make_folder,
            tar.SYMBOLIC: self._symlink,
            tar.HARD: self._hard_link,
            tar.PIPE: self._pipe,
            tar.CHARACTER: self._device,
            tar.DEVICE: self._device,
        }
        self._unlooked = 0
        self.entries = 0
        self.bytes = 0

    def plant(self, entry: tar.Entry, reader: tar.Reader) -> None:
        """Write one entry, with its data from the reader."""
        self.entries += 1
        if len(self._open) > _FOLDERS_OPEN_MAX:
            self._let_go()
        if self.entries > self._bounds.entries_max:
            raise refused(f"the layer has more than {self._bounds.entries_max} entries")
        path = clean(entry.name)
        if not path:
            self._top(entry)
            return
        head, _, name = path.rpartition(b"/")
        parent = self._open.get(head)
        if parent is None:
            parent = self._folder(head)
        if name.startswith(_WHITEOUT):
            self._whiteout(parent, head, name)
        elif entry.type == tar.REGULAR:
            self._file(parent, path, name, entry, reader)
        else:
            self._others[entry.type](parent, path, name, entry)

    def _file(self, parent: int, path: bytes, name: bytes, entry: tar.Entry, reader: tar.Reader) -> None:
        self.bytes += entry.size
        if self.bytes > self._bounds.bytes_max:
            raise refused(f"the layer has more than {self._bounds.bytes_max} bytes of files")
        mode = entry.mode
        try:
            fd = os.open(name, _CREATE, mode & 0o777, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, path, name)
            fd = os.open(name, _CREATE, mode & 0o777, dir_fd=parent)
        try:
            if entry.stored:
                self._write(fd, entry, reader)
            if entry.sparse is not None:
                os.ftruncate(fd, entry.size)
            if entry.uid or entry.gid:
                os.fchown(fd, *_owner(entry))
            if mode & _SPECIAL:  # after chown, which takes them away
                os.fchmod(fd, mode)
            if entry.xattrs:
                _attribute(fd, entry.xattrs)
            moment = _moment(entry.mtime_ns)
            os.utime(fd, ns=(moment, moment))
        finally:
            os.close(fd)

    def _write(self, fd: int, entry: tar.Entry, reader: tar.Reader) -> None:
        def write(piece: memoryview) -> None:
            done = os.write(fd, piece)
            while done < len(piece):
                done += os.write(fd, piece[done:])

        self._unlooked += entry.stored
        if self._unlooked > _LOOK_AFTER:
            self._look_for_room(entry.stored)
        if entry.sparse is None:
            reader.data(entry.stored, write)
            return
        for offset, length in entry.sparse:
            os.lseek(fd, offset, os.SEEK_SET)
            reader.data(length, write)

    def _look_for_room(self, wanted: int) -> None:
        self._unlooked = 0
        found = os.fstatvfs(self._root)
        if found.f_bavail * found.f_frsize < wanted + self._bounds.free_min:
            raise Refusal("no-space", "there is not enough space left for the layer")

    def _make_folder(self, parent: int, path: bytes, name: bytes, entry: tar.Entry) -> None:
        opaque = False
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                opaque = _is_whiteout(found)
                self._clear(parent, path, name)
                os.mkdir(name, 0o755, dir_fd=parent)
        fd = self._folder(path)
        os.fchown(fd, *_owner(entry))
        if entry.xattrs:
            _attribute(fd, entry.xattrs)
        if opaque:
            os.setxattr(fd, _OPAQUE, b"y")
        self._folders[path] = (entry.mode, _moment(entry.mtime_ns))

    def _top(self, entry: tar.Entry) -> None:
        if entry.type != tar.FOLDER:
            raise corrupt("an entry has no name")
        os.fchown(self._root, *_owner(entry))
        if entry.xattrs:
            _attribute(self._root, entry.xattrs)
        self._folders[b""] = (entry.mode, _moment(entry.mtime_ns))

    def _symlink(self, parent: int, path: bytes, name: bytes, entry: tar.Entry) -> None:
        if not entry.link or len(entry.link) >= _PATH_MAX:
            raise corrupt(f"{_shown(path)} is a link without a target, or with one that is too long")
        try:
            os.symlink(entry.link, name, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, path, name)
            os.symlink(entry.link, name, dir_fd=parent)
        if entry.uid or entry.gid:
            os.chown(name, *_owner(entry), dir_fd=parent, follow_symlinks=False)
        moment = _moment(entry.mtime_ns)
        os.utime(name, ns=(moment, moment), dir_fd=parent, follow_symlinks=False)

    def _hard_link(self, parent: int, path: bytes, name: bytes, entry: tar.Entry) -> None:
        target = clean(entry.link)
        head, _, last = target.rpartition(b"/")
        source = self._folder(head, make=False)
        try:
            found = os.stat(last or b".", dir_fd=source, follow_symlinks=False)
        except FileNotFoundError:
            raise corrupt(
                f"{_shown(path)} is a link to {_shown(target)}, which the layer does not have"
            ) from None
        if stat.S_ISDIR(found.st_mode) or _is_whiteout(found):
            raise refused(f"{_shown(path)} is a hard link to something that is not a file")
        if target == path:
            return
        try:
            os.link(last, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            if head == path or head.startswith(path + b"/"):
                raise corrupt(f"{_shown(path)} is a link into the folder that it replaces") from None
            self._clear(parent, path, name)
            os.link(last, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)

    def _pipe(self, parent: int, path: bytes, name: bytes, entry: tar.Entry) -> None:
        try:
            os.mkfifo(name, entry.mode & 0o777, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, path, name)
            os.mkfifo(name, entry.mode & 0o777, dir_fd=parent)
        os.chown(name, *_owner(entry), dir_fd=parent, follow_symlinks=False)
        moment = _moment(entry.mtime_ns)
        os.utime(name, ns=(moment, moment), dir_fd=parent, follow_symlinks=False)

    def _device(self, _parent: int, path: bytes, _name: bytes, _entry: tar.Entry) -> None:
        raise refused(
            f"{_shown(path)} is a device: containers get theirs from the engine, never from an image"
        )

    def _whiteout(self, parent: int, head: bytes, name: bytes) -> None:
        if name == _OPAQUE_MARK:
            os.setxattr(parent, _OPAQUE, b"y")
            return
        hidden = name[len(_WHITEOUT) :]
        if name.startswith(b".wh..wh."):  # aufs kept its own books in the layers of early Docker
            return
        if hidden in (b"", b".", b".."):
            raise refused(f"{_shown(head)} has a whiteout without a name")
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:
            # A whiteout is about lower layers: what this one has itself stays, but a folder hides all below it.
            if stat.S_ISDIR(os.stat(hidden, dir_fd=parent, follow_symlinks=False).st_mode):
                os.setxattr(self._folder(head + b"/" + hidden if head else hidden), _OPAQUE, b"y")

    def _folder(self, path: bytes, *, make: bool = True) -> int:
        """The descriptor of a folder; made with those above it when a layer leaves them out."""
        found = self._open.get(path)
        if found is not None:
            return found
        head, _, name = path.rpartition(b"/")
        parent = self._folder(head, make=make)
        try:
            fd = self._enter(parent, name, make=make)
        except NotADirectoryError:
            raise refused(f"an entry goes through {_shown(path)}, which is not a folder") from None
        except FileNotFoundError:
            raise corrupt(f"a link leads to {_shown(path)}, which the layer does not have") from None
        self._open[path] = fd
        return fd

    def _enter(self, parent: int, name: bytes, *, make: bool) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(name, 0o755, dir_fd=parent)
        except NotADirectoryError:
            if not make or not _is_whiteout(os.stat(name, dir_fd=parent, follow_symlinks=False)):
                raise
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, 0o755, dir_fd=parent)
            fd = os.open(name, _FOLDER, dir_fd=parent)
            os.setxattr(fd, _OPAQUE, b"y")
            return fd
        return os.open(name, _FOLDER, dir_fd=parent)

    def _let_go(self) -> None:
        for fd in self._open.values():
            if fd != self._root:
                os.close(fd)
        self._open = {b"": self._root}

    def _clear(self, parent: int, path: bytes, name: bytes) -> None:
        """Remove what an earlier entry put at this name."""
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
            return
        inside = path + b"/"
        for known, fd in list(self._open.items()):
            if known == path or known.startswith(inside):
                os.close(fd)
                del self._open[known]
        for known in [one for one in self._folders if one == path or one.startswith(inside)]:
            del self._folders[known]
        _remove(parent, name)

    def finish(self) -> None:
        """Give the folders their modes and times."""
        for path, (mode, moment) in self._folders.items():
            head, _, name = path.rpartition(b"/")
            if len(self._open) > _FOLDERS_OPEN_MAX:
                self._let_go()
            fd = os.open(name or b"/", _FOLDER, dir_fd=self._folder(head, make=False))
            try:
                os.fchmod(fd, mode)
                os.utime(fd, ns=(moment, moment))
            finally:
                os.close(fd)


def clean(name: bytes) -> bytes:
    """A path without a slash at either end, without empty and `.` components; Refusal for `..` and what is too long.

    An absolute name counts from the folder, as with Docker.
    """
    path = name.strip(b"/")
    if b"//" in path or b"/." in path or path[:1] == b".":
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise refused(f"{_shown(name)} leads out of the layer")
        path = b"/".join(parts)
    if len(path) > _COMPONENT_MAX and (
        len(path) >= _PATH_MAX or any(len(part) > _COMPONENT_MAX for part in path.split(b"/"))
    ):
        raise refused(f"an entry has a name of {len(path)} bytes: {_shown(path)}")
    if path.count(b"/") >= _DEPTH_MAX:
        raise refused(f"an entry lies more than {_DEPTH_MAX} folders deep")
    if b"\0" in path:
        raise refused(f"{_shown(path)} has a zero byte in its name")
    return path


def _owner(entry: tar.Entry) -> tuple[int, int]:
    if not (0 <= entry.uid < 0xFFFFFFFF and 0 <= entry.gid < 0xFFFFFFFF):
        raise corrupt(
            f"{_shown(entry.name)} belongs to a user or group that cannot be: {entry.uid}:{entry.gid}"
        )
    return entry.uid, entry.gid


def _moment(nanoseconds: int) -> int:
    return min(max(nanoseconds, _SECONDS_MIN * 1_000_000_000), _SECONDS_MAX * 1_000_000_000)


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _attribute(fd: int, attributes: dict[bytes, bytes]) -> None:
    for name, value in attributes.items():
        if name == b"security.capability" or (
            name.startswith(b"user.") and not name.startswith(b"user.overlay.")
        ):
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                if error.errno != errno.ENOTSUP or not name.startswith(
                    b"user."
                ):  # a file system may lack those
                    raise


def _remove(parent: int, name: bytes) -> None:
    """Delete a folder with all that is in it; no deeper than _DEPTH_MAX."""
    fd = os.open(name, _FOLDER, dir_fd=parent)
    try:
        with os.scandir(fd) as found:
            inside = [(os.fsencode(one.name), one.is_dir(follow_symlinks=False)) for one in found]
        for one, is_folder in inside:
            if is_folder:
                _remove(fd, one)
            else:
                os.unlink(one, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)


def _shown(path: bytes) -> str:
    return repr(path[:200].decode("utf-8", "backslashreplace"))
