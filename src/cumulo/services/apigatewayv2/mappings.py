"""Which parameters integrations may set: `append:header.x` in HTTP APIs, `integration.request.header.x` in WebSocket APIs.  Pure."""

import re
from collections.abc import Mapping
from typing import Final

from cumulo.services.apigatewayv2.refusals import bad, bad_mapping
from cumulo.services.apigatewayv2.subtypes import SUBTYPES

_REQUEST: Final = re.compile(
    r"(?:(?:append|overwrite|remove):(?P<where>header|querystring)\.(?P<name>\S+)|overwrite:path)"
)
_RESPONSE: Final = re.compile(r"(?:(?:append|overwrite|remove):header\.(?P<name>\S+)|overwrite:statuscode)")
_WEBSOCKET_REQUEST: Final = re.compile(r"integration\.request\.(?:header|querystring|path)\.\S+")
_WEBSOCKET_RESPONSE: Final = re.compile(r"(?:method|route)\.response\.(?:header\.\S+|body)")
_RESERVED: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-location",
        "forwarded",
        "keep-alive",
        "origin",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }
)
_RESERVED_BEGINNINGS: Final = ("access-control-", "apigw-", "x-amz-", "x-amzn-")


def check_request(parameters: Mapping[str, str]) -> None:
    """Parameters of an HTTP API's integration.  BadRequestException."""
    for destination in parameters:
        found = _REQUEST.fullmatch(destination)
        if found is None:
            raise bad_mapping(f"Invalid Request Actioned Parameter destination specified: {destination}")
        if found["where"] == "header":
            _check_header(found["name"])


def check_response(parameters: Mapping[str, Mapping[str, str]]) -> None:
    """The same for its answers, by status code.  BadRequestException."""
    for status, mapped in parameters.items():
        if not (status.isascii() and status.isdigit() and len(status) == 3 and 200 <= int(status) <= 599):
            raise bad(f"Status Code {status} is not valid")
        for destination, source in mapped.items():
            found = _RESPONSE.fullmatch(destination)
            if found is None:
                raise bad_mapping(f"Invalid Response Actioned Parameter destination specified: {destination}")
            if found["name"]:
                _check_header(found["name"])
            elif not source.startswith("$") and not re.fullmatch(r"[1-5][0-9]{2}", source):
                raise bad(f"Status Code {source} is not valid")


def check_subtype(subtype: str, parameters: Mapping[str, str]) -> None:
    """Parameters of a first-class integration, which must be known.  BadRequestException."""
    wanted = SUBTYPES[subtype]
    if any(name not in parameters for name in wanted.required):
        raise bad(
            f"Operation: {subtype} requires enabling passthrough, or defining all of the following parameters: "
            f"[{', '.join(wanted.required)}]"
        )
    known = {*wanted.required, *wanted.optional}
    strange = [name for name in parameters if name not in known]
    if strange:
        raise bad(f"Operation: {subtype} does not support the following parameters: [{', '.join(strange)}]")


def check_websocket_request(parameters: Mapping[str, str]) -> None:
    """Parameters of a WebSocket API's integration.  BadRequestException."""
    _check_all(parameters, _WEBSOCKET_REQUEST)


def check_websocket_response(parameters: Mapping[str, str]) -> None:
    """Parameters of an integration response.  BadRequestException."""
    _check_all(parameters, _WEBSOCKET_RESPONSE)


def _check_all(parameters: Mapping[str, str], form: re.Pattern[str]) -> None:
    wrong = [name for name in parameters if form.fullmatch(name) is None]
    if wrong:
        raise bad_mapping(*(f"Invalid mapping expression parameter specified: {name}" for name in wrong))


def _check_header(name: str) -> None:
    lower = name.lower()
    if lower in _RESERVED or lower.startswith(_RESERVED_BEGINNINGS):
        raise bad_mapping(f"Operations on header {name} are restricted")
