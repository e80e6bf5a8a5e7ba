"""Security schemes of documents and authorizers of REST APIs; what an operation asks of its callers."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from cumulo.gateway.definitions.rest import Authorizer, Method
from cumulo.gateway.openapi.documents import EXTENSION, Document
from cumulo.gateway.openapi.nodes import number_at, object_at, text_at, texts_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import Operation
from cumulo.gateway.openapi.references import resolved
from cumulo.gateway.openapi.texts import Tree

AUTHORIZER: Final = EXTENSION + "authorizer"
AUTHTYPE: Final = EXTENSION + "authtype"
AUTH: Final = EXTENSION + "auth"
_TYPES: Final = {"TOKEN": "custom", "REQUEST": "custom", "COGNITO_USER_POOLS": "cognito_user_pools"}
_PLACES: Final = {"header": "header", "query": "querystring"}
_UNUSED: Final = (
    "Unused"  # the name that AWS writes where a scheme must have one and the authorizer needs none
)


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """What a security scheme asks for: an authorizer, a signature (`iam`), or an API key; nothing when it is not supported."""

    authorizer: Authorizer | None = None
    iam: bool = False
    api_key: bool = False


def read_schemes(document: Document, id_of: Callable[[str], str], notes: Notes) -> dict[str, Scheme]:
    """Every scheme of a document, by its name; `id_of`: an id for the authorizer with a name."""
    found = {}
    for name, given in document.security_schemes.items():
        where = f"securitySchemes.{name}" if document.three else f"securityDefinitions.{name}"
        found[name] = _scheme(name, resolved(document.root, given, where, notes), where, id_of, notes)
    return found


def secured(method: Method, operation: Operation, schemes: Mapping[str, Scheme], notes: Notes) -> Method:
    """The method with what its operation says of security."""
    for alternative in operation.security:
        for name, scopes in alternative.items():
            scheme = schemes.get(name)
            if scheme is None:
                notes.error(
                    f"Unable to put method '{method.http_method}' on resource at path '{operation.path}': "
                    f"Security scheme '{name}' is not defined"
                )
            else:
                method = _asked(method, scheme, scopes, operation, notes)
    given = object_at(operation.node, AUTH, operation.where, notes)
    kind = text_at(given, "type", f"{operation.where}.{AUTH}", notes).upper()
    if kind in ("NONE", "AWS_IAM"):
        return msgspec.structs.replace(
            method, authorization_type=kind, authorizer_id="", authorization_scopes=()
        )
    if kind:
        notes.parse_issue(f"{operation.where}.{AUTH}.type", f"`{kind[:50]}` is not supported")
    return method


def _asked(
    method: Method, scheme: Scheme, scopes: tuple[str, ...], operation: Operation, notes: Notes
) -> Method:
    if scheme.api_key:
        return msgspec.structs.replace(method, api_key_required=True)
    if scheme.authorizer is None and not scheme.iam:
        return method
    if method.authorization_type != "NONE":
        notes.warn(
            f"More than one authorizer provided for method '{operation.method} {operation.path}'. "
            "Ignoring all but the first"
        )
        return method
    if scheme.authorizer is None:
        return msgspec.structs.replace(method, authorization_type="AWS_IAM")
    pools = scheme.authorizer.type == "COGNITO_USER_POOLS"
    return msgspec.structs.replace(
        method,
        authorization_type="COGNITO_USER_POOLS" if pools else "CUSTOM",
        authorizer_id=scheme.authorizer.id,
        authorization_scopes=scopes,
    )


def _scheme(
    name: str, node: Mapping[str, Tree], where: str, id_of: Callable[[str], str], notes: Notes
) -> Scheme:
    kind = text_at(node, "type", where, notes)
    authtype = text_at(node, AUTHTYPE, where, notes)
    if node.get(AUTHORIZER) is not None:
        authorizer = _authorizer(name, node, where, notes)
        if authorizer is None:
            return Scheme()
        return Scheme(authorizer=msgspec.structs.replace(authorizer, id=id_of(name)))
    if authtype.lower() == "awssigv4":
        return Scheme(iam=True)
    if kind == "apiKey":
        is_key = text_at(node, "name", where, notes).lower() == "x-api-key" and node.get("in") == "header"
        return Scheme(api_key=is_key)
    notes.warn(f"Unsupported security definition type '{kind[:50]}' for '{name[:200]}'. Ignoring.")
    return Scheme()


def _authorizer(name: str, node: Mapping[str, Tree], where: str, notes: Notes) -> Authorizer | None:
    given = object_at(node, AUTHORIZER, where, notes)
    at = f"{where}.{AUTHORIZER}"
    kind = text_at(given, "type", at, notes).upper()
    if kind not in _TYPES:
        notes.error(
            f"Unable to create authorizer '{name[:200]}': Authorizer type '{kind[:50]}' is not supported"
        )
        return None
    return Authorizer(
        id="",
        name=name,
        type=kind,
        provider_arns=texts_at(given, "providerARNs", at, notes),
        auth_type=text_at(node, AUTHTYPE, where, notes) or _TYPES[kind],
        authorizer_uri=text_at(given, "authorizerUri", at, notes),
        authorizer_credentials=text_at(given, "authorizerCredentials", at, notes),
        identity_source=text_at(given, "identitySource", at, notes) or _source(node, where, notes),
        identity_validation_expression=text_at(given, "identityValidationExpression", at, notes),
        ttl=number_at(given, "authorizerResultTtlInSeconds", at, notes),
    )


def _source(node: Mapping[str, Tree], where: str, notes: Notes) -> str:
    """Where the scheme says that callers show who they are."""
    place = _PLACES.get(text_at(node, "in", where, notes))
    name = text_at(node, "name", where, notes)
    return f"method.request.{place}.{name}" if place and name and name != _UNUSED else ""


# -- writing ---------------------------------------------------------------------------------------------------


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What the schemes of an exported document are called.  Authorizers have their own names; no two are alike."""

    authorizers: Mapping[str, str]
    iam: str
    api_key: str


