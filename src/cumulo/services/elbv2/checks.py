"""How a target group's health check is set up: AWS's defaults and bounds.  Pure."""

import re
from typing import Any, Final

import msgspec

from cumulo.base.errors import not_implemented
from cumulo.services.elbv2.model import HealthCheck
from cumulo.services.elbv2.refusals import invalid, misconfigured
from cumulo.wire.service import Values

_CODES: Final = re.compile(r"\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*")
_PATH: Final = re.compile(r"[!-~]+")
_FIELDS: Final = {
    "HealthCheckEnabled": "enabled",
    "HealthCheckProtocol": "protocol",
    "HealthCheckPort": "port",
    "HealthCheckPath": "path",
    "HealthCheckIntervalSeconds": "interval",
    "HealthCheckTimeoutSeconds": "timeout",
    "HealthyThresholdCount": "healthy",
    "UnhealthyThresholdCount": "unhealthy",
}


def check_of(values: Values, *, target_type: str, protocol: str) -> HealthCheck:
    """The health check of a new target group."""
    if target_type == "lambda":
        base = HealthCheck(enabled=False, interval=35, timeout=30)
    elif protocol in ("HTTP", "HTTPS"):
        base = HealthCheck()
    else:
        http = values.get("HealthCheckProtocol", "HTTP" if target_type == "alb" else "TCP")
        base = (
            HealthCheck(protocol="TCP", path="", codes="", timeout=10)
            if http == "TCP"
            else HealthCheck(protocol=http, timeout=6, codes="200-399")
        )
    return changed_check(base, values, target_type=target_type, protocol=protocol)


def changed_check(before: HealthCheck, values: Values, *, target_type: str, protocol: str) -> HealthCheck:
    """The health check with what was sent.  AwsError with AWS's sentences for what does not fit."""
    changes: dict[str, Any] = {ours: values[name] for name, ours in _FIELDS.items() if name in values}
    matcher = values.get("Matcher", {})
    if "GrpcCode" in matcher:
        raise not_implemented("elbv2", "Matcher", "gRPC health checks")
    if "HttpCode" in matcher:
        changes["codes"] = matcher["HttpCode"]
    to = changes.get("protocol", before.protocol)
    if to != "TCP" and before.protocol == "TCP":  # it has had no path and no codes
        changes = {"path": "/", "codes": "200-399", **changes}
    if to == "TCP" and before.protocol != "TCP":
        changes = {"path": "", "codes": "", **changes}
    after = msgspec.structs.replace(before, **changes)
    _check(after, target_type=target_type, protocol=protocol)
    return after


def _check(one: HealthCheck, *, target_type: str, protocol: str) -> None:
    if not one.enabled and target_type != "lambda":
        raise misconfigured(
            f"Health check enabled must be true for target groups with target type '{target_type}'"
        )
    _check_protocol(one, target_type=target_type, protocol=protocol)
    may_equal = protocol not in ("HTTP", "HTTPS", "")
    if one.timeout > one.interval or (one.timeout == one.interval and not may_equal):
        bound = "smaller than or equal to" if may_equal else "smaller than"
        raise invalid(f"Health check timeout '{one.timeout}' must be {bound} the interval '{one.interval}'")
    port_ok = one.port == "traffic-port" or (
        one.port.isascii() and one.port.isdigit() and 1 <= int(one.port) <= 65535
    )
    if not port_ok:
        raise invalid(f"Health check port '{one.port}' must be 'traffic-port' or a number from 1 to 65535")
    if one.protocol == "TCP":
        if one.path or one.codes:
            raise misconfigured(
                "Health check path and matcher cannot be specified for the health check protocol 'TCP'"
            )
        return
    if not one.path.startswith("/"):
        raise invalid(f"Health check path '{one.path}' must be an absolute path that begins with '/'")
    if not _PATH.fullmatch(one.path):
        raise invalid("Health check path contains characters that must be percent-encoded")
    _check_codes(one.codes, highest=499 if protocol in ("HTTP", "HTTPS", "") else 599)


def _check_protocol(one: HealthCheck, *, target_type: str, protocol: str) -> None:
    if target_type in ("lambda", "alb") or protocol in ("HTTP", "HTTPS"):
        allowed: tuple[str, ...] = ("HTTP", "HTTPS")
    else:
        allowed = ("HTTP", "HTTPS", "TCP")
    if one.protocol not in allowed:
        raise misconfigured(
            f"Health check protocol '{one.protocol}' is not supported for target groups with the protocol "
            f"'{protocol}'; it must be one of '{', '.join(allowed)}'"
        )


def _check_codes(codes: str, *, highest: int) -> None:
    if not _CODES.fullmatch(codes):
        raise invalid(f"Health check matcher HTTP code '{codes}' is not valid")
    for number in re.findall(r"\d{3}", codes):
        if not 200 <= int(number) <= highest:
            raise invalid(
                f"Health check matcher HTTP code '{number}' must be within '200-{highest}' inclusive"
            )
    for part in codes.split(","):
        low, dash, high = part.partition("-")
        if dash and low > high:
            raise invalid(f"Health check matcher HTTP code range '{part}' is not valid")
