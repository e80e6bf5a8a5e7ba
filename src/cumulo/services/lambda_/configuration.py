"""What callers say about a function: checked beyond the model, and laid over the version that was before.

Every member either acts (a field of Version), is kept and shown (`extra`), or is refused by its name.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cumulo.base.errors import AwsError, not_implemented
from cumulo.sandbox.runtimes import catalog
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.model import IMAGE, ZIP, ImageConfig, Logging, Version
from cumulo.services.lambda_.quotas import (
    ENVIRONMENT_BYTES_MAX,
    ENVIRONMENT_RESERVED,
    IMAGE_CONFIG_BYTES_MAX,
    LAYERS_MAX,
    MEMORY_MIB_MAX,
    RUNTIMES,
    RUNTIMES_RETIRED,
    SNAP_START_RUNTIMES,
    TIMEOUT_S_MAX,
    TMP_MIB_MAX,
)
from cumulo.wire.service import Values

Fields = dict[str, Any]
ARM = "arm64"

_REFUSED = {
    "TenancyConfig": "tenant isolation is not built yet",
    "CapacityProviderConfig": "Lambda Managed Instances are not built yet",
    "DurableConfig": "durable functions are not built yet",
    "RuntimeConfig": "custom managed runtimes are not built yet",
    "AcceleratorConfig": "accelerators are not built yet",
    "PublishTo": "$LATEST.PUBLISHED belongs to Lambda Managed Instances, which are not built yet",
}
_SHOWN = ("VpcConfig", "KMSKeyArn", "FileSystemConfigs")
_LAYER = re.compile(r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):\d{12}:layer:(?P<name>[\w-]+):\d+")
_NOT_COMPARED = frozenset(
    {
        "version",
        "last_modified",
        "revision_id",
        "runtime_version_arn",
        "state",
        "state_reason",
        "state_reason_code",
        "last_update",
        "last_update_reason",
        "last_update_reason_code",
        "generation",
        "fingerprint",
        "image",  # its digest is compared, not what it was called
    }
)


def refuse_unbuilt(operation: str, values: Values) -> None:
    """Say by name what this cloud has not got."""
    for member, why in _REFUSED.items():
        if values.get(member) not in (None, {}, [], ""):
            raise not_implemented("lambda", f"{operation} with {member}", why)
    if arn := values.get("CodeSigningConfigArn"):
        if values.get("PackageType") == IMAGE:
            raise errors.invalid(errors.NO_CODE_SIGNING)
        raise AwsError(
            "CodeSigningConfigNotFoundException",
            "The code signing configuration cannot be found. Check that the provided configuration is not"
            f" deleted: {arn}.",
            status=404,
            fields={"Type": "User"},
        )


def changes(values: Values, before: Version | None, region: str) -> Fields:
    """The fields of Version that the request sets."""
    package_type = before.package_type if before else values.get("PackageType", ZIP)
    check_package(values, package_type, creating=before is None)
    found: Fields = {}
    for member, read in _READERS.items():
        if member in values:
            found.update(read(values[member]))
    if (runtime := values.get("Runtime")) is not None:
        found["runtime"] = _runtime(runtime)
        found["runtime_version_arn"] = _version_arn(runtime, region)
    if "Layers" in values:
        found["layers"] = _layers(values["Layers"], region)
    if "LoggingConfig" in values:
        found["logging"] = _logging(values["LoggingConfig"], before.logging if before else Logging())
    shown = {name: _shown(name, values[name]) for name in _SHOWN if name in values}
    if shown:
        found["extra"] = _without_nothing((dict(before.extra) if before else {}) | shown)
    runtime = found.get("runtime", before.runtime if before else "")
    _check_snap_start(
        found.get("snap_start", before.snap_start if before else "None"),
        "ContainerImage" if package_type == IMAGE else runtime,
    )
    return found


def check_package(values: Values, package_type: str, *, creating: bool) -> None:
    """A function from an image has no runtime, handler and layers; one from a zip must have the first two."""
    if package_type == IMAGE:
        if values.get("Runtime") or values.get("Handler"):
            raise errors.invalid(
                "Please don't provide Handler or Runtime or Layer when the intended function PackageType is"
                " Image."
            )
        if values.get("Layers"):
            raise errors.invalid(
                "Lambda layers are not supported for functions created with container images."
            )
    elif creating and not (values.get("Runtime") and values.get("Handler")):
        raise errors.invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    elif values.get("ImageConfig"):
        raise errors.invalid(
            "Please don't provide ImageConfig when the intended function PackageType is Zip."
        )


def fingerprint(version: Version) -> str:
    """A digest of what a version would be if it were published now."""
    built = msgspec.to_builtins(version)
    compared = {n: value for n, value in built.items() if n not in _NOT_COMPARED and value is not None}
    return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()


def _at_most(member: str, value: int, most: int) -> int:
    if value > most:
        raise errors.broken_constraint(value, member, f"Member must have value less than or equal to {most}")
    return value


def _memory(value: int) -> int:
    """More than an account may have, though the model knows machines that have it."""
    if value > MEMORY_MIB_MAX:
        raise errors.invalid(
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to"
            f" {MEMORY_MIB_MAX}"
        )
    return value


def _runtime(name: str) -> str:
    if name in RUNTIMES_RETIRED:
        raise errors.invalid(
            f"The runtime parameter of {name} is no longer supported for creating or updating AWS Lambda"
            " functions. We recommend you use a supported runtime while creating or updating functions."
        )
    if name not in RUNTIMES:
        raise errors.invalid(
            f"Value {name} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set:"
            f" [{', '.join(RUNTIMES)}] or be a valid ARN"
        )
    return name


def _version_arn(name: str, region: str) -> str:
    """The ARN of the runtime's build: AWS shows it at once, before the function is Active."""
    row = catalog.find(name)
    return "" if row is None else row.version_arn.replace("{region}", region)


