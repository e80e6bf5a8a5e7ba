"""From Lambda's nouns to AWS's answers."""

import base64

from cumulo.base.clock import iso_millis
from cumulo.services.lambda_.model import LATEST, ImageConfig, State, Version
from cumulo.wire.service import Values

_NOT_IN_LISTS = (
    "State",
    "StateReason",
    "StateReasonCode",
    "LastUpdateStatus",
    "LastUpdateStatusReason",
    "LastUpdateStatusReasonCode",
    "RuntimeVersionConfig",
)


def sha_base64(digest: str) -> str:
    """A digest in AWS's form of CodeSha256."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def code_sha256(version: Version) -> str:
    """CodeSha256: in base64 for a zip, in hexadecimal for an image."""
    return version.code_sha256 if version.from_image else sha_base64(version.code_sha256)


def configuration(version: Version, *, qualifier: str | None = None) -> Values:
    """FunctionConfiguration; the ARN ends in `qualifier` when the caller gave one."""
    arn = f"{version.function_arn}:{qualifier}" if qualifier else version.function_arn
    return {
        "FunctionName": version.name,
        "FunctionArn": arn,
        "Runtime": version.runtime or None,
        "Role": version.role,
        "Handler": version.handler or None,
        "CodeSize": version.code_size,
        "Description": version.description,
        "Timeout": version.timeout_s,
        "MemorySize": version.memory_mib,
        "LastModified": iso_millis(version.last_modified),
        "CodeSha256": code_sha256(version),
        "Version": version.version,
        "TracingConfig": {"Mode": version.tracing},
        "RevisionId": version.revision_id,
        "PackageType": version.package_type,
        "Architectures": [version.architecture],
        "EphemeralStorage": {"Size": version.tmp_mib},
        "SnapStart": {"ApplyOn": version.snap_start, "OptimizationStatus": _optimized(version)},
        "LoggingConfig": _logging(version),
        **_given(version),
        **_state(version),
    }


def listed(version: Version, *, qualifier: str | None = None) -> Values:
    """FunctionConfiguration as lists show it: without what is about the moment."""
    shown = configuration(version, qualifier=qualifier)
    return {name: value for name, value in shown.items() if name not in _NOT_IN_LISTS}


def qualified(version: Version) -> Values:
    """The list entry of a version, `$LATEST` included, with its number in the ARN."""
    return listed(version, qualifier=version.version)


def _given(version: Version) -> Values:
    """The members that are shown only when somebody set them."""
    shown: Values = {name: value for name, value in version.extra.items() if name not in _ELSEWHERE}
    if version.environment or version.has_environment:
        shown["Environment"] = {"Variables": dict(version.environment)}
    if version.dead_letter:
        shown["DeadLetterConfig"] = {"TargetArn": version.dead_letter}
    if version.image_config is not None:
        shown["ImageConfigResponse"] = {"ImageConfig": _image_config(version.image_config)}
    if version.runtime_version_arn:
        shown["RuntimeVersionConfig"] = {"RuntimeVersionArn": version.runtime_version_arn}
    return shown


_ELSEWHERE = frozenset({"SourceKMSKeyArn"})  # shown with the code, not with the configuration


def _image_config(given: ImageConfig) -> Values:
    members = {
        "EntryPoint": given.entry_point,
        "Command": given.command,
        "WorkingDirectory": given.working_directory,
    }
    return {name: value for name, value in members.items() if value is not None}


def _optimized(version: Version) -> str:
    """Published versions are the ones that SnapStart would take snapshots of."""
    snapped = version.snap_start == "PublishedVersions" and is_published(version)
    return "On" if snapped and version.state is State.ACTIVE else "Off"


def _logging(version: Version) -> Values:
    logging = version.logging
    shown = {"LogFormat": logging.format, "LogGroup": version.log_group}
    if logging.format == "JSON":
        shown["ApplicationLogLevel"] = logging.application_level or "INFO"
        shown["SystemLogLevel"] = logging.system_level or "INFO"
    return shown


def _state(version: Version) -> Values:
    return {
        "State": str(version.state),
        "StateReason": version.state_reason or None,
        "StateReasonCode": version.state_reason_code or None,
        "LastUpdateStatus": str(version.last_update) if version.last_update else None,
        "LastUpdateStatusReason": version.last_update_reason or None,
        "LastUpdateStatusReasonCode": version.last_update_reason_code or None,
    }


def is_published(version: Version) -> bool:
    """Whether this is a numbered version."""
    return version.version != LATEST
