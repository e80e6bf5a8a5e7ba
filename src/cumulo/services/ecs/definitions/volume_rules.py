"""The volumes of a task, and what its containers mount.  Pure."""

from collections.abc import Iterable, Sequence

from cumulo.base.errors import not_implemented
from cumulo.services.ecs.definitions.container_rules import NAME
from cumulo.services.ecs.model import Document
from cumulo.services.ecs.refusals import client

_KINDS = ("host", "dockerVolumeConfiguration", "efsVolumeConfiguration")
_REFUSED = ("fsxWindowsFileServerVolumeConfiguration", "s3filesVolumeConfiguration")


def check_volumes(volumes: Sequence[Document], containers: Iterable[Document]) -> None:
    """Every volume is of one kind that can be had, and every mount names one."""
    seen: set[str] = set()
    for volume in volumes:
        name = volume.get("name")
        if not name:
            raise client("volume.name should not be null or empty.")
        if not NAME.fullmatch(name):
            raise client("volume.name contains invalid characters.")
        if name in seen:
            raise client(f"Volume names must be unique within a task definition: '{name}'.")
        seen.add(name)
        _check_kind(volume)
    mounted = set(_mounts(containers, seen))
    launched = [one["name"] for one in volumes if one.get("configuredAtLaunch")]
    unused = [name for name in launched if name not in mounted]
    if unused:
        raise client(f"Volumes [{', '.join(unused)}] are not referenced by any of the containers")


def _mounts(containers: Iterable[Document], volumes: set[str]) -> Iterable[str]:
    for container in containers:
        paths: set[str] = set()
        for mount in container["mountPoints"]:
            name, path = mount.get("sourceVolume"), mount.get("containerPath")
            if name not in volumes:
                raise client(f"Unknown volume '{name or 'null'}'.")
            if not path:
                raise client("mountPoint.containerPath should not be null or empty.")
            if path in paths:
                raise client(f"Duplicate mount point '{path}' for container '{container['name']}'.")
            paths.add(path)
            yield name


def _check_kind(volume: Document) -> None:
    for kind in _REFUSED:
        if kind in volume:
            raise not_implemented("ecs", "RegisterTaskDefinition", f"{kind} has no file system behind it")
    kinds = [kind for kind in _KINDS if kind in volume]
    if volume.get("configuredAtLaunch"):
        kinds.append("configuredAtLaunch")
    if len(kinds) > 1:
        raise client(f"Volume '{volume['name']}' cannot have more than one of: {', '.join(kinds)}.")
    if "sourcePath" in volume.get("host", {}) and not volume["host"]["sourcePath"].strip():
        raise client("host.sourcePath should not be blank.")
    docker = volume.get("dockerVolumeConfiguration", {})
    if docker.get("autoprovision") and docker.get("scope", "task") != "shared":
        raise client("Autoprovision can only be set for shared docker volumes.")
    if "efsVolumeConfiguration" in volume:
        _check_efs(volume["efsVolumeConfiguration"])


def _check_efs(efs: Document) -> None:
    encrypted = efs.get("transitEncryption") == "ENABLED"
    access = efs.get("authorizationConfig", {})
    if access.get("iam") == "ENABLED" and not encrypted:
        raise client("EFS IAM authorization requires TransitEncryption to be enabled.")
    if "transitEncryptionPort" in efs and not encrypted:
        raise client("TransitEncryptionPort requires that TransitEncryption is enabled.")
    if access.get("accessPointId"):
        if not encrypted:
            raise client("EFS access points require TransitEncryption to be enabled.")
        if efs.get("rootDirectory", "/") not in ("", "/"):
            raise client(
                'When using an EFS access point, the root directory must either be set to "/" or be omitted.'
            )