def _environment(given: Values) -> Fields:
    variables: dict[str, str] = given.get("Variables") or {}
    reserved = [name for name in variables if name in ENVIRONMENT_RESERVED]
    if reserved:
        raise errors.invalid(
            "Lambda was unable to configure your environment variables because the environment variables you"
            " have provided contains reserved keys that are currently not supported for modification."
            f" Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > ENVIRONMENT_BYTES_MAX:
        raise errors.invalid(
            "Lambda was unable to configure your environment variables because the environment variables you"
            f" have provided exceeded the 4KB limit. String measured: {measured}"
        )
    if any("\0" in value for value in variables.values()):
        raise errors.invalid("Environment variable values must not contain the NUL character.")
    return {"environment": dict(variables), "has_environment": "Variables" in given}


def _layers(arns: list[str], region: str) -> tuple[str, ...]:
    if len(arns) > LAYERS_MAX:
        raise errors.invalid("Cannot reference more than 5 layers.")
    seen: dict[str, str] = {}
    for arn in arns:
        match = _LAYER.fullmatch(arn)
        if match is not None and match["region"] != region:
            raise errors.invalid(
                "Layers are not in the same region as the function."
                f" Layers are expected to be in region {region}."
            )
        layer = arn.rpartition(":")[0]
        if layer in seen:
            raise errors.invalid(
                "Two different versions of the same layer are not allowed to be referenced in the same"
                f" function. {seen[layer]} and {arn} are versions of the same layer."
            )
        seen[layer] = arn
    if arns:
        # Layers cannot be published here yet, so there is none that could be meant.
        raise errors.invalid(f"Layer version {arns[0]} does not exist.")
    return ()


def _logging(given: Values, before: Logging) -> Logging:
    levels = {"ApplicationLogLevel", "SystemLogLevel"} & given.keys()
    form = given.get("LogFormat", before.format)
    if form == "Text" and levels:
        raise errors.invalid(
            'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or'
            ' change the LogFormat to "JSON" and try again.'
        )
    json_format = form == "JSON"
    return Logging(
        format=form,
        group=given.get("LogGroup", before.group),
        application_level=given.get("ApplicationLogLevel", before.application_level) if json_format else "",
        system_level=given.get("SystemLogLevel", before.system_level) if json_format else "",
    )


def _check_snap_start(apply_on: str, runtime: str) -> None:
    if apply_on == "PublishedVersions" and runtime not in SNAP_START_RUNTIMES:
        raise errors.invalid(f"{runtime} is not supported for SnapStart enabled functions.")


def _image_config(given: Values) -> Fields:
    if len(json.dumps(given, separators=(",", ":"), ensure_ascii=False).encode()) > IMAGE_CONFIG_BYTES_MAX:
        raise errors.invalid(
            "Lambda was unable to configure your container image settings because the settings you have"
            " provided exceeded the 16KB limit."
        )
    entry_point, command = given.get("EntryPoint"), given.get("Command")
    config = ImageConfig(
        entry_point=None if entry_point is None else tuple(entry_point),
        command=None if command is None else tuple(command),
        working_directory=given.get("WorkingDirectory"),
    )
    return {"image_config": None if config == ImageConfig() else config}


def _shown(member: str, value: Any) -> Any:
    if member != "VpcConfig":
        return value
    subnets, groups = value.get("SubnetIds") or [], value.get("SecurityGroupIds") or []
    # Two empty lists take a function out of its network; AWS goes on showing them.
    return {
        "SubnetIds": subnets,
        "SecurityGroupIds": groups,
        "VpcId": "",
        "Ipv6AllowedForDualStack": value.get("Ipv6AllowedForDualStack", False),
    }


def _without_nothing(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if value not in (None, "", [], {})}


_READERS: Mapping[str, Callable[[Any], Fields]] = {
    "Role": lambda value: {"role": value},
    "Handler": lambda value: {"handler": value},
    "Description": lambda value: {"description": value},
    "Timeout": lambda value: {"timeout_s": _at_most("timeout", value, TIMEOUT_S_MAX)},
    "MemorySize": lambda value: {"memory_mib": _memory(value)},
    "EphemeralStorage": lambda value: {
        "tmp_mib": _at_most("ephemeralStorage.size", value["Size"], TMP_MIB_MAX)
    },
    "Environment": _environment,
    "Architectures": lambda value: {"architecture": value[0]},
    "TracingConfig": lambda value: {"tracing": value.get("Mode", "PassThrough")},
    "DeadLetterConfig": lambda value: {"dead_letter": value.get("TargetArn", "")},
    "SnapStart": lambda value: {"snap_start": value.get("ApplyOn", "None")},
    "ImageConfig": _image_config,
}
