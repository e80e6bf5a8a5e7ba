"""The event that a function behind a REST API gets: AWS's proxy format, version 1.0, as REST APIs write it."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cumulo.gateway.rest.call import Call
from cumulo.gateway.visit import ClientCertificate, Visit

_IDENTITY: Final = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "sourceIp",
    "user",
    "userAgent",
    "userArn",
)
_IN_EVENTS: Final = (
    "accountId",
    "apiId",
    "deploymentId",
    "domainName",
    "domainPrefix",
    "extendedRequestId",
    "httpMethod",
    "identity",
    "operationName",
    "path",
    "protocol",
    "requestId",
    "requestTime",
    "requestTimeEpoch",
    "resourceId",
    "resourcePath",
    "stage",
)


def event_of(call: Call, body: bytes, *, binary: bool) -> bytes:
    """The event as JSON; `binary` bodies are in base64."""
    context = call.context
    headers = {call.shown(name): values for name, values in call.passed_headers().items()}
    for name, value in forwarded(call.visit):
        headers[call.shown(name)] = [value]
    query = call.query
    text = None
    if body:
        text = base64.b64encode(body).decode() if binary else body.decode(errors="replace")
    return msgspec.json.encode(
        {
            "resource": call.resource.path,
            "path": path_of(call.visit),
            "httpMethod": context["httpMethod"],
            "headers": {name: values[-1] for name, values in headers.items()} or None,
            "multiValueHeaders": headers or None,
            "queryStringParameters": call.single_query() or None,
            "multiValueQueryStringParameters": query or None,
            "pathParameters": call.path_parameters or None,
            "stageVariables": call.variables or None,
            "requestContext": _request_context(call),
            "body": text,
            "isBase64Encoded": bool(body) and binary,
        }
    )


def _request_context(call: Call) -> dict[str, Any]:
    context = call.context
    told: dict[str, Any] = {name: context[name] for name in _IN_EVENTS if name in context}
    if call.grant.context:
        latency = call.grant.facts.get("integrationLatency")
        more = {} if latency is None else {"integrationLatency": latency}
        told["authorizer"] = {**call.grant.context, **more}
    return told


def path_of(visit: Visit) -> str:
    """The path that events and logs show: without the stage, but with a custom domain's base path."""
    address = visit.address
    path = address.raw_path if address.custom else address.path
    return "/" + path.lstrip("/")


def identity_of(given: Mapping[str, Any], certificate: ClientCertificate | None) -> dict[str, Any]:
    """`$context.identity` as REST APIs have it: whole, with nulls."""
    identity = dict.fromkeys(_IDENTITY) | dict(given)
    if certificate is not None:
        identity["clientCert"] = {
            "clientCertPem": certificate.pem,
            "subjectDN": certificate.subject,
            "issuerDN": certificate.issuer,
            "serialNumber": certificate.serial,
            "validity": {"notBefore": certificate.not_before, "notAfter": certificate.not_after},
        }
    return identity


def forwarded(visit: Visit) -> list[tuple[str, str]]:
    """What the gateway tells an integration of the client, in names of small letters."""
    request = visit.request
    source = str(visit.context["identity"]["sourceIp"])
    before = request.headers.get("x-forwarded-for")
    host = request.headers.get("host")
    scheme = request.scheme
    port = host.rpartition(":")[2] if host[-1:].isdigit() and ":" in host else ""
    return [
        ("x-amzn-trace-id", visit.trace),
        ("x-forwarded-for", f"{before}, {source}" if before else source),
        ("x-forwarded-port", port or ("443" if scheme == "https" else "80")),
        ("x-forwarded-proto", scheme),
    ]
