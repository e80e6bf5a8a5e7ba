"""How UpdateStage changes a stage: members, variables, the canary, and the settings of methods.  Pure.

A canary is promoted by three operations: its deployment is copied to `/deploymentId`, its variables to `/variables`, and
`/canarySettings` is removed.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.rest import Canary
from cumulo.services.apigateway import method_settings, refusals
from cumulo.services.apigateway.changing import put_in, replace, without
from cumulo.services.apigateway.model import Stage
from cumulo.services.apigateway.patches import bounded, flag, number, split
from cumulo.services.apigateway.stage_rules import cache_size_of, check_percent
from cumulo.wire.service import Values

# AWS's list, with its commas where they are and are not.
_PATHS: Final = (
    "/deploymentId, /description, /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId, /accessLogSettings, "
    "/accessLogSettings/destinationArn, /accessLogSettings/format, /{resourcePath}/{httpMethod}/metrics/enabled, "
    "/{resourcePath}/{httpMethod}/logging/dataTrace, /{resourcePath}/{httpMethod}/logging/loglevel, "
    "/{resourcePath}/{httpMethod}/throttling/burstLimit/{resourcePath}/{httpMethod}/throttling/rateLimit"
    "/{resourcePath}/{httpMethod}/caching/ttlInSeconds, /{resourcePath}/{httpMethod}/caching/enabled, "
    "/{resourcePath}/{httpMethod}/caching/dataEncrypted, "
    "/{resourcePath}/{httpMethod}/caching/requireAuthorizationForCacheControl, "
    "/{resourcePath}/{httpMethod}/caching/unauthorizedCacheControlHeaderStrategy, /*/*/metrics/enabled, "
    "/*/*/logging/dataTrace, /*/*/logging/loglevel, /*/*/throttling/burstLimit /*/*/throttling/rateLimit "
    "/*/*/caching/ttlInSeconds, /*/*/caching/enabled, /*/*/caching/dataEncrypted, "
    "/*/*/caching/requireAuthorizationForCacheControl, /*/*/caching/unauthorizedCacheControlHeaderStrategy, "
    "/variables/{variable_name}, /tracingEnabled"
)
_MEMBERS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "/deploymentId": ("deployment_id", str),
    "/description": ("description", lambda text: text or None),
    "/cacheClusterEnabled": ("cache_enabled", flag),
    "/cacheClusterSize": ("cache_size", cache_size_of),
    "/clientCertificateId": ("client_certificate_id", str),
    "/documentationVersion": ("documentation_version", str),
    "/tracingEnabled": ("tracing_enabled", flag),
    "/accessLogSettings/destinationArn": ("access_log_arn", str),
    "/accessLogSettings/format": ("access_log_format", str),
}
_REMOVABLE: Final = frozenset(
    {"/description", "/clientCertificateId", "/documentationVersion"}
    | {"/accessLogSettings/destinationArn", "/accessLogSettings/format"}
)
_CANARY: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "deploymentId": ("deployment_id", str),
    "percentTraffic": (
        "percent_traffic",
        lambda text: check_percent(number(text, f"Invalid percent traffic: {text}")),
    ),
    "useStageCache": ("use_stage_cache", flag),
}


def apply(stage: Stage, operations: Sequence[Values] | None) -> Stage:
    """The stage after all operations.  BadRequestException for the first that cannot be."""
    for operation in bounded(operations):
        path = operation.get("path")
        if path is None:
            raise refusals.bad_request("Invalid patch path null")
        change = _OPERATIONS.get(operation.get("op", ""))
        if change is None:
            raise refusals.bad_request(
                "Invalid patch operation specified. Must be one of: [add, remove, replace, copy]"
            )
        stage = change(stage, path, operation)
    return stage


def _replace(stage: Stage, path: str, operation: Values) -> Stage:
    text = operation.get("value") or ""
    if path in _MEMBERS:
        member, convert = _MEMBERS[path]
        return replace(stage, **{member: convert(text)})
    segments = split(path)
    if segments[0] == "canarySettings":
        return _change_canary(stage, path, segments, text)
    return _put(stage, path, segments, text)


def _add(stage: Stage, path: str, operation: Values) -> Stage:
    segments = split(path)
    is_override = segments[:2] == ("canarySettings", "stageVariableOverrides")
    if path in _MEMBERS or (segments[:1] == ("canarySettings",) and not is_override):
        raise refusals.bad_request(f"Invalid add operation with path: {path}")
    return _replace(stage, path, operation)


def _put(stage: Stage, path: str, segments: tuple[str, ...], text: str) -> Stage:
    if segments[0] == "variables" and len(segments) == 2 and segments[1]:
        return replace(stage, variables=put_in(stage.variables, segments[1], text))
    found = method_settings.parse(path)
    if found is None:
        raise _wrong(path)
    key, name = found
    # A method's first setting of its own begins with what all methods have.
    before = stage.method_settings.get(key) or stage.method_settings.get("*/*")
    setting = method_settings.changed(before, name, text)
    return replace(stage, method_settings=put_in(stage.method_settings, key, setting))


def _remove(stage: Stage, path: str, operation: Values) -> Stage:
    del operation
    if path == "/canarySettings":
        return replace(stage, canary=None)
    if path == "/accessLogSettings":
        return replace(stage, access_log_arn="", access_log_format="")
    if path in _REMOVABLE:
        member, convert = _MEMBERS[path]
        return replace(stage, **{member: convert("")})
    segments = split(path)
    if segments[0] == "variables" and len(segments) == 2:
        return replace(stage, variables=without(stage.variables, segments[1]))
    canary = stage.canary
    if segments[:2] == ("canarySettings", "stageVariableOverrides") and len(segments) == 3 and canary:
        kept = without(canary.stage_variable_overrides, segments[2])
        return replace(stage, canary=replace(canary, stage_variable_overrides=kept))
    key = method_settings.key_of(path)
    if key not in stage.method_settings:
        raise refusals.bad_request(
            f"Cannot remove method setting {path.removeprefix('/')} because there is no method setting for this method "
        )
    return replace(stage, method_settings=without(stage.method_settings, key))


def _copy(stage: Stage, path: str, operation: Values) -> Stage:
    source = operation.get("from") or ""
    target, origin = split(path), split(source)
    if target[:1] not in (("deploymentId",), ("variables",)) or origin[:1] != ("canarySettings",):
        raise _wrong_copy(path, source)
    canary = stage.canary
    if canary is None:
        raise refusals.bad_request("Promotion not available. Canary does not exist.")
    if target == ("deploymentId",) and origin == ("canarySettings", "deploymentId"):
        return replace(stage, deployment_id=canary.deployment_id)
    overrides = canary.stage_variable_overrides
    if origin[:2] == ("canarySettings", "stageVariableOverrides") and target[:1] == ("variables",):
        if len(origin) == 2 and len(target) == 1:
            return replace(stage, variables={**stage.variables, **overrides})
        if len(origin) == 3 and len(target) == 2 and origin[2] in overrides:
            return replace(stage, variables=put_in(stage.variables, target[1], overrides[origin[2]]))
    raise _wrong_copy(path, source)


def _wrong_copy(path: str, source: str) -> AwsError:
    return refusals.bad_request(
        f"Invalid copy operation with path: {path} and from {source}. Valid copy:path are [/deploymentId, /variables] "
        "and valid copy:from are [/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]"
    )


def _change_canary(stage: Stage, path: str, segments: tuple[str, ...], text: str) -> Stage:
    canary = stage.canary or Canary(deployment_id=stage.deployment_id)
    if len(segments) == 2 and segments[1] in _CANARY:
        member, convert = _CANARY[segments[1]]
        return replace(stage, canary=replace(canary, **{member: convert(text)}))
    if len(segments) == 3 and segments[1] == "stageVariableOverrides" and segments[2]:
        overrides = put_in(canary.stage_variable_overrides, segments[2], text)
        return replace(stage, canary=replace(canary, stage_variable_overrides=overrides))
    raise _wrong(path)


def _wrong(path: str) -> Exception:
    return refusals.bad_request(f"Invalid method setting path: {path}. Must be one of: [{_PATHS}]")


_OPERATIONS: Final = {"add": _add, "replace": _replace, "remove": _remove, "copy": _copy}
