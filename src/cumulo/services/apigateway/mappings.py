"""Parameter mappings and templates: what may be named on which side.  Pure.

integration.request.header.X  =  method.request.querystring.y      before an integration is called
method.response.header.X      =  integration.response.body.a.b     after it
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from cumulo.base.errors import AwsError
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.quotas import TEMPLATE_BYTES_MAX

_NAME: Final = r"[^\s'\"\[\]{}]+"
_METHOD_REQUEST: Final = re.compile(rf"method\.request\.(path|querystring|header)\.({_NAME})")
_METHOD_RESPONSE: Final = re.compile(rf"method\.response\.header\.({_NAME})")
_INTEGRATION_REQUEST: Final = re.compile(rf"integration\.request\.(path|querystring|header)\.({_NAME})")
_REQUEST_SOURCE: Final = re.compile(
    rf"method\.request\.(path|querystring|header|multivalueheader|multivaluequerystring)\.({_NAME})"
)
_REQUEST_BODY: Final = re.compile(r"method\.request\.body(\..+|\[.+)?")
_RESPONSE_SOURCE: Final = re.compile(
    rf"integration\.response\.(header|multivalueheader)\.{_NAME}|integration\.response\.body(\..+|\[.+)?"
)
_ELSEWHERE: Final = re.compile(rf"'.*'|stageVariables\.{_NAME}|context\.{_NAME}", re.DOTALL)
_CONTENT_TYPE: Final = re.compile(r"[^/\s]+/[^/\s]+|\$default")


def check_method_request(parameters: Iterable[str]) -> None:
    """BadRequestException for names that no method's request can have."""
    seen: dict[str, str] = {}
    for parameter in parameters:
        found = _METHOD_REQUEST.fullmatch(parameter)
        if found is None:
            raise _invalid_expression(parameter)
        place, name = found.groups()
        if seen.setdefault(name, place) != place:
            raise refusals.bad_request("Parameter names must be unique across querystring, header and path")


def check_method_response(parameters: Iterable[str]) -> None:
    """BadRequestException for names that no method's response can have."""
    for parameter in parameters:
        if not _METHOD_RESPONSE.fullmatch(parameter):
            raise _invalid_expression(parameter)


def check_integration_request(parameters: Mapping[str, str], declared: Iterable[str]) -> None:
    """BadRequestException for mappings to or from what is not there; `declared`: of the method's request."""
    known = set(declared)
    for target, source in parameters.items():
        if not _INTEGRATION_REQUEST.fullmatch(target):
            raise _invalid_parameter(target)
        found = _REQUEST_SOURCE.fullmatch(source)
        if found is not None:
            place, name = found.groups()
            if f"method.request.{place.removeprefix('multivalue')}.{name}" not in known:
                raise _invalid_parameter(source)
        elif not (_REQUEST_BODY.fullmatch(source) or _ELSEWHERE.fullmatch(source)):
            raise _invalid_expression(source)


def check_integration_response(parameters: Mapping[str, str], declared: Iterable[str]) -> None:
    """The same on the way back; `declared`: of the method's response with this status."""
    known = set(declared)
    for target, source in parameters.items():
        if not _METHOD_RESPONSE.fullmatch(target) or target not in known:
            raise _invalid_parameter(target)
        if not (_RESPONSE_SOURCE.fullmatch(source) or _ELSEWHERE.fullmatch(source)):
            raise _invalid_expression(source)


def check_templates(templates: Mapping[str, str | None]) -> None:
    """BadRequestException for content types that are none, and templates that are too long."""
    for content_type, template in templates.items():
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise refusals.bad_request(
                f"Validation Result: warnings : [], errors : [Invalid content type specified: {content_type}]"
            )
        if template is not None and len(template.encode()) > TEMPLATE_BYTES_MAX:
            raise refusals.bad_request(
                f"The mapping template for {content_type} exceeds the limit of {TEMPLATE_BYTES_MAX // 1024} KB"
            )


def templates_of(given: Mapping[str, str | None]) -> dict[str, str | None]:
    """Templates as they are kept: an empty one is none, as AWS shows it."""
    return {content_type: template or None for content_type, template in given.items()}


def _invalid_parameter(parameter: str) -> AwsError:
    return _invalid(f"Invalid mapping expression parameter specified: {parameter}")


def _invalid_expression(expression: str) -> AwsError:
    return _invalid(f"Invalid mapping expression specified: {expression}")


def _invalid(what: str) -> AwsError:
    return refusals.bad_request(
        f"Invalid mapping expression specified: Validation Result: warnings : [], errors : [{what}]"
    )
