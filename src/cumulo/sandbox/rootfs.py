# ruff: noqa: PTH101, PTH102, PTH103, PTH105, PTH108, PTH110, PTH112, PTH114, PTH115, PTH116, PTH120, PTH123, PTH208, PTH211
# (pathlib would cost the warden and every cell a megabyte)
"""What a sandbox sees as its file system.

The warden builds one read-only root in a mount namespace of its own.  Every cell starts from a copy of these
mounts, so that only what differs remains to be done: /proc, /dev/shm, and at assignment /tmp, /opt, /var/task
and what the runtime needs.  The pages, the folders and the kernel's work are shared; nothing in there can be
written from inside.

    <scratch>/rw      a tmpfs: the skeleton; only the warden ever has it writable
    <scratch>/root    the same, read-only, with the host's programs and devices bound in: what cells pivot to
    <scratch>/users   an /etc/passwd and /etc/group for each user id
    <scratch>/spot    where things are mounted for a moment
    <scratch>/tmp     the /tmp volumes
    <scratch>/none    stands for the code and the layers that are not known yet
"""

import errno
import os
import stat
from typing import TYPE_CHECKING

from cumulo.sandbox import kernel

if TYPE_CHECKING:
    from typing import Any

USER = "sbx_user1051"
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
OWN_FOLDERS = (
    "/dev",
    "/dev/shm",
    "/etc",
    "/etc/cumulo",
    "/home",
    "/mnt",
    "/opt",
    "/proc",
    "/run",
    "/sys",
    "/sys/devices",
    "/sys/devices/system",
    "/tmp",
    "/var",
    "/var/task",
    "/var/runtime",
)
ETC_FOLDERS = (
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates",
    "/etc/alternatives",
    "/etc/crypto-policies",
)
ETC_FILES = (
    "/etc/ca-certificates.conf",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
)
PLACEHOLDERS = ("/opt", "/var/task")  # of a sandbox that does not know its function yet
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
PROC_HIDDEN = (
    "kcore",
    "kmsg",
    "kallsyms",
    "keys",
    "key-users",
    "kpagecount",
    "kpageflags",
    "modules",
    "sched_debug",
    "sysrq-trigger",
    "timer_list",
    "latency_stats",
    "vmallocinfo",
    "slabinfo",
    "mounts.host",
    "acpi",
    "asound",
    "interrupts",
    "scsi",
    "config.gz",
)
PROC_READ_ONLY = ("sys", "irq", "bus", "fs", "pressure", "dynamic_debug", "driver")
_PASSWD = "root:x:0:0:root:/:/sbin/nologin\n" + USER + ":x:{uid}:{uid}::/tmp:/bin/sh\n"
_GROUP = "root:x:0:\n" + USER + ":x:{uid}:\n"
_HOSTS = "127.0.0.1 localhost sandbox\n"
TRUST_BYTES_MAX = 1024 * 1024
SHM_BYTES = 64 * 1024 * 1024

_READ_ONLY = kernel.ATTR_RDONLY | kernel.ATTR_NOSUID | kernel.ATTR_NODEV


