"""The attributes of load balancers, listeners and target groups: which there are, and what they may be.  Pure.

Each has a default, and a test for values; what a client sets is kept beside, so that defaults can be seen as such.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cumulo.base.errors import AwsError, not_implemented
from cumulo.services.elbv2.model import Document, Group, Listener, LoadBalancer
from cumulo.services.elbv2.refusals import invalid, misconfigured

Test = Callable[[str], bool]
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9_-]*")


def _one_of(*words: str) -> Test:
    return lambda text: text in words


def _number(low: int, high: int) -> Test:
    return lambda text: text.isascii() and text.isdigit() and low <= int(text) <= high


def _anything(text: str) -> bool:
    return len(text) <= 1024


def _line(text: str) -> bool:
    """What may be the value of a header."""
    return len(text) <= 1024 and _HEADER_VALUE.fullmatch(text) is not None


def _name(text: str) -> bool:
    """What may be the name of a header, or nothing."""
    return len(text) <= 128 and _HEADER_NAME.fullmatch(text) is not None


def _or(*tests: Test) -> Test:
    return lambda text: any(test(text) for test in tests)


_BOOL: Final = _one_of("true", "false")
_Table = Mapping[str, tuple[str, Test]]

_LOGS: Final[_Table] = {
    "access_logs.s3.enabled": ("false", _BOOL),
    "access_logs.s3.bucket": ("", _anything),
    "access_logs.s3.prefix": ("", _anything),
}
_EVERY_BALANCER: Final[_Table] = {
    "deletion_protection.enabled": ("false", _BOOL),
    "ipv6.deny_all_igw_traffic": ("false", _BOOL),
    "zonal_shift.config.enabled": ("false", _BOOL),
}
_APPLICATION: Final[_Table] = {
    **_LOGS,
    "idle_timeout.timeout_seconds": ("60", _number(1, 4000)),
    **_EVERY_BALANCER,
    "routing.http2.enabled": ("true", _BOOL),
    "routing.http.drop_invalid_header_fields.enabled": ("false", _BOOL),
    "routing.http.xff_client_port.enabled": ("false", _BOOL),
    "routing.http.preserve_host_header.enabled": ("false", _BOOL),
    "routing.http.xff_header_processing.mode": ("append", _one_of("append", "preserve", "remove")),
    "load_balancing.cross_zone.enabled": ("true", _one_of("true")),
    "routing.http.desync_mitigation_mode": ("defensive", _one_of("monitor", "defensive", "strictest")),
    "client_keep_alive.seconds": ("3600", _number(60, 604800)),
    "waf.fail_open.enabled": ("false", _BOOL),
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": ("false", _BOOL),
    "connection_logs.s3.enabled": ("false", _BOOL),
    "connection_logs.s3.bucket": ("", _anything),
    "connection_logs.s3.prefix": ("", _anything),
    "health_check_logs.s3.enabled": ("false", _BOOL),
    "health_check_logs.s3.bucket": ("", _anything),
    "health_check_logs.s3.prefix": ("", _anything),
}
_NETWORK: Final[_Table] = {
    **_LOGS,
    **_EVERY_BALANCER,
    "load_balancing.cross_zone.enabled": ("false", _BOOL),
    "dns_record.client_routing_policy": (
        "any_availability_zone",
        _one_of("availability_zone_affinity", "partial_availability_zone_affinity", "any_availability_zone"),
    ),
    "secondary_ips.auto_assigned.per_subnet": ("0", _number(0, 7)),
}
_S3_LOGS: Final = ("access_logs.s3.enabled", "connection_logs.s3.enabled", "health_check_logs.s3.enabled")

_GROUP_HEALTH: Final[_Table] = {
    "load_balancing.cross_zone.enabled": (
        "use_load_balancer_configuration",
        _one_of("true", "false", "use_load_balancer_configuration"),
    ),
    "target_group_health.dns_failover.minimum_healthy_targets.count": (
        "1",
        _or(_one_of("off"), _number(1, 1000)),
    ),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": (
        "off",
        _or(_one_of("off"), _number(1, 100)),
    ),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": ("1", _number(1, 1000)),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": (
        "off",
        _or(_one_of("off"), _number(1, 100)),
    ),
}
_COOKIES: Final[_Table] = {
    "stickiness.enabled": ("false", _BOOL),
    "stickiness.type": ("lb_cookie", _one_of("lb_cookie", "app_cookie")),
    "stickiness.lb_cookie.duration_seconds": ("86400", _number(1, 604800)),
    "stickiness.app_cookie.cookie_name": ("", _anything),
    "stickiness.app_cookie.duration_seconds": ("86400", _number(1, 604800)),
}
_DELAY: Final[_Table] = {"deregistration_delay.timeout_seconds": ("300", _number(0, 3600))}
_GROUP_HTTP: Final[_Table] = {
    **_COOKIES,
    **_DELAY,
    "slow_start.duration_seconds": ("0", _or(_one_of("0"), _number(30, 900))),
    "load_balancing.algorithm.type": (
        "round_robin",
        _one_of("round_robin", "least_outstanding_requests", "weighted_random"),
    ),
    "load_balancing.algorithm.anomaly_mitigation": ("off", _one_of("on", "off")),
    **_GROUP_HEALTH,
}
_GROUP_LAMBDA: Final[_Table] = {
    "lambda.multi_value_headers.enabled": ("false", _BOOL),
    **_COOKIES,
    **_GROUP_HEALTH,
}
_GROUP_TCP: Final[_Table] = {
    "stickiness.enabled": ("false", _BOOL),
    "stickiness.type": ("source_ip", _one_of("source_ip")),
    **_DELAY,
    "deregistration_delay.connection_termination.enabled": ("false", _BOOL),
    "preserve_client_ip.enabled": ("false", _BOOL),
    "proxy_protocol_v2.enabled": ("false", _BOOL),
    "target_health_state.unhealthy.connection_termination.enabled": ("true", _BOOL),
    "target_health_state.unhealthy.draining_interval_seconds": ("0", _number(0, 360000)),
    **_GROUP_HEALTH,
}
_STICKINESS: Final = ("lb_cookie", "app_cookie", "source_ip")
_RESERVED_COOKIES: Final = re.compile(r"AWSALB(?:APP|TG|CORS|TGCORS)?.*")

_RESPONSE_HEADERS: Final = (
    "strict_transport_security",
    "access_control_allow_origin",
    "access_control_allow_methods",
    "access_control_allow_headers",
    "access_control_allow_credentials",
    "access_control_expose_headers",
    "access_control_max_age",
    "content_security_policy",
    "x_content_type_options",
    "x_frame_options",
)
_REQUEST_HEADERS: Final = (
    "x_amzn_mtls_clientcert",
    "x_amzn_mtls_clientcert_serial_number",
    "x_amzn_mtls_clientcert_issuer",
    "x_amzn_mtls_clientcert_subject",
    "x_amzn_mtls_clientcert_validity",
    "x_amzn_mtls_clientcert_leaf",
    "x_amzn_tls_version",
    "x_amzn_tls_cipher_suite",
)
_LISTENER_HTTP: Final[_Table] = {
    "routing.http.response.server.enabled": ("true", _BOOL),
    **{f"routing.http.response.{name}.header_value": ("", _line) for name in _RESPONSE_HEADERS},
}
_LISTENER_HTTPS: Final[_Table] = {
    **_LISTENER_HTTP,
    **{f"routing.http.request.{name}.header_name": ("", _name) for name in _REQUEST_HEADERS},
}
_LISTENER_TCP: Final[_Table] = {"tcp.idle_timeout.seconds": ("350", _number(60, 6000))}


def of_balancer(one: LoadBalancer) -> dict[str, str]:
    """Every attribute of a load balancer."""
    return _all(_balancer_table(one), one.attributes)


def of_group(one: Group) -> dict[str, str]:
    """Every attribute of a target group."""
    found = _all(_group_table(one), one.attributes)
    if "preserve_client_ip.enabled" in found and "preserve_client_ip.enabled" not in one.attributes:
        found["preserve_client_ip.enabled"] = str(one.target_type in ("instance", "alb")).lower()
    return found


def of_listener(one: Listener) -> dict[str, str]:
    """Every attribute of a listener."""
    return _all(_listener_table(one), one.attributes)


def changed_balancer(one: LoadBalancer, given: Sequence[Document]) -> dict[str, str]:
    """What a load balancer has set after ModifyLoadBalancerAttributes."""
    after = _changed(_balancer_table(one), one.attributes, given, "Load balancer")
    for name in _S3_LOGS:
        if after.get(name) == "true":
            raise not_implemented(
                "elbv2", "ModifyLoadBalancerAttributes", f"{name}: no logs are written to S3"
            )
    return after


def changed_group(one: Group, given: Sequence[Document]) -> dict[str, str]:
    """What a target group has set after ModifyTargetGroupAttributes."""
    for attribute in given:
        _check_of_kind(one, attribute.get("Key", ""), attribute.get("Value", ""))
    after = _changed(_group_table(one), one.attributes, given, "Target group")
    whole = _all(_group_table(one), after)
    if whole.get("stickiness.enabled") == "true" and whole["stickiness.type"] == "app_cookie":
        name = whole["stickiness.app_cookie.cookie_name"]
        if not name:
            raise misconfigured(
                "You must set an application cookie name to enable stickiness of type 'app_cookie'"
            )
        if _RESERVED_COOKIES.fullmatch(name):
            raise misconfigured(f"The cookie name '{name}' is reserved for use by the load balancer")
    algorithm = whole.get("load_balancing.algorithm.type")
    if algorithm in ("least_outstanding_requests", "weighted_random") and (
        whole["slow_start.duration_seconds"] != "0"
    ):
        raise misconfigured(f"Slow start is not supported with the routing algorithm '{algorithm}'")
    if whole.get("load_balancing.algorithm.anomaly_mitigation") == "on":
        raise not_implemented("elbv2", "ModifyTargetGroupAttributes", "anomaly mitigation")
    return after


def _check_of_kind(one: Group, key: str, value: str) -> None:
    """AwsError for what other target groups have, and this one cannot."""
    if one.target_type == "lambda" and key in _GROUP_HTTP and key not in _GROUP_LAMBDA:
        raise misconfigured(f"A target group with target type 'lambda' does not support the attribute {key}")
    if key == "deregistration_delay.timeout_seconds" and not _DELAY[key][1](value):
        raise invalid(f"'{key}' value '{value}' must be between '0-3600' inclusive")
    if key == "stickiness.type" and value in _STICKINESS and one.protocol:
        if one.protocol == "TLS" and value == "source_ip":
            raise misconfigured("You cannot enable stickiness on target groups with the TLS protocol")
        if not _group_table(one)[key][1](value):
            raise misconfigured(
                f"Stickiness type '{value}' is not supported for target groups with the {one.protocol} protocol"
            )


def changed_listener(one: Listener, given: Sequence[Document]) -> dict[str, str]:
    """What a listener has set after ModifyListenerAttributes."""
    return _changed(_listener_table(one), one.attributes, given, "Listener")


def view(attributes: Mapping[str, str]) -> list[dict[str, str]]:
    """As AWS shows them."""
    return [{"Key": key, "Value": value} for key, value in attributes.items()]


def _balancer_table(one: LoadBalancer) -> _Table:
    return _APPLICATION if one.is_application else _NETWORK


def _group_table(one: Group) -> _Table:
    if one.target_type == "lambda":
        return _GROUP_LAMBDA
    return _GROUP_HTTP if one.is_http else _GROUP_TCP


def _listener_table(one: Listener) -> _Table:
    if one.protocol == "HTTP":
        return _LISTENER_HTTP
    if one.protocol == "HTTPS":
        return _LISTENER_HTTPS
    return _LISTENER_TCP if one.protocol == "TCP" else {}


def _all(table: _Table, have: Mapping[str, str]) -> dict[str, str]:
    return {name: have.get(name, default) for name, (default, _) in table.items()}


def _changed(table: _Table, have: Mapping[str, str], given: Sequence[Document], what: str) -> dict[str, str]:
    after = dict(have)
    seen: set[str] = set()
    for one in given:
        name, value = one.get("Key", ""), one.get("Value", "")
        if name in seen:
            raise invalid(f"{what} attribute key '{name}' was specified more than once")
        seen.add(name)
        if name not in table:
            raise invalid(f"{what} attribute key '{name}' is not recognized")
        if not table[name][1](value):
            raise AwsError(
                "ValidationError", f"{what} attribute value '{value}' is not valid for the key '{name}'"
            )
        after[name] = value
    return after
