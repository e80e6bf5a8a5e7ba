"""Everything that a container needs before it can be created: its root, user, mounts and devices, to a bundle."""

import hashlib
import os
import resource
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from cumulo.engines.engine import ContainerSpec, EngineError, Limits, Mount, MountKind, StartFailed
from cumulo.engines.images import Image
from cumulo.engines.local import bundle, capabilities, hostfiles, overlay, programs, users, volumes
from cumulo.engines.local.bundle import Bound, Device, Surroundings
from cumulo.engines.local.files import write_whole
from cumulo.engines.local.filters import Filters
from cumulo.engines.local.inside import Inside
from cumulo.engines.local.needs import LayerStore
from cumulo.engines.local.places import Places, PodRecord
from cumulo.sandbox import kernel

_DEVICES_MAX = 4096


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine allows.

    held  capabilities that root has here
    init  path of a small init that needs no libraries; empty when there is none
    swap  whether the kernel can bound swap
    unified  control groups are of version 2
    """

    held: frozenset[str]
    init: str = ""
    swap: bool = True
    unified: bool = False


class Preparer:
    """Makes bundles."""

    def __init__(self, places: Places, layers: LayerStore, machine: Machine) -> None:
        self._places = places
        self._layers = layers
        self._machine = machine
        self._filters = Filters()

    def prepare(
        self,
        record: PodRecord,
        spec: ContainerSpec,
        limits: Limits,
        cgroup: str,
        binds: Mapping[str, int],
    ) -> Path:
        """Mount the root and write config.json; the bundle's folder.  StartFailed.

        limits  of the pod, with those of the slice that it lives in
        binds  detached mounts (descriptors) of the host's files, by target.  They are attached below <bundle>/binds,
               where they are needed until the container is created
        """
        folder = self._places.container(record.spec.name, spec.name)
        image = record.images[spec.image]
        if not bundle.argv(spec, image.config):
            raise StartFailed("entrypoint", "no command: exec needs one, and neither spec nor image has it")
        self._check_ulimits(spec)
        granted = self._capabilities(spec)
        try:
            rootfs = overlay.mount([self._layers.folder(layer) for layer in image.layers], folder)
        except KeyError as error:
            raise StartFailed("engine", f"a layer of the image is gone: {error}") from error
        except OSError as error:
            raise StartFailed("mount", f"the image could not be mounted: {error}") from error
        with Inside(str(rootfs)) as inside:
            user = find_user(inside, spec.user or image.config.user)
            mounts = self._mounts(record, spec, image, inside, _stage(folder, binds))
            if not spec.init:  # which tells its own tale when it cannot execute it
                caller = programs.Caller(
                    cwd=bundle.cwd(spec, image.config),
                    path={**image.config.env, **spec.env}.get("PATH", bundle.PATH),
                    user=user,
                    capabilities=granted,
                )
                covered = [*bundle.SYSTEM, *(mount.target for mount in mounts)]
                programs.check(inside, bundle.argv(spec, image.config)[0], caller, covered)
        around = Surroundings(
            image=image.config,
            rootfs=str(rootfs),
            hostname=hostfiles.hostname(record.spec),
            namespace=_namespace(record.connection.namespace),
            cgroup=cgroup,
            user=user,
            capabilities=granted,
            architecture=image.platform.architecture,
            mounts=tuple(mounts),
            devices=tuple(_devices(spec)),
            init=self._init(spec),
            swap=self._machine.swap,
            unified=self._machine.unified,
            pod=limits,
        )
        document = bundle.config(spec, around)
        if not spec.privileged:
            document["annotations"] = self._filters.annotations((granted, image.platform.architecture))
        write_whole(folder / "config.json", msgspec.json.encode(document))
        return folder

    def learn(self, record: PodRecord, spec: ContainerSpec, state: Path) -> None:
        """A container was created; `state` is the runtime's folder of it."""
        if not spec.privileged:
            architecture = record.images[spec.image].platform.architecture
            self._filters.learn((self._capabilities(spec), architecture), state)

    def granted(self, spec: ContainerSpec) -> frozenset[str]:
        """The capabilities of a container.  StartFailed."""
        return self._capabilities(spec)

    def _capabilities(self, spec: ContainerSpec) -> frozenset[str]:
        try:
            return capabilities.granted(
                spec.add, spec.drop, privileged=spec.privileged, held=self._machine.held
            )
        except capabilities.BadCapability as error:
            raise StartFailed("engine", str(error)) from error

    def _init(self, spec: ContainerSpec) -> str:
        if spec.init and not self._machine.init:
            raise StartFailed("engine", "init is wanted, and there is none here: apt-get install tini")
        return self._machine.init if spec.init else ""

    def _check_ulimits(self, spec: ContainerSpec) -> None:
        for limit in spec.ulimits:
            number = getattr(resource, f"RLIMIT_{limit.name.upper()}", None)
            if number is None:
                raise StartFailed("engine", f"there is no ulimit {limit.name}")
            most = resource.getrlimit(number)[1]
            beyond = most != resource.RLIM_INFINITY and (limit.hard < 0 or limit.hard > most)
            if beyond and "SYS_RESOURCE" not in self._machine.held:
                raise StartFailed(
                    "engine", f"ulimit {limit.name}={limit.hard} is beyond this machine's hard limit, {most}"
                )

    def _mounts(
        self, record: PodRecord, spec: ContainerSpec, image: Image, inside: Inside, staged: Mapping[str, str]
    ) -> list[Bound]:
        pod = self._places.pod(record.spec.name)
        taken = {clean(mount.target) for mount in spec.mounts}
        bounds = [self._mount(mount, pod, inside, staged) for mount in spec.mounts]
        for target in image.config.volumes:
            if clean(target) not in taken:
                name = hashlib.sha256(clean(target).encode()).hexdigest()[:16]
                folder = pod / "image-volumes" / f"{spec.name}-{name}"
                bounds.append(Bound(clean(target), str(_ensure(folder, inside, target))))
        bounds += [
            Bound(target, str(pod / name))
            for target, name in hostfiles.TARGETS.items()
            if target not in taken
        ]
        return bounds

    def _mount(self, mount: Mount, pod: Path, inside: Inside, staged: Mapping[str, str]) -> Bound:
        target = clean(mount.target)
        if mount.kind == MountKind.TMPFS:
            size = (f"size={mount.size_mib}m",) if mount.size_mib else ()
            options = tuple(word for word in mount.options if word != "defaults")
            return Bound(target, "", "tmpfs", mount.read_only, (*size, *options))
        if mount.kind == MountKind.BIND:
            return Bound(target, staged[target], "bind", mount.read_only)
        folder = self._places.volumes if mount.kind == MountKind.VOLUME else pod / "volumes"
        return Bound(target, str(_ensure(folder / mount.source, inside, target)), "bind", mount.read_only)


