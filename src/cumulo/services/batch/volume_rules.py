"""Volumes and where they are mounted.  Pure; AwsError ClientException."""

import re
from collections.abc import Iterable

from cumulo.services.batch.errors import unbuilt, unfit
from cumulo.services.batch.model import Document

_FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}")
_KINDS = ("host", "efsVolumeConfiguration", "s3filesVolumeConfiguration")
_VERSIONS_WITHOUT_EFS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")


def check_volumes(volumes: Iterable[Document], platform: str, version: str) -> set[str]:
    """The names of the volumes; `version` is Fargate's platform version."""
    names: set[str] = set()
    for volume in volumes:
        name = volume.get("name", "")
        if not name or name in names:
            raise unfit("Volume name is required." if not name else f"Volume name {name} is not unique.")
        names.add(name)
        if sum(kind in volume for kind in _KINDS) > 1:
            raise unfit(
                "When the volume parameter is specified, only one volume configuration type should be used."
            )
        if "s3filesVolumeConfiguration" in volume:
            raise unbuilt("RegisterJobDefinition", "s3filesVolumeConfiguration")
        if platform == "FARGATE" and volume.get("host", {}).get("sourcePath"):
            raise unfit("host.sourcePath should not be set for volumes in Fargate.")
        if "efsVolumeConfiguration" in volume:
            _check_efs(volume["efsVolumeConfiguration"])
            if platform == "FARGATE" and version in _VERSIONS_WITHOUT_EFS:
                raise unfit(
                    f"EFS is supported for Fargate platform versions 1.4.0 or later, provided {version}"
                )
    return names


def check_mounts(container: Document, volumes: set[str]) -> None:
    """Every mount point names a volume that is there, and a path."""
    for mount in container.get("mountPoints", ()):
        source = mount.get("sourceVolume")
        if source not in volumes:
            raise unfit(f"Unknown volume '{source}' in mountPoints.")
        if not str(mount.get("containerPath", "")).startswith("/"):
            raise unfit("containerPath in mountPoints must be an absolute path.")


def _check_efs(efs: Document) -> None:
    file_system = efs["fileSystemId"]
    if not _FILE_SYSTEM.fullmatch(file_system):
        raise unfit(f"EFS configuration fileSystemId is not valid: {file_system}.")
    if not 0 <= efs.get("transitEncryptionPort", 0) <= 65535:
        raise unfit("TransitEncryptionPort must be a valid port number.")
    authorization = efs.get("authorizationConfig", {})
    encrypted = efs.get("transitEncryption") == "ENABLED"
    if authorization.get("iam") == "ENABLED" and not encrypted:
        raise unfit("EFS IAM authorization requires TransitEncryption to be enabled.")
    if authorization.get("accessPointId"):
        if not encrypted:
            raise unfit("EFS IAM access point requires TransitEncryption to be enabled.")
        if efs.get("rootDirectory", "/") != "/":
            raise unfit(
                'When using an EFS access point, the root directory must either be set to "/" or omitted'
            )
