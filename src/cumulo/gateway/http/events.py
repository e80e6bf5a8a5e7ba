"""The event that a request becomes for a function, in the payload formats 1.0 and 2.0.  Pure.

Maps that are empty are left out in 2.0, and null in 1.0.  Paths are shown percent-decoded, as HTTP APIs do.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from cumulo.gateway.definitions.v2 import Route
from cumulo.gateway.stages import Place
from cumulo.gateway.visit import ClientCertificate, Grant, Visit

Pairs = Sequence[tuple[str, str]]

_DROPPED: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect",
     "x-amzn-trace-id", "x-forwarded-port", "x-forwarded-proto"}
)  # fmt: skip
_PARTICULAR: Final = _DROPPED | {"x-forwarded-for", "host", "content-length"}
_TEXT: Final = frozenset({"application/json", "application/xml", "application/javascript"})
_SHOWN: Final = {
    name.lower(): name
    for name in ("Content-Length", "Content-Type", "Host", "User-Agent", "X-Amzn-Trace-Id", "X-Forwarded-For",
                 "X-Forwarded-Port", "X-Forwarded-Proto")
}  # fmt: skip
_IDENTITY: Final = ("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
                    "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "sourceIp", "user", "userAgent",
                    "userArn")  # fmt: skip

_encode = msgspec.json.Encoder().encode


class Asked(msgspec.Struct, kw_only=True):
    """A request as an integration gets it, after parameter mapping.

    headers      names lower case, without those of the connection, with those that API Gateway adds
    path         decoded, with the stage when it has a name
    resource     decoded, without the stage
    overwritten  the path that the mapping gave it, else None
    query        as it was sent; `arguments`: decoded
    body         None where it was not read, for it can be streamed
    """

    method: str
    path: str
    resource: str
    query: str
    headers: Pairs
    arguments: Pairs
    parameters: Mapping[str, str]
    body: bytes | None = None
    overwritten: str | None = None


def headers_1(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The last value of each header, by the name that format 1.0 shows."""
    return {_SHOWN.get(name, name): value for name, value in headers}


def headers_of(visit: Visit) -> list[tuple[str, str]]:
    """A request's headers: without those of the connection, with X-Forwarded-* and the trace."""
    request = visit.request
    address = source = visit.context["identity"]["sourceIp"]
    pairs: list[tuple[str, str]] = []
    add = pairs.append
    sized = False
    port = ""
    for raw_name, raw_value in request.headers.raw:
        name = raw_name.decode("latin-1")
        if name in _PARTICULAR:
            if name in _DROPPED:
                continue
            if name == "x-forwarded-for":
                address = f"{raw_value.decode('latin-1')}, {source}"
                continue
            if name == "host":
                port = _port(raw_value.decode("latin-1"))
            else:
                sized = True
        add((name, raw_value.decode("latin-1")))
    if not sized:
        add(("content-length", str(len(visit.body)) if visit.body else "0"))
    scheme = request.scheme
    add(("x-amzn-trace-id", visit.trace))
    add(("x-forwarded-for", address))
    add(("x-forwarded-port", port or ("443" if scheme == "https" else "80")))
    add(("x-forwarded-proto", scheme))
    return pairs


def _port(host: str) -> str:
    return host.rpartition(":")[2] if ":" in host and host[-1:].isdigit() else ""


def arguments_of(query: str) -> list[tuple[str, str]]:
    """A query's names and values, decoded; a name alone has an empty value."""
    return parse_qsl(query, keep_blank_values=True, errors="replace")


def decoded(path: str) -> str:
    """A path without percent-encoding."""
    return unquote(path, errors="replace") if "%" in path else path


