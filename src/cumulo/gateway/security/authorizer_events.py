"""What Lambda authorizers are sent.  Pure: from a Visit to the event.

TOKEN                            REST
REQUEST                          REST and WebSocket APIs
REQUEST 1.0, REQUEST 2.0         HTTP APIs, by the authorizer's payload format version
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, unquote_plus

from cumulo.gateway.definitions.rest import Method, Resource
from cumulo.gateway.definitions.v2 import Route
from cumulo.gateway.http.events import headers_1
from cumulo.gateway.security.arns import path_parameters
from cumulo.gateway.spelling import spelling
from cumulo.gateway.visit import Visit

# What a visit's context has for others than functions.
_INTERNAL = frozenset(
    {"authorizer", "authenticate", "authorize", "error", "integration", "responseOverride", "requestOverride"}
    | {"responseLatency", "responseLength", "status", "waf"}
)
_NAMES = {"x-amzn-trace-id": "X-Amzn-Trace-Id", "dnt": "DNT", "te": "TE", "x-request-id": "X-Request-Id"}


def token_event(token: str, arn: str) -> dict[str, Any]:
    """Of a TOKEN authorizer."""
    return {"type": "TOKEN", "methodArn": arn, "authorizationToken": token}


def rest_event(
    visit: Visit, arn: str, resource: Resource, method: Method, variables: Mapping[str, str]
) -> dict[str, Any]:
    """Of a REQUEST authorizer of a REST API."""
    context = _request_context(visit)
    context["resourcePath"] = resource.path
    context["resourceId"] = resource.id
    context["httpMethod"] = visit.request.method
    return {
        "type": "REQUEST",
        "methodArn": arn,
        "resource": resource.path,
        "path": visit.address.path,
        "httpMethod": visit.request.method if method.http_method == "ANY" else method.http_method,
        **_headers_and_query(visit),
        "pathParameters": path_parameters(resource.path, visit.address.path),
        "stageVariables": dict(variables),
        "requestContext": context,
    }


def websocket_event(visit: Visit, arn: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Of a REQUEST authorizer of a WebSocket API, which is asked about $connect."""
    return {
        "type": "REQUEST",
        "methodArn": arn,
        **_headers_and_query(visit),
        "stageVariables": dict(variables),
        "requestContext": _request_context(visit),
    }


def http_event(
    visit: Visit, arn: str, route: Route, identity: Sequence[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """Of an authorizer of an HTTP API with payload format version 1.0."""
    template = _template(route)
    headers, query = headers_1(visit.request.headers.items()), _query(visit)
    joined = ",".join(identity) or None
    context = _request_context(visit)
    context |= {"resourceId": route.route_key, "resourcePath": template}
    return {
        "version": "1.0",
        "type": "REQUEST",
        "methodArn": arn,
        "identitySource": joined,
        "authorizationToken": joined,
        "resource": template,
        "path": _decoded(visit.address.raw_path),
        "httpMethod": visit.request.method,
        "headers": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()},
        "pathParameters": path_parameters(template, _decoded(visit.address.path), encoded=False),
        "stageVariables": dict(variables),
        "requestContext": context,
    }


def http_event_2(
    visit: Visit, arn: str, route: Route, identity: Sequence[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """Of an authorizer of an HTTP API with payload format version 2.0; what there is none of is left out."""
    context = visit.context
    raw_path = _decoded(visit.address.raw_path)
    cookies = [one for line in visit.request.headers.get_all("cookie") for one in line.split("; ") if one]
    headers: dict[str, str] = {}
    for name, value in visit.request.headers.items():
        if name != "cookie":
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    query = {name: ",".join(values) for name, values in _query(visit).items()}
    event: dict[str, Any] = {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": arn,
        "identitySource": list(identity) or None,
        "routeKey": route.route_key,
        "rawPath": raw_path,
        "rawQueryString": visit.request.query,
        "headers": headers,
        "requestContext": {
            "accountId": context.get("accountId"),
            "apiId": context.get("apiId"),
            "domainName": context.get("domainName"),
            "domainPrefix": context.get("domainPrefix"),
            "http": {
                "method": visit.request.method,
                "path": raw_path,
                "protocol": context.get("protocol", "HTTP/1.1"),
                "sourceIp": context.get("identity", {}).get("sourceIp"),
                "userAgent": context.get("identity", {}).get("userAgent"),
            },
            "requestId": context.get("requestId"),
            "routeKey": route.route_key,
            "stage": context.get("stage"),
            "time": context.get("requestTime"),
            "timeEpoch": context.get("requestTimeEpoch"),
        },
    }
    authentication = _client_certificate(visit)
    if authentication is not None:
        event["requestContext"]["authentication"] = {"clientCert": authentication}
    optional = {
        "cookies": cookies,
        "queryStringParameters": query,
        "pathParameters": path_parameters(_template(route), _decoded(visit.address.path), encoded=False),
        "stageVariables": dict(variables),
    }
    return event | {name: value for name, value in optional.items() if value}


def _decoded(path: str) -> str:
    """A path as HTTP APIs show it."""
    return unquote(path, errors="replace") if "%" in path else path


def _template(route: Route) -> str:
    """The path of a route's key (`GET /pets/{id}`); that of $default is itself."""
    return route.route_key.partition(" ")[2] or route.route_key


def _request_context(visit: Visit) -> dict[str, Any]:
    context = {name: value for name, value in visit.context.items() if name not in _INTERNAL}
    certificate = _client_certificate(visit)
    if certificate is not None:
        context["identity"] = {**context.get("identity", {}), "clientCert": certificate}
    return context


def _client_certificate(visit: Visit) -> dict[str, Any] | None:
    shown = visit.certificate
    if shown is None:
        return None
    return {
        "clientCertPem": shown.pem,
        "subjectDN": shown.subject,
        "issuerDN": shown.issuer,
        "serialNumber": shown.serial,
        "validity": {"notBefore": shown.not_before, "notAfter": shown.not_after},
    }


def _headers_and_query(visit: Visit) -> dict[str, Any]:
    headers, query = _headers(visit, spelling(visit.request.headers, spelled)), _query(visit)
    return {
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()},
        "multiValueQueryStringParameters": query,
    }


def _headers(visit: Visit, shown: Callable[[str], str]) -> dict[str, list[str]]:
    """Values by names as they are to be shown."""
    found: dict[str, list[str]] = {}
    for name, value in visit.request.headers.items():
        found.setdefault(shown(name), []).append(value)
    return found


def spelled(name: str) -> str:
    """A header's name as it is mostly written: Content-Type, X-Forwarded-For."""
    return _NAMES.get(name) or "-".join(part.capitalize() for part in name.split("-"))


def _query(visit: Visit) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for piece in visit.request.query.split("&") if visit.request.query else ():
        name, _, value = piece.partition("=")
        found.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return found
