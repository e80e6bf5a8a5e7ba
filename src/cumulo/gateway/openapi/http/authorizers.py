"""Security schemes of documents and authorizers of HTTP APIs; what an operation asks of its callers."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from cumulo.gateway.definitions.v2 import Authorizer, Route
from cumulo.gateway.openapi.documents import EXTENSION, Document
from cumulo.gateway.openapi.http.integrations import version_at
from cumulo.gateway.openapi.nodes import flag_at, number_at, object_at, text_at, texts_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import Operation
from cumulo.gateway.openapi.references import resolved
from cumulo.gateway.openapi.texts import Tree

AUTHORIZER: Final = EXTENSION + "authorizer"
AUTHTYPE: Final = EXTENSION + "authtype"
AUTH: Final = EXTENSION + "auth"
_TOKEN: Final = "$request.header.Authorization"  # noqa: S105 - where a token is
_DISCOVERY: Final = "/.well-known/openid-configuration"
_PLACES: Final = {"header": "header", "query": "querystring"}


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """What a security scheme asks for: an authorizer, a signature, or nothing that HTTP APIs have."""

    authorizer: Authorizer | None = None
    iam: bool = False


def read_schemes(document: Document, id_of: Callable[[str], str], notes: Notes) -> dict[str, Scheme]:
    """Every scheme of a document, by its name; `id_of`: an id for the authorizer with a name."""
    found = {}
    for name, given in document.security_schemes.items():
        where = f"components.securitySchemes.{name[:100]}"
        node = resolved(document.root, given, where, notes)
        kind = text_at(node, "type", where, notes)
        if node.get(AUTHORIZER) is not None:
            authorizer = _authorizer(name, node, where, notes)
            found[name] = Scheme(authorizer=msgspec.structs.replace(authorizer, id=id_of(name)))
        elif text_at(node, AUTHTYPE, where, notes).lower() == "awssigv4":
            found[name] = Scheme(iam=True)
        else:
            notes.warn(f"Unsupported security definition type '{kind[:50]}' for '{name[:200]}'. Ignoring.")
            found[name] = Scheme()
    return found


def secured(route: Route, operation: Operation, schemes: Mapping[str, Scheme], notes: Notes) -> Route | None:
    """The route with what its operation says of security; None when it names what is not there."""
    for alternative in operation.security:
        for name, scopes in alternative.items():
            scheme = schemes.get(name)
            if scheme is None:
                notes.warn(
                    f"Unable to create Route '{route.route_key}': Security scheme '{name[:200]}' is not defined"
                )
                return None
            route = _asked(route, scheme, scopes, notes)
    given = object_at(operation.node, AUTH, operation.where, notes)
    kind = text_at(given, "type", f"{operation.where}.{AUTH}", notes).upper()
    if kind in ("NONE", "AWS_IAM"):
        return msgspec.structs.replace(
            route, authorization_type=kind, authorizer_id="", authorization_scopes=()
        )
    if kind:
        notes.parse_issue(f"{operation.where}.{AUTH}.type", f"`{kind[:50]}` is not supported")
    return route


def _asked(route: Route, scheme: Scheme, scopes: tuple[str, ...], notes: Notes) -> Route:
    if scheme.authorizer is None and not scheme.iam:
        return route
    if route.authorization_type != "NONE":
        notes.warn(
            f"More than one authorizer provided for route '{route.route_key}'. Ignoring all but the first"
        )
        return route
    if scheme.authorizer is None:
        return msgspec.structs.replace(route, authorization_type="AWS_IAM")
    jwt = scheme.authorizer.authorizer_type == "JWT"
    if scopes and not jwt:
        notes.warn(f"Scopes of route '{route.route_key}' are only valid for JWT authorizers. Ignoring.")
    return msgspec.structs.replace(
        route,
        authorization_type="JWT" if jwt else "CUSTOM",
        authorizer_id=scheme.authorizer.id,
        authorization_scopes=scopes if jwt else (),
    )


def _authorizer(name: str, node: Mapping[str, Tree], where: str, notes: Notes) -> Authorizer:
    given = object_at(node, AUTHORIZER, where, notes)
    at = f"{where}.{AUTHORIZER}"
    jwt = object_at(given, "jwtConfiguration", at, notes)
    kind = text_at(given, "type", at, notes).upper() or ("JWT" if jwt else "REQUEST")
    sources = _sources(given, at, notes)
    return Authorizer(
        id="",
        name=name,
        authorizer_type=kind,
        identity_source=sources or ((_TOKEN,) if kind == "JWT" else ()),
        authorizer_uri=text_at(given, "authorizerUri", at, notes),
        authorizer_credentials_arn=text_at(given, "authorizerCredentials", at, notes),
        authorizer_payload_format_version=version_at(given, "authorizerPayloadFormatVersion", at, notes),
        enable_simple_responses=bool(flag_at(given, "enableSimpleResponses", at, notes)),
        identity_validation_expression=text_at(given, "identityValidationExpression", at, notes),
        ttl=number_at(given, "authorizerResultTtlInSeconds", at, notes),
        jwt_audience=texts_at(jwt, "audience", f"{at}.jwtConfiguration", notes),
        jwt_issuer=text_at(jwt, "issuer", f"{at}.jwtConfiguration", notes)
        or _issuer(node, kind, where, notes),
    )


def _sources(given: Mapping[str, Tree], at: str, notes: Notes) -> tuple[str, ...]:
    """Identity sources: a list, or one text with commas."""
    if isinstance(given.get("identitySource"), list):
        return texts_at(given, "identitySource", at, notes)
    text = text_at(given, "identitySource", at, notes)
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _issuer(node: Mapping[str, Tree], kind: str, where: str, notes: Notes) -> str:
    """Who issues the tokens of a scheme of OpenID Connect that says where to ask."""
    url = text_at(node, "openIdConnectUrl", where, notes) if kind == "JWT" else ""
    return url.removesuffix(_DISCOVERY)


# -- writing ---------------------------------------------------------------------------------------------------


def write_authorizer(authorizer: Authorizer, *, extension: bool) -> dict[str, Tree]:
    """The scheme of an authorizer; without the extension only what OpenAPI itself has words for."""
    one = authorizer
    jwt = one.authorizer_type == "JWT"
    node: dict[str, Tree] = {"type": "oauth2", "flows": {}} if jwt else _key_scheme(one.identity_source)
    if not extension:
        return node
    said: dict[str, Tree] = {
        "identitySource": ",".join(one.identity_source),
        "jwtConfiguration": {"audience": list(one.jwt_audience), "issuer": one.jwt_issuer} if jwt else {},
        "authorizerUri": one.authorizer_uri,
        "authorizerCredentials": one.authorizer_credentials_arn,
        "authorizerPayloadFormatVersion": one.authorizer_payload_format_version,
        "identityValidationExpression": one.identity_validation_expression,
        "enableSimpleResponses": one.enable_simple_responses,
    }
    given = {name: value for name, value in said.items() if value}
    if one.ttl is not None:
        given["authorizerResultTtlInSeconds"] = one.ttl
    given["type"] = one.authorizer_type.lower()
    return {**node, AUTHORIZER: given}


def _key_scheme(sources: tuple[str, ...]) -> dict[str, Tree]:
    for place, word in _PLACES.items():
        prefix = f"$request.{word}."
        if len(sources) == 1 and sources[0].startswith(prefix):
            return {"type": "apiKey", "name": sources[0].removeprefix(prefix), "in": place}
    return {"type": "apiKey", "name": "Unused", "in": "header"}
