"""What a stage may be.  Pure."""

import re
from collections.abc import Mapping
from typing import Final

from cumulo.base.arn import parse_arn
from cumulo.base.errors import not_implemented
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.quotas import (
    ACCESS_LOG_FORMAT_BYTES_MAX,
    STAGE_NAME_CHARACTERS_MAX,
    STAGE_VARIABLE_NAME_MAX,
    STAGE_VARIABLE_VALUE_MAX,
    STAGE_VARIABLES_MAX,
)

CACHE_SIZES: Final = ("0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")
_VARIABLE: Final = re.compile(r"[A-Za-z0-9_]+")
_VALUE: Final = re.compile(r"[A-Za-z0-9\-._~:/?#&=,]*")
_REQUEST_ID: Final = re.compile(
    r"\$context\.(requestId|extendedRequestId)|\$\{?context\.(requestId|extendedRequestId)"
)


def check_stage_name(name: str) -> str:
    """The name.  BadRequestException."""
    if not _NAME.fullmatch(name):
        raise refusals.bad_request("Stage name only allows a-zA-Z0-9_-")
    if len(name) > STAGE_NAME_CHARACTERS_MAX:
        raise refusals.bad_request(f"Stage name cannot have more than {STAGE_NAME_CHARACTERS_MAX} characters")
    return name


def check_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables.  BadRequestException for names and values that AWS does not take, and for too many."""
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise refusals.bad_request("Stage variable names must match the regular expression [A-Za-z0-9_]+")
        if len(name) > STAGE_VARIABLE_NAME_MAX:
            raise refusals.bad_request(
                f"Stage variable names can have at most {STAGE_VARIABLE_NAME_MAX} characters"
            )
        if not _VALUE.fullmatch(value):
            raise refusals.bad_request(
                "Stage variable values must match the regular expression [A-Za-z0-9-._~:/?#&=,]+"
            )
        if len(value) > STAGE_VARIABLE_VALUE_MAX:
            raise refusals.bad_request(
                f"Stage variable values can have at most {STAGE_VARIABLE_VALUE_MAX} characters"
            )
    if len(variables) > STAGE_VARIABLES_MAX:
        raise refusals.too_many("stage variables", "this stage")
    return dict(variables)


def check_percent(percent: float) -> float:
    """How much of the traffic a canary gets.  BadRequestException."""
    if not 0.0 <= percent <= 100.0:
        raise refusals.bad_request("Canary percent traffic must be between 0.0 and 100.0")
    return percent


def cache_size_of(size: str) -> str:
    """A cache's size.  BadRequestException."""
    if size and size not in CACHE_SIZES:
        raise refusals.bad_request(
            f"Invalid CacheClusterSize specified. Valid options are {','.join(CACHE_SIZES)}"
        )
    return size


def check_access_log(arn: str, text: str) -> None:
    """BadRequestException for a destination or a format that AWS does not take; NotImplemented for Firehose."""
    if arn:
        parsed = parse_arn(arn)
        if parsed is not None and parsed.service == "firehose":
            raise not_implemented(
                "apigateway", "accessLogSettings", "access logs go to CloudWatch Logs alone"
            )
        if parsed is None or parsed.service != "logs" or not parsed.resource.startswith("log-group:"):
            raise refusals.bad_request("Invalid ARN specified in the request")
    if not text:
        return
    if "\n" in text.rstrip("\n"):
        raise refusals.bad_request(
            "Access Log format must be single line, new line character is allowed only at end of the format"
        )
    if len(text.encode()) > ACCESS_LOG_FORMAT_BYTES_MAX:
        raise refusals.bad_request(
            f"Access Log format must not exceed {ACCESS_LOG_FORMAT_BYTES_MAX // 1024} KB"
        )
    if not _REQUEST_ID.search(text):
        raise refusals.bad_request(
            "Access Log format must contain at least $context.requestId or $context.extendedRequestId"
        )
