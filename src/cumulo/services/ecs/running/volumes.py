"""A task's volumes as mounts of its containers.  Pure.

bind mount with a sourcePath ─▶ BIND   EFS ─▶ BIND of a folder of ours   shared Docker volume ─▶ VOLUME
anything else that is the task's alone ─▶ POD, or VOLUME when the task has several pods
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from cumulo.engines.engine import Mount, MountKind
from cumulo.services.ecs.model import Document, Task, TaskDefinition
from cumulo.services.ecs.running.names import shared_volume_name, volume_name
from cumulo.services.ecs.running.refusal import cannot_create

_FOREIGN = ("fsxWindowsFileServerVolumeConfiguration", "s3filesVolumeConfiguration")
_FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}")
_NO_MEMORY = frozenset({"bind", "rbind", "remount", "size"})  # its size is told by itself
_POD_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


class Place(msgspec.Struct, frozen=True):
    """Where a volume is: an engine's mount without its target.

    folder   a folder of the machine that must be there first: (below, parts); parts may not leave `below`
    """

    kind: MountKind
    source: str
    folder: tuple[str, tuple[str, ...]] | None = None


class Volumes(msgspec.Struct, frozen=True):
    """Every mount of every container, the folders to be made first, and the volumes to be removed at the end."""

    mounts: Mapping[str, tuple[Mount, ...]]
    folders: tuple[tuple[str, tuple[str, ...]], ...]
    own: tuple[str, ...]


def volumes_of(
    task: Task,
    definition: TaskDefinition,
    containers: Sequence[Document],
    *,
    efs: Path,
    image_volumes: Mapping[str, Sequence[str]],
) -> Volumes:
    """What is mounted where.  CannotStart for a kind of volume that is not carried here.

    efs            the folder that file systems are kept in
    image_volumes  by container: the paths that its image declares as volumes
    """
    several = definition.network_mode == "bridge" and len(containers) > 1
    places = {
        str(one["name"]): _place(task, one, efs, several=several)
        for one in definition.document.get("volumes", ())
    }
    launched = {str(one.get("name")) for one in task.volumes}
    if launched:
        raise cannot_create(
            f"the volume {min(launched)} is configured at launch: EBS volumes are not carried"
        )
    lent = {str(it["sourceContainer"]) for one in containers for it in one.get("volumesFrom", ())}
    own: dict[str, tuple[Mount, ...]] = {}
    for one in containers:
        name = str(one["name"])
        mounts = [_mount(name, point, places) for point in one.get("mountPoints", ())]
        if name in lent:
            mounts += _shared(task, name, image_volumes.get(name, ()), mounts, several=several)
        own[name] = tuple(mounts)
    mounts_of = {str(one["name"]): _borrowed(one, own) for one in containers}
    used = {mount.source for mounts in mounts_of.values() for mount in mounts}
    return Volumes(
        mounts={name: (*mounts, *_memory(containers, name)) for name, mounts in mounts_of.items()},
        folders=tuple(one.folder for one in places.values() if one.folder is not None and one.source in used),
        own=tuple(
            sorted(
                {
                    mount.source
                    for mounts in mounts_of.values()
                    for mount in mounts
                    if mount.kind is MountKind.VOLUME and mount.source.startswith(f"ecs-{task.id}-")
                }
            )
        ),
    )


def own_volumes(task: Task, definition: TaskDefinition) -> list[str]:
    """The names of every engine's volume that the task may have had for itself."""
    if definition.network_mode != "bridge":
        return []
    named = [volume_name(task, str(one["name"])) for one in definition.document.get("volumes", ())]
    lent = {str(it["sourceContainer"]) for one in definition.containers for it in one.get("volumesFrom", ())}
    return named + [volume_name(task, f"from-{one}-{number}") for one in lent for number in range(32)]


def shared_volumes(task: Task, definition: TaskDefinition) -> list[str]:
    """The names of the engine's volumes that the task shares with others."""
    told = [(str(one["name"]), one.get("dockerVolumeConfiguration") or {}) for one in definition.document.get("volumes", ())]  # fmt: skip
    return [shared_volume_name(task, name) for name, docker in told if docker.get("scope") == "shared"]


