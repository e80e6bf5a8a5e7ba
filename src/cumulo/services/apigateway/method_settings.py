"""The settings that a stage has for methods, and how patches name them: a method, then a setting.  Pure.

/pets/GET  /metrics/enabled        /~1pets~1{id}/GET  /caching/ttlInSeconds        /*/*  /throttling/rateLimit
"""

from collections.abc import Callable
from typing import Any, Final

from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.model import Setting
from cumulo.services.apigateway.patches import escape, flag, number, unescape, whole
from cumulo.services.apigateway.quotas import ACCOUNT_BURST, ACCOUNT_RATE, CACHE_TTL_SECONDS_MAX
from cumulo.services.apigateway.views import filled
from cumulo.wire.service import Values

_STRATEGIES: Final = (
    "FAIL_WITH_403",
    "SUCCEED_WITH_RESPONSE_HEADER",
    "SUCCEED_WITHOUT_RESPONSE_HEADER",
)


def key_of(path: str) -> str:
    """The key of a method's settings from the part of a patch's path that names it (`/a~1b/GET`, `/a/b/GET`, `/*/*`)."""
    resource, _, method = path.rpartition("/")
    plain = unescape(resource).removeprefix("/").removeprefix("/")
    return f"{escape(plain)}/{method}"


def parse(path: str) -> tuple[str, str] | None:
    """The key and the setting (`metrics/enabled`) that a patch's path names, or None."""
    parts = path.rsplit("/", 2)
    if len(parts) != 3 or f"{parts[1]}/{parts[2]}" not in _SETTINGS:
        return None
    resource, _, method = parts[0].rpartition("/")
    return (key_of(parts[0]), f"{parts[1]}/{parts[2]}") if resource and method else None


def changed(setting: Setting | None, name: str, text: str) -> Setting:
    """The settings with another value of one.  BadRequestException for a value that cannot be."""
    member, convert = _SETTINGS[name]
    return replace(setting or Setting(), **{member: convert(text)})


def shown_key(key: str) -> str:
    """The key as clients see it."""
    return unescape(key)


def view(setting: Setting) -> Values:
    """The settings of a method as clients see them."""
    rate, burst = setting.throttling_rate_limit, setting.throttling_burst_limit
    return {
        **filled(loggingLevel=setting.logging_level),
        "metricsEnabled": setting.metrics_enabled,
        "dataTraceEnabled": setting.data_trace_enabled,
        "throttlingBurstLimit": ACCOUNT_BURST if burst is None else burst,
        "throttlingRateLimit": ACCOUNT_RATE if rate is None else rate,
        "cachingEnabled": setting.caching_enabled,
        "cacheTtlInSeconds": setting.cache_ttl_in_seconds,
        "cacheDataEncrypted": setting.cache_data_encrypted,
        "requireAuthorizationForCacheControl": setting.require_authorization_for_cache_control,
        "unauthorizedCacheControlHeaderStrategy": setting.unauthorized_cache_control_header_strategy,
    }


def _level(text: str) -> str:
    if text not in ("OFF", "ERROR", "INFO"):
        raise refusals.bad_request(f"Invalid logging level: {text}. Must be one of: [OFF, ERROR, INFO]")
    return text


def _strategy(text: str) -> str:
    if text not in _STRATEGIES:
        raise refusals.bad_request(
            f"Invalid unauthorized cache control header strategy: {text}. Must be one of: [{', '.join(_STRATEGIES)}]"
        )
    return text


def _burst(text: str) -> int:
    found = whole(text, f"Invalid throttling burst limit: {text}")
    if not -1 <= found <= 2**31 - 1:
        raise refusals.bad_request(f"Invalid throttling burst limit: {text}")
    return found


def _rate(text: str) -> float:
    found = number(text, f"Invalid throttling rate limit: {text}")
    if found < 0 and found != -1:
        raise refusals.bad_request(f"Invalid throttling rate limit: {text}")
    return found


def _ttl(text: str) -> int:
    sentence = f"Invalid cache TTL: {text}. Must be between 0 and {CACHE_TTL_SECONDS_MAX} seconds"
    found = whole(text, sentence)
    if not 0 <= found <= CACHE_TTL_SECONDS_MAX:
        raise refusals.bad_request(sentence)
    return found


_SETTINGS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "metrics/enabled": ("metrics_enabled", flag),
    "logging/dataTrace": ("data_trace_enabled", flag),
    "logging/loglevel": ("logging_level", _level),
    "throttling/burstLimit": ("throttling_burst_limit", _burst),
    "throttling/rateLimit": ("throttling_rate_limit", _rate),
    "caching/ttlInSeconds": ("cache_ttl_in_seconds", _ttl),
    "caching/enabled": ("caching_enabled", flag),
    "caching/dataEncrypted": ("cache_data_encrypted", flag),
    "caching/requireAuthorizationForCacheControl": ("require_authorization_for_cache_control", flag),
    "caching/unauthorizedCacheControlHeaderStrategy": (
        "unauthorized_cache_control_header_strategy",
        _strategy,
    ),
}
