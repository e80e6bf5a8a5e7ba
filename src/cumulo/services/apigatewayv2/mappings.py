"""Which parameters integrations may set: what the data plane can compile, and AWS's sentence for what it cannot.  Pure.

HTTP APIs        append:header.x  overwrite:path  remove:querystring.y, or the parameters of a subtype
WebSocket APIs   integration.request.header.x  route.response.header.x
"""

import re
from collections.abc import Mapping
from typing import Final

from cumulo.gateway.http.expressions import BadExpression, value_of
from cumulo.gateway.http.mapping import problems_of_request, problems_of_response
from cumulo.gateway.http.subtypes import SUBTYPES
from cumulo.services.apigatewayv2.refusals import bad, bad_mapping

_REQUEST: Final = re.compile(r"(?:append|overwrite|remove):(?:header|querystring)\.\S+|overwrite:path")
_RESPONSE: Final = re.compile(r"(?:append|overwrite|remove):header\.\S+|overwrite:statuscode")
_WEBSOCKET_REQUEST: Final = re.compile(r"integration\.request\.(?:header|querystring|path)\.\S+")
_WEBSOCKET_RESPONSE: Final = re.compile(r"route\.response\.header\.\S+")
_STATUS: Final = re.compile(r"[2-5][0-9]{2}")


def check_request(parameters: Mapping[str, str]) -> None:
    """Parameters of an HTTP API's integration.  BadRequestException."""
    for destination in parameters:
        if _REQUEST.fullmatch(destination) is None:
            raise bad_mapping(f"Invalid Request Actioned Parameter destination specified: {destination}")
    problems = problems_of_request(parameters)
    if problems:
        raise bad_mapping(*problems)


def check_response(parameters: Mapping[str, Mapping[str, str]]) -> None:
    """The same for its answers, by status code.  BadRequestException."""
    for status, mapped in parameters.items():
        if _STATUS.fullmatch(status) is None:
            raise bad(f"Status Code {status} is not valid")
        for destination, source in mapped.items():
            if _RESPONSE.fullmatch(destination) is None:
                raise bad_mapping(f"Invalid Response Actioned Parameter destination specified: {destination}")
            if destination == "overwrite:statuscode" and not _is_status(source):
                raise bad(f"Status Code {source} is not valid")
        problems = problems_of_response(mapped)
        if problems:
            raise bad_mapping(*problems)


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
    for text in parameters.values():
        try:
            value_of(text)
        except BadExpression:
            raise bad_mapping(f"Invalid mapping expression specified: {text}") from None


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


def _is_status(source: str) -> bool:
    return source.startswith("$") or _STATUS.fullmatch(source) is not None