class Roots:
    """The warden's side: the template, and detached read-only mounts of whatever a sandbox is to see."""

    def __init__(self, scratch: str) -> None:
        self.scratch = scratch
        self.root = f"{scratch}/root"
        self._resolver_seen = (0, 0)
        self._targets: set[str] = set()
        kernel.mount("tmpfs", scratch, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0700")
        for name in ("rw", "root", "users", "spot", "tmp", "none"):
            os.mkdir(f"{scratch}/{name}")
        os.mkdir(f"{scratch}/none/lib")
        self._build_skeleton(f"{scratch}/rw")
        self._bind_host()

    def refresh(self) -> None:
        """Follow the host's name servers, which change when a laptop moves."""
        try:
            found = os.stat("/etc/resolv.conf")
        except OSError:
            return
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._resolver_seen:
            self._resolver_seen = seen
            _put(f"{self.scratch}/rw/etc/resolv.conf", resolver_text())

    def reach(self, names: list[str], bundle: str, ca: str) -> None:
        """Let these host names lead to 127.0.0.1 in all sandboxes, and let them trust what these files say."""
        lines = "".join(f"127.0.0.1 {name}\n" for name in names)
        _swap(f"{self.scratch}/rw/etc/hosts", (_HOSTS + lines).encode())
        for source, target in ((bundle, "trust.pem"), (ca, "ca.pem")):
            with open(source, "rb") as file:
                _swap(f"{self.scratch}/rw/etc/cumulo/{target}", file.read(TRUST_BYTES_MAX))

    def open_for(self, message: "dict[str, Any]", tmp: str, uid: int, fds: list[int]) -> list[str]:
        """Open everything that a sandbox is to see, adding to `fds`; returns where each goes."""
        return self.open_runtime(message["binds"], tmp, uid, fds) + self.open_function(message, fds)

    def open_runtime(self, binds: list[tuple[str, str]], tmp: str, uid: int, fds: list[int]) -> list[str]:
        """The same, for what does not depend on the function."""
        targets: list[str] = []
        for source, target in binds:
            self.place(target, folder=os.path.isdir(source))
            fds.append(self.view(source))
            targets.append(target)
        fds.append(kernel.open_tree(tmp))
        targets.append("/tmp")
        for kind in ("passwd", "group"):
            fds.append(self.view(self.users(uid, kind)))
            targets.append(f"/etc/{kind}")
        return targets

    def open_function(self, message: "dict[str, Any]", fds: list[int]) -> list[str]:
        """The same, for what does: the layers and the code."""
        self.refresh()
        targets: list[str] = []
        if message["layers"]:
            fds.append(self.merged(message["layers"]))
            targets.append("/opt")
        fds.append(self.view(message["code"]))
        targets.append("/var/task")
        return targets

    def open_placeholders(self, fds: list[int]) -> list[str]:
        """Open what stands for the function until it is known.

        A dynamic loader remembers for good which folders of LD_LIBRARY_PATH it has not found.
        """
        fds += [self.view(f"{self.scratch}/none") for _ in PLACEHOLDERS]
        return list(PLACEHOLDERS)

    def view(self, source: str, *, executable: bool = True) -> int:
        """A detached read-only mount of a file or folder of the host."""
        attributes = _READ_ONLY | (0 if executable else kernel.ATTR_NOEXEC)
        fd = kernel.open_tree(source, recursive=True)
        try:
            kernel.mount_setattr(fd, attributes, recursive=True)
        except OSError as error:
            os.close(fd)
            if error.errno != errno.ENOSYS:
                raise
            return self._view_before_5_12(source)
        return fd

    def merged(self, layers: list[str]) -> int:
        """A detached read-only mount of several folders as one; later ones win."""
        if len(layers) == 1:
            return self.view(layers[0])
        fds = [os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for layer in reversed(layers)]
        try:
            # Named by descriptor: paths may hold colons and commas, and together exceed a page.
            below = ":".join(f"/proc/self/fd/{fd}" for fd in fds)
            flags = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
            kernel.mount("overlay", f"{self.scratch}/spot", "overlay", flags, f"lowerdir={below}")
        finally:
            for fd in fds:
                os.close(fd)
        try:
            return self.view(f"{self.scratch}/spot")
        finally:
            kernel.umount(f"{self.scratch}/spot")

    def users(self, uid: int, kind: str) -> str:
        """The /etc/passwd or /etc/group in which `uid` is the function's user."""
        path = f"{self.scratch}/users/{uid}.{kind}"
        if not os.path.exists(path):
            _put(path, _PASSWD.format(uid=uid) if kind == "passwd" else _GROUP.format(uid=uid))
        return path

    def forget_users(self, uid: int) -> None:
        """Remove what `users` wrote; sandboxes that still have it keep it."""
        for kind in ("passwd", "group"):
            path = f"{self.scratch}/users/{uid}.{kind}"
            if os.path.exists(path):
                os.unlink(path)

    def place(self, target: str, *, folder: bool) -> None:
        """Make sure there is something at `target` to mount upon."""
        assert target.startswith("/"), "a target is a path from the root"
        if target in self._targets:
            return
        if ".." in target.split("/"):
            raise ValueError(f"no target may climb: {target}")
        here = f"{self.scratch}/rw{target}"
        if os.path.lexists(f"{self.root}{target}"):
            return
        os.makedirs(os.path.dirname(here), exist_ok=True)
        if folder:
            os.makedirs(here, exist_ok=True)
        else:
            _put(here, "")
        self._targets.add(target)

    def _view_before_5_12(self, source: str) -> int:
        spot = f"{self.scratch}/spot"
        file_spot = f"{self.scratch}/spot.file"
        if not os.path.isdir(source):
            spot = file_spot
            _put(spot, "")
        kernel.mount(source, spot, flags=kernel.MS_BIND)
        try:
            kernel.mount("", spot, flags=kernel.MS_PRIVATE)
            flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
            kernel.mount("", spot, flags=flags)
            return kernel.open_tree(spot)
        finally:
            kernel.umount(spot)

    def _build_skeleton(self, top: str) -> None:
        flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC | kernel.MS_NOATIME
        kernel.mount("tmpfs", top, "tmpfs", flags, "mode=0755,size=8m")
        for folder in OWN_FOLDERS:
            os.mkdir(top + folder)
        for folder in SYSTEM_FOLDERS:
            _imitate(folder, top)
        for folder in (*ETC_FOLDERS, *_java_folders()):
            if os.path.isdir(folder):
                os.makedirs(top + folder, exist_ok=True)
        for name in DEVICES:
            _put(f"{top}/dev/{name}", "")
        for name, target in DEVICE_LINKS.items():
            os.symlink(target, f"{top}/dev/{name}")
        os.makedirs(f"{top}/sys/devices/system/cpu")
        os.symlink("../run", f"{top}/var/run")  # not absolute: the warden walks here too
        os.symlink("../tmp", f"{top}/var/tmp")
        for file in ETC_FILES:
            _copy(file, top)
        _put(f"{top}/etc/hosts", _HOSTS)
        _put(f"{top}/etc/hostname", "sandbox\n")
        _put(f"{top}/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
        _put(f"{top}/etc/resolv.conf", "")
        _put(f"{top}/etc/passwd", "")
        _put(f"{top}/etc/group", "")
        self.refresh()

    def _bind_host(self) -> None:
        flags = kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount(f"{self.scratch}/rw", self.root, flags=kernel.MS_BIND)
        kernel.mount("", self.root, flags=flags | kernel.MS_REMOUNT | kernel.MS_NOATIME)
        for folder in SYSTEM_FOLDERS:
            if os.path.isdir(folder) and not os.path.islink(folder):
                self._attach(self.view(folder), folder)
        for folder in (*ETC_FOLDERS, *_java_folders()):
            if os.path.isdir(folder):
                self._attach(self.view(folder, executable=False), folder)
        self._attach(self.view("/sys/devices/system/cpu", executable=False), "/sys/devices/system/cpu")
        for name in DEVICES:
            fd = kernel.open_tree(f"/dev/{name}")
            kernel.move_mount(fd, f"{self.root}/dev/{name}")
            os.close(fd)

    def _attach(self, fd: int, target: str) -> None:
        kernel.move_mount(fd, self.root + target)
        os.close(fd)


def enter(root: str) -> None:
    """Make the template the root of this process, which has its own mount namespace and pid namespace."""
    hidden = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    # While the host's /proc is still in sight: without it, the kernel refuses an ordinary user another one.
    kernel.mount("proc", f"{root}/proc", "proc", hidden, "hidepid=2")
    os.chdir(root)
    kernel.pivot_root_here()
    for name in PROC_READ_ONLY:
        _read_only(f"/proc/{name}")
    for name in PROC_HIDDEN:
        _hide(f"/proc/{name}")
    kernel.mount("tmpfs", "/dev/shm", "tmpfs", hidden, f"mode=1777,size={SHM_BYTES}")


def resolver_text() -> str:
    """The name servers that can be reached from another network namespace, as a resolv.conf."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read(65536).splitlines()
        except OSError:
            continue
        kept = [
            line
            for line in lines
            if line and not line.startswith(("#", ";", "nameserver 127.", "nameserver ::1"))
        ]
        if any(line.startswith("nameserver") for line in kept):
            return "\n".join(kept) + "\n"
    return "# no name server of the host can be reached from here\n"


def _read_only(path: str) -> None:
    try:
        kernel.mount(path, path, flags=kernel.MS_BIND | kernel.MS_REC)
    except FileNotFoundError:
        return
    flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY
    kernel.mount("", path, flags=flags | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def _hide(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        kernel.mount("tmpfs", path, "tmpfs", kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV, "size=4k")
    else:
        kernel.mount("/dev/null", path, flags=kernel.MS_BIND)


def _imitate(folder: str, top: str) -> None:
    """Make the same folder, or the same link of a merged /usr."""
    if os.path.islink(folder):
        os.symlink(os.readlink(folder), top + folder)
    elif os.path.isdir(folder):
        os.mkdir(top + folder)


def _copy(file: str, top: str) -> None:
    try:
        with open(file, "rb") as source:
            data = source.read(1024 * 1024)
    except OSError:
        return
    os.makedirs(os.path.dirname(top + file), exist_ok=True)
    with open(top + file, "wb") as target:
        target.write(data)
    os.chmod(top + file, 0o644)


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)


def _swap(path: str, data: bytes) -> None:
    """Write a file that is there whole at any moment, for those who read it meanwhile."""
    with open(f"{path}.new", "wb") as file:
        file.write(data)
    os.chmod(f"{path}.new", 0o644)
    os.replace(f"{path}.new", path)


def _java_folders() -> list[str]:
    """A JVM's settings live in /etc, with links to them from /usr."""
    return sorted(f"/etc/{name}" for name in os.listdir("/etc") if name.startswith("java"))