def shown_body(body: bytes, content_type: str) -> tuple[str, bool]:
    """The body as text, and whether that is base64: of what is neither text nor JSON, XML, JavaScript."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _TEXT or kind.startswith("text/"):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


class _Http(msgspec.Struct, rename="camel", gc=False):
    method: str
    path: str
    protocol: str
    source_ip: str
    user_agent: str


class _Context(msgspec.Struct, rename="camel", gc=False):
    account_id: str
    api_id: str
    authentication: Any
    authorizer: Any
    domain_name: str
    domain_prefix: str
    http: _Http
    request_id: str
    route_key: str
    stage: str
    time: str
    time_epoch: int


class _Event(msgspec.Struct, rename="camel", gc=False):
    version: str
    route_key: str
    raw_path: str
    raw_query_string: str
    cookies: Any
    headers: dict[str, str]
    query_string_parameters: Any
    request_context: _Context
    body: Any
    path_parameters: Any
    is_base64_encoded: bool = msgspec.field(name="isBase64Encoded")
    stage_variables: Any


Maker = Callable[[Visit, Asked, "Grant | None"], bytes]


def event_2(place: Place, route: Route, variables: Mapping[str, str], *, simple: bool) -> Maker:
    """What makes events of format 2.0 for one route; `simple`: its Lambda authorizer answers without a policy."""
    unset = msgspec.UNSET
    shown_variables = dict(variables) or unset
    authorizer_of = _authorizer_2(route.authorization_type, simple=simple)
    key, account, api, stage = route.route_key, place.account, place.api_id, place.stage

    def make(visit: Visit, asked: Asked, grant: Grant | None) -> bytes:
        context = visit.context
        headers, cookies = _joined(asked.headers)
        body: Any = unset
        encoded = False
        if asked.body:
            body, encoded = shown_body(asked.body, headers.get("content-type", ""))
        certificate = visit.certificate
        return _encode(
            _Event(
                "2.0", key, asked.path, asked.query, cookies or unset, headers,
                _commas(asked.arguments) if asked.arguments else unset,
                _Context(
                    account, api,
                    unset if certificate is None else {"clientCert": shown_certificate(certificate)},
                    unset if grant is None else authorizer_of(visit, grant),
                    context["domainName"], context["domainPrefix"],
                    _Http(
                        asked.method, asked.path, context["protocol"], context["identity"]["sourceIp"],
                        headers.get("user-agent", ""),
                    ),
                    context["requestId"], key, stage, context["requestTime"], context["requestTimeEpoch"],
                ),
                body, asked.parameters or unset, encoded, shown_variables,
            )
        )  # fmt: skip

    return make


def event_1(place: Place, route: Route, variables: Mapping[str, str]) -> Maker:
    """What makes events of format 1.0 for one route."""
    key = route.route_key
    resource = key.partition(" ")[2] or key
    shown_variables = dict(variables) or None
    jwt = route.authorization_type == "JWT"

    def make(visit: Visit, asked: Asked, grant: Grant | None) -> bytes:
        context = visit.context
        pairs = [(_SHOWN.get(name, name), value) for name, value in asked.headers]
        headers = dict(pairs)
        body, encoded = None, False
        if asked.body:
            body, encoded = shown_body(asked.body, headers.get("Content-Type", ""))
        path = _path_1(visit, asked)
        return _encode(
            {
                "version": "1.0",
                "resource": resource,
                "path": path,
                "httpMethod": asked.method,
                "headers": headers,
                "multiValueHeaders": _lists(pairs),
                "queryStringParameters": dict(asked.arguments) or None,
                "multiValueQueryStringParameters": _lists(asked.arguments) or None,
                "requestContext": {
                    "accountId": place.account,
                    "apiId": place.api_id,
                    **({} if grant is None else {"authorizer": _authorizer_1(grant, jwt=jwt)}),
                    "domainName": context["domainName"],
                    "domainPrefix": context["domainPrefix"],
                    "extendedRequestId": context["extendedRequestId"],
                    "httpMethod": asked.method,
                    "identity": _identity_1(context["identity"], visit.certificate),
                    "path": path,
                    "protocol": context["protocol"],
                    "requestId": context["requestId"],
                    "requestTime": context["requestTime"],
                    "requestTimeEpoch": context["requestTimeEpoch"],
                    "resourceId": key,
                    "resourcePath": resource,
                    "stage": place.stage,
                },
                "pathParameters": asked.parameters or None,
                "stageVariables": shown_variables,
                "body": body,
                "isBase64Encoded": encoded,
            }
        )

    return make


def shown_certificate(certificate: ClientCertificate) -> dict[str, Any]:
    """A client's certificate as events show it."""
    return {
        "clientCertPem": certificate.pem,
        "subjectDN": certificate.subject,
        "issuerDN": certificate.issuer,
        "serialNumber": certificate.serial,
        "validity": {"notBefore": certificate.not_before, "notAfter": certificate.not_after},
    }


def _path_1(visit: Visit, asked: Asked) -> str:
    """Format 1.0 shows the path with the base path of a custom domain's mapping, if any."""
    return decoded(visit.address.raw_path) if visit.address.custom else asked.path


def _joined(pairs: Pairs) -> tuple[dict[str, str], list[str]]:
    """Headers by name, several values with commas between them; and the cookies, which are no header in 2.0."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in pairs:
        if name == "cookie":
            cookies += [cookie for part in value.split(";") if (cookie := part.strip())]
        elif name in headers:
            headers[name] += "," + value
        else:
            headers[name] = value
    return headers, cookies


def _commas(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _lists(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _authorizer_2(kind: str, *, simple: bool) -> Callable[[Visit, Grant], Any]:
    if kind == "JWT":
        return lambda _visit, grant: {
            "jwt": {"claims": grant.context.get("claims") or {}, "scopes": grant.context.get("scopes")}
        }
    if kind == "AWS_IAM":
        return lambda visit, _grant: {"iam": _iam(visit.context["identity"])}
    hidden = frozenset() if simple else frozenset({"principalId"})
    return lambda _visit, grant: {
        "lambda": {name: value for name, value in grant.context.items() if name not in hidden}
    }


def _iam(identity: Mapping[str, Any]) -> dict[str, Any]:
    pool = identity.get("cognitoIdentityPoolId")
    cognito = None
    if pool:
        cognito = {
            "amr": [identity.get("cognitoAuthenticationType")],
            "identityId": identity.get("cognitoIdentityId"),
            "identityPoolId": pool,
        }
    return {
        "accessKey": identity.get("accessKey"),
        "accountId": identity.get("accountId"),
        "callerId": identity.get("caller"),
        "cognitoIdentity": cognito,
        "principalOrgId": identity.get("principalOrgId"),
        "userArn": identity.get("userArn"),
        "userId": identity.get("user"),
    }


def _authorizer_1(grant: Grant, *, jwt: bool) -> Any:
    if jwt:
        return {"claims": grant.context.get("claims") or {}, "scopes": grant.context.get("scopes")}
    return dict(grant.context)


def _identity_1(identity: Mapping[str, Any], certificate: ClientCertificate | None) -> dict[str, Any]:
    shown: dict[str, Any] = {name: identity.get(name) for name in _IDENTITY}
    if certificate is not None:
        shown["clientCert"] = shown_certificate(certificate)
    return shown