def names_of(authorizers: Mapping[str, Authorizer]) -> Names:
    """Names for the schemes of an API, by the ids of its authorizers."""
    taken = {one.name for one in authorizers.values()}
    return Names(
        authorizers={key: one.name for key, one in authorizers.items()},
        iam=_free("sigv4", taken),
        api_key=_free("api_key", taken),
    )


def write_security(method: Method, names: Names) -> list[Tree]:
    """What a method asks for, as alternatives."""
    written: list[Tree] = []
    if method.authorization_type == "AWS_IAM":
        written.append({names.iam: []})
    elif method.authorizer_id in names.authorizers:
        written.append({names.authorizers[method.authorizer_id]: list(method.authorization_scopes)})
    if method.api_key_required:
        written.append({names.api_key: []})
    return written


def write_authorizer(authorizer: Authorizer, *, extension: bool) -> dict[str, Tree]:
    """The scheme of an authorizer; without the extension only what OpenAPI itself has words for."""
    place, name = _shown_source(authorizer.identity_source)
    node: dict[str, Tree] = {"type": "apiKey", "name": name, "in": place}
    if not extension:
        return node
    shown = authorizer.type == "REQUEST" or name == _UNUSED
    said: dict[str, Tree] = {
        "providerARNs": list(authorizer.provider_arns),
        "identitySource": authorizer.identity_source if shown else "",
        "authorizerUri": authorizer.authorizer_uri,
        "authorizerCredentials": authorizer.authorizer_credentials,
        "identityValidationExpression": authorizer.identity_validation_expression,
    }
    given = {member: value for member, value in said.items() if value}
    if authorizer.ttl is not None:
        given["authorizerResultTtlInSeconds"] = authorizer.ttl
    given["type"] = authorizer.type.lower()
    return {**node, AUTHTYPE: authorizer.auth_type or _TYPES[authorizer.type], AUTHORIZER: given}


def write_iam() -> dict[str, Tree]:
    """The scheme of signatures."""
    return {"type": "apiKey", "name": "Authorization", "in": "header", AUTHTYPE: "awsSigv4"}


def write_api_key() -> dict[str, Tree]:
    """The scheme of API keys."""
    return {"type": "apiKey", "name": "x-api-key", "in": "header"}


def _shown_source(source: str) -> tuple[str, str]:
    for place, word in _PLACES.items():
        prefix = f"method.request.{word}."
        if source.startswith(prefix) and "," not in source:
            return place, source.removeprefix(prefix)
    return "header", _UNUSED


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