def clean(target: str) -> str:
    """A path inside without dots and doubled slashes."""
    parts: list[str] = []
    for part in PurePosixPath("/", target).parts[1:]:
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def find_user(inside: Inside, wanted: str) -> users.User:
    """The user in the image's own files.  StartFailed."""
    try:
        return users.look_up(wanted, inside.text("/etc/passwd"), inside.text("/etc/group"))
    except users.UnknownUser as error:
        raise StartFailed("user", str(error)) from error


def open_binds(mounts: Sequence[Mount]) -> dict[str, int]:
    """Detached copies of what is bound, as this thread sees the host.  StartFailed; the caller closes them."""
    found: dict[str, int] = {}
    for mount in mounts:
        if mount.kind == MountKind.BIND:
            try:
                found[clean(mount.target)] = _open_bind(mount)
            except OSError as error:
                for fd in found.values():
                    os.close(fd)
                raise StartFailed("mount", f"{mount.source} cannot be bound: {error.strerror}") from error
    return found


def _open_bind(mount: Mount) -> int:
    """A detached copy of one bind.  Containers may exchange what lies below `below` for links at any moment."""
    if not mount.below:
        return kernel.open_tree(mount.source, recursive=True)
    place = os.open(mount.below, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in PurePosixPath(mount.source).relative_to(mount.below).parts:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        return kernel.open_tree_at(place)
    finally:
        os.close(place)


def machine_of(status: str, init: str, *, swap: bool, unified: bool = False) -> Machine:
    """From the text of /proc/self/status."""
    masks = dict(line.split(":\t", 1) for line in status.splitlines() if line.startswith("Cap"))
    held = int(masks.get("CapBnd", "0"), 16) & int(masks.get("CapEff", "0"), 16)
    return Machine(held=capabilities.names_of(held), init=init, swap=swap, unified=unified)


def _stage(folder: Path, binds: Mapping[str, int]) -> dict[str, str]:
    """Attach detached mounts in this namespace, where the runtime will find them."""
    places = {}
    for number, (target, fd) in enumerate(binds.items()):
        place = folder / "binds" / str(number)
        place.parent.mkdir(exist_ok=True)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            place.mkdir(exist_ok=True)
        else:
            place.touch(exist_ok=True)
        try:
            kernel.move_mount(fd, str(place))
        except OSError as error:
            raise StartFailed("mount", f"{target} could not be mounted: {error}") from error
        places[target] = str(place)
    return places


def _ensure(folder: Path, inside: Inside, target: str) -> Path:
    try:
        return volumes.ensure(folder, inside, target)
    except EngineError as error:
        raise StartFailed("mount", str(error)) from error


def _namespace(path: Path | None) -> str:
    """The file is mounted where the main thread lives, which may not be seen here."""
    return f"/proc/{os.getpid()}/root{path}" if path is not None else ""


def _devices(spec: ContainerSpec) -> list[Device]:
    wanted = list(spec.devices)
    if spec.privileged:
        wanted += ["/dev"]
    found: dict[str, Device] = {}
    for path in wanted:
        for device in _walk(path):
            found[device.path] = device
            if len(found) > _DEVICES_MAX:
                raise StartFailed("mount", f"more than {_DEVICES_MAX} devices")
    return list(found.values())


def _walk(path: str) -> list[Device]:
    try:
        about = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise StartFailed("mount", f"there is no device {path}: {error.strerror}") from error
    if not stat.S_ISDIR(about.st_mode):
        device = _device(path, about)
        if device is None:
            raise StartFailed("mount", f"{path} is not a device")
        return [device]
    found = []
    for folder, names, files in os.walk(path):
        names[:] = [name for name in names if name not in {"pts", "shm", "mqueue", "fd", ".udev"}]
        for name in files:
            inner = f"{folder}/{name}"
            device = None if os.path.islink(inner) else _device(inner, os.stat(inner))  # noqa: PTH114, PTH116
            if device is not None and inner not in {"/dev/console", "/dev/ptmx", "/dev/tty"}:
                found.append(device)
    return found


def _device(path: str, about: os.stat_result) -> Device | None:
    kind = "c" if stat.S_ISCHR(about.st_mode) else "b" if stat.S_ISBLK(about.st_mode) else ""
    if not kind:
        return None
    major, minor = os.major(about.st_rdev), os.minor(about.st_rdev)
    return Device(path, kind, major, minor, about.st_mode & 0o7777, about.st_uid, about.st_gid)
