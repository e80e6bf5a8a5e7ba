"""Lambda's nouns: what a function is, without any I/O.

A function has one mutable `$LATEST` and numbered, immutable versions.  While an update of `$LATEST` is in
progress, the configuration that clients see is the new one and the one that *serves* is the old one.
"""

from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from cumulo.base.caller import Caller

LATEST = "$LATEST"
ZIP = "Zip"
IMAGE = "Image"


class State(StrEnum):
    """Whether a version can be invoked."""

    PENDING = "Pending"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    FAILED = "Failed"


class UpdateStatus(StrEnum):
    """How the last update of `$LATEST` went."""

    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    IN_PROGRESS = "InProgress"


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a function logs."""

    format: str = "Text"  # or JSON
    group: str = ""  # empty: /aws/lambda/<function>
    application_level: str = ""
    system_level: str = ""


class ImageCode(msgspec.Struct, frozen=True, kw_only=True):
    """The image that a function's code is: a tag that moves later does not change it.

    uri           as it was given
    resolved_uri  with the digest, as it is shown
    reference     the same as an engine pulls it
    architecture  what it is for, in OCI's words; empty when that follows the function
    """

    uri: str
    resolved_uri: str
    reference: str
    architecture: str = ""


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a function says instead of its image; None or empty: what the image says."""

    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    working_directory: str | None = None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration of a function with its code: `$LATEST` or a published version.

    `code_sha256` is the digest of the zip (AWS shows it as base64) or of the image's manifest, in hexadecimal.
    `extra` keeps members that are shown but do not act here (VpcConfig, KMSKeyArn, FileSystemConfigs, ...), in AWS's
    shapes.  Functions from images have no runtime, handler and layers.
    """

    account: str
    region: str
    name: str
    version: str = LATEST
    runtime: str = ""
    handler: str = ""
    role: str
    description: str = ""
    timeout_s: int = 3
    memory_mib: int = 128
    tmp_mib: int = 512
    environment: dict[str, str] = {}
    has_environment: bool = False  # AWS shows an empty one too, once somebody has set it
    code_sha256: str
    code_size: int
    architecture: str = "x86_64"
    package_type: str = "Zip"
    image: ImageCode | None = None
    image_config: ImageConfig | None = None
    layers: tuple[str, ...] = ()
    tracing: str = "PassThrough"
    dead_letter: str = ""
    logging: Logging = Logging()
    snap_start: str = "None"
    extra: dict[str, object] = {}
    last_modified: float
    revision_id: str
    runtime_version_arn: str = ""
    state: State = State.PENDING
    state_reason: str = ""
    state_reason_code: str = ""
    last_update: UpdateStatus | None = None
    last_update_reason: str = ""
    last_update_reason_code: str = ""
    generation: str = ""  # changes with every update of code or configuration; see Ready
    fingerprint: str = ""  # of a published version: what `$LATEST` was when it was published

    @property
    def from_image(self) -> bool:
        """Whether its code is a container image."""
        return self.package_type == IMAGE

    @property
    def function_arn(self) -> str:
        """Without a qualifier."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"

    @property
    def arn(self) -> str:
        """With the version number when it is a published one."""
        return self.function_arn if self.version == LATEST else f"{self.function_arn}:{self.version}"

    @property
    def log_group(self) -> str:
        """The CloudWatch log group that its output goes to."""
        return self.logging.group or f"/aws/lambda/{self.name}"


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function: `latest` is what clients see, `serving` what `$LATEST` calls reach (None until it was Active)."""

    latest: Version
    serving: Version | None = None
    next_version: int = 1
    tags: dict[str, str] = {}
    reserved_concurrency: int | None = None


class Ready(msgspec.Struct, frozen=True):
    """A version that can be called now, with what a sandbox needs of it.

    `generation` changes whenever environments of the version must not be used for new calls any more (new code
    or configuration); it is the key of its pool of environments.  `invoked_arn` is the ARN as the caller named
    it (with the alias or version, when one was given).
    """

    version: Version
    code: Path
    generation: str
    invoked_arn: str
    reserved_concurrency: int | None = None


class Resolver(Protocol):
    """Finds what to call; the control plane is one."""

    def resolve(self, caller: Caller, function: str, qualifier: str | None) -> Ready:
        """By name, partial ARN or ARN (which may carry the qualifier itself).

        AwsError ResourceNotFoundException (unknown), ResourceConflictException (Pending, Failed, ...),
        InvalidParameterValueException (two qualifiers that differ).  Called for every invocation: must take
        microseconds, so results are kept until the function changes.
        """
        ...


class Fleet(Protocol):
    """The environments of all functions; the data plane is one."""

    def retire(self, generation: str) -> None:
        """Take no new calls on this generation's environments: idle ones end now, busy ones after their call."""
        ...

    def forget(self, account: str, region: str, name: str) -> None:
        """The function was deleted: end its environments, drop its queued events."""
        ...