def _place(task: Task, volume: Document, efs: Path, *, several: bool) -> Place:
    name = str(volume["name"])
    for foreign in _FOREIGN:
        if volume.get(foreign):
            raise cannot_create(f"the volume {name}: {foreign} is not carried")
    if volume.get("efsVolumeConfiguration"):
        return _efs(name, volume["efsVolumeConfiguration"], efs)
    docker = volume.get("dockerVolumeConfiguration")
    if docker:
        return _docker(task, name, docker, several=several)
    source = str((volume.get("host") or {}).get("sourcePath") or "")
    if source:
        path = PurePosixPath("/", source)
        if ".." in path.parts:
            raise cannot_create(f"the volume {name}: {source} is not an absolute path")
        return Place(MountKind.BIND, str(path), ("/", path.parts[1:]))
    return _alone(task, name, several=several)


def _alone(task: Task, name: str, *, several: bool) -> Place:
    if several:
        return Place(MountKind.VOLUME, volume_name(task, name))
    return Place(MountKind.POD, _POD_NAME.sub("-", name))


def _docker(task: Task, name: str, said: Document, *, several: bool) -> Place:
    driver = said.get("driver") or "local"
    if driver != "local" or said.get("driverOpts"):
        what = f"the driver {driver}" if driver != "local" else "driverOpts"
        raise cannot_create(f"the volume {name}: {what} of Docker volumes is not carried")
    if said.get("scope") == "shared":
        return Place(MountKind.VOLUME, shared_volume_name(task, name))
    return _alone(task, name, several=several)


def _efs(name: str, said: Document, efs: Path) -> Place:
    system = str(said.get("fileSystemId") or "")
    if not _FILE_SYSTEM.fullmatch(system):
        raise cannot_create(f"the volume {name}: {system} is not the id of a file system")
    if (said.get("authorizationConfig") or {}).get("accessPointId"):
        raise cannot_create(f"the volume {name}: access points of EFS are not carried")
    parts = PurePosixPath("/", str(said.get("rootDirectory") or "/")).parts[1:]
    if ".." in parts:
        raise cannot_create(f"the volume {name}: the root directory may not contain ..")
    return Place(MountKind.BIND, str(efs.joinpath(system, *parts)), (str(efs), (system, *parts)))


def _mount(container: str, point: Document, places: Mapping[str, Place]) -> Mount:
    source = str(point.get("sourceVolume") or "")
    place = places.get(source)
    if place is None:
        raise cannot_create(f"the volume {source} is not in the task definition", container)
    return Mount(
        target=str(point["containerPath"]),
        kind=place.kind,
        source=place.source,
        read_only=bool(point.get("readOnly")),
        below=place.folder[0] if place.folder is not None and place.folder[0] != "/" else "",
    )


def _shared(
    task: Task, name: str, paths: Sequence[str], mounts: Sequence[Mount], *, several: bool
) -> list[Mount]:
    """The volumes of an image that another container takes with `volumesFrom`: with a name, so both can have them."""
    taken = {mount.target for mount in mounts}
    found = []
    for number, path in enumerate(paths[:32]):
        if path not in taken:
            place = _alone(task, f"from-{name}-{number}", several=several)
            found.append(Mount(target=path, kind=place.kind, source=place.source))
    return found


def _borrowed(one: Document, own: Mapping[str, tuple[Mount, ...]]) -> tuple[Mount, ...]:
    name = str(one["name"])
    found = {mount.target: mount for mount in own[name]}
    for lender in one.get("volumesFrom", ()):
        for mount in own.get(str(lender["sourceContainer"]), ()):
            read_only = mount.read_only or bool(lender.get("readOnly"))
            found.setdefault(mount.target, msgspec.structs.replace(mount, read_only=read_only))
    return tuple(found.values())


def _memory_options(one: Document, container: str) -> tuple[str, ...]:
    """Its mount options, without those that would make something else of it than memory."""
    words = tuple(str(word) for word in one.get("mountOptions", ()))
    for word in words:
        if word.partition("=")[0] in _NO_MEMORY:
            raise cannot_create(f"the tmpfs {one['containerPath']}: {word} is not carried", container)
    return words


def _memory(containers: Sequence[Document], name: str) -> list[Mount]:
    told = next(one for one in containers if one["name"] == name)
    return [
        Mount(
            target=str(one["containerPath"]),
            kind=MountKind.TMPFS,
            size_mib=int(one["size"]),
            options=_memory_options(one, name),
        )
        for one in (told.get("linuxParameters") or {}).get("tmpfs", ())
    ]
