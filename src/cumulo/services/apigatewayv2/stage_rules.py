"""What stages may be told.  Pure: AWS's sentence when they may not."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.arn import parse_arn
from cumulo.base.errors import AwsError, not_implemented
from cumulo.gateway.definitions.v2 import RouteSetting, V2Definition, V2Stage
from cumulo.services.apigatewayv2.records import DEFAULT_STAGE
from cumulo.services.apigatewayv2.refusals import bad
from cumulo.wire.service import Values

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_VARIABLE: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_VALUE: Final = re.compile(r"[A-Za-z0-9._~:/?#&=,\-]*")
_SETTING: Final[Mapping[str, str]] = {
    "DataTraceEnabled": "data_trace_enabled",
    "DetailedMetricsEnabled": "detailed_metrics_enabled",
    "LoggingLevel": "logging_level",
    "ThrottlingBurstLimit": "throttling_burst_limit",
    "ThrottlingRateLimit": "throttling_rate_limit",
}
_NO_ROLE: Final = "CloudWatch Logs role ARN must be set in account settings to enable logging"


def check_name(name: str, *, http: bool) -> None:
    """The name of a stage.  BadRequestException."""
    if name == DEFAULT_STAGE and http:
        return
    if _NAME.fullmatch(name) is None:
        raise bad("Stage name only allows a-zA-Z0-9_")


def changed_settings(
    definition: V2Definition, have: V2Stage, values: Values, *, may_log: Callable[[], bool]
) -> V2Stage:
    """What is sent over what is there.  `may_log`: whether the account has a role that writes logs."""
    if values.get("ClientCertificateId"):
        raise not_implemented("apigatewayv2", "ClientCertificateId", "there are no client certificates")
    http = definition.protocol_type == "HTTP"
    changes: dict[str, Any] = {}
    if values.get("DefaultRouteSettings") is not None:
        changes["default_route_settings"] = _setting(
            have.default_route_settings, values["DefaultRouteSettings"], http=http
        )
    if values.get("RouteSettings") is not None:
        changes["route_settings"] = _settings(definition, have, values["RouteSettings"])
    if values.get("StageVariables") is not None:
        changes["variables"] = _variables(have.variables, values["StageVariables"])
    if values.get("AccessLogSettings") is not None:
        changes |= _access_log(have, values["AccessLogSettings"])
    made = replace(have, **changes)
    if not http and _logs(made) and not may_log():
        raise bad(_NO_ROLE)
    return made


def show_setting(setting: RouteSetting) -> Values:
    """Settings as AWS shows them."""
    return {name: getattr(setting, member) for name, member in _SETTING.items()}


def _setting(have: RouteSetting, sent: Values, *, http: bool) -> RouteSetting:
    if http and (sent.get("DataTraceEnabled") or sent.get("LoggingLevel") not in (None, "", "OFF")):
        raise bad("Execution logs are not supported on protocolType HTTP")
    changes = {member: sent[name] for name, member in _SETTING.items() if sent.get(name) is not None}
    if http:
        changes.pop("data_trace_enabled", None)
        changes.pop("logging_level", None)
    if not 0 <= changes.get("throttling_rate_limit", 0) < math.inf:
        raise bad("Invalid throttling rate limit specified")
    if changes.get("throttling_burst_limit", 0) < 0:
        raise bad("Invalid throttling burst limit specified")
    return replace(have, **changes)


def _settings(definition: V2Definition, have: V2Stage, sent: Mapping[str, Values]) -> dict[str, RouteSetting]:
    keys = {one.route_key for one in definition.routes}
    made = dict(have.route_settings)
    for key, setting in sent.items():
        if key not in keys:
            raise AwsError(
                "NotFoundException",
                f"Unable to find Route by key {key} within the provided RouteSettings",
                status=404,
            )
        made[key] = _setting(
            made.get(key, RouteSetting()), setting or {}, http=definition.protocol_type == "HTTP"
        )
    return made


def _variables(have: Mapping[str, str], sent: Mapping[str, str]) -> dict[str, str]:
    for name, value in sent.items():
        if _VARIABLE.fullmatch(name) is None:
            raise bad(
                f"Stage variable name {name} is invalid: only alphanumeric characters and underscores are allowed"
            )
        if _VALUE.fullmatch(value) is None:
            raise bad(f"Stage variable value {value} is invalid")
    return {name: value for name, value in {**have, **sent}.items() if value != ""}


def _access_log(have: V2Stage, sent: Values) -> dict[str, str]:
    arn = sent.get("DestinationArn")
    form = sent.get("Format")
    made_arn = have.access_log_arn if arn is None else arn.removesuffix(":*")
    made_form = have.access_log_format if form is None else form
    if not made_arn and not made_form:
        return {"access_log_arn": "", "access_log_format": ""}
    found = parse_arn(made_arn)
    if found is None or found.service != "logs" or not found.resource.startswith("log-group:"):
        raise bad("Invalid ARN specified in the request. ARN must be of a CloudWatch Logs log group")
    if not made_form:
        raise bad("Access Log format must be specified")
    if "\n" in made_form.rstrip("\n"):
        raise bad(
            "Access Log format must be single line, new line character is allowed only at end of the format"
        )
    if "$context.requestId" not in made_form and "$context.extendedRequestId" not in made_form:
        raise bad("Access Log format must include either $context.requestId or $context.extendedRequestId")
    return {"access_log_arn": made_arn, "access_log_format": made_form}


def _logs(made: V2Stage) -> bool:
    settings = [made.default_route_settings, *made.route_settings.values()]
    return bool(made.access_log_arn) or any(one.logging_level in ("ERROR", "INFO") for one in settings)
