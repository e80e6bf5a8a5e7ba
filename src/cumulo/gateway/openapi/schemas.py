"""Schemas of documents and models of APIs: the same JSON Schemas, which name one another differently.

#/components/schemas/Pet                     ◀──▶   https://apigateway.amazonaws.com/restapis/<api>/models/Pet
#/components/schemas/Pet/properties/name     ◀──▶   https://.../models/Pet#/properties/name
#/components/schemas/Pet/properties/name     ◀──▶   #/properties/name, within Pet itself
"""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from cumulo.gateway.openapi.texts import DEPTH_MAX, Tree

BASE: Final = "https://apigateway.amazonaws.com/restapis/"
_MODEL: Final = re.compile(
    r"https://apigateway\.[a-z0-9.-]*amazonaws\.com(?:\.cn)?/restapis/([a-z0-9]+)/models/([a-zA-Z0-9]+)(?:#(.*))?",
    re.DOTALL,
)


def text_of(schema: Tree) -> str:
    """A schema as the text of a model, for people to read."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()


def to_model(schema: Tree, own: str, schemas_at: str, api_id: str) -> Tree:
    """A document's schema as the one of a model; `own`: the name it has there (empty: it lies in an operation)."""

    def refer(target: str) -> str:
        if not target.startswith(schemas_at):
            return target
        name, slash, rest = target.removeprefix(schemas_at).partition("/")
        if slash and name == own:
            return f"#/{rest}"
        return f"{BASE}{api_id}/models/{name}{'#/' + rest if slash else ''}"

    changed = _with_references(schema, refer, 0)
    if isinstance(changed, dict):
        changed.pop("$schema", None)
    return changed


def from_model(text: str, own: str, schemas_at: str, api_id: str) -> dict[str, Tree] | None:
    """The schema of a model as documents have it; None when its text is no JSON object."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(schema, dict):
        return None

    def refer(target: str) -> str:
        if target == "#" or target.startswith("#/"):
            return f"{schemas_at}{own}{target[1:]}"
        match = _MODEL.fullmatch(target)
        if match is None or match[1] != api_id:
            return target
        return f"{schemas_at}{match[2]}{match[3] or ''}"

    try:
        changed = _with_references(schema, refer, 0)
    except RecursionError:
        return None
    changed.pop("$schema", None)
    return dict(changed)


def referred(schema: Tree, schemas_at: str) -> str | None:
    """The name of the schema that this is nothing but a reference to, or None."""
    target = schema.get("$ref") if isinstance(schema, dict) else None
    if isinstance(target, str) and target.startswith(schemas_at):
        return target.removeprefix(schemas_at)
    return None


def invented_name(schema: Tree, schemas_at: str) -> str:
    """The name of a model that is made of a schema without one: the same for the same schema."""
    if isinstance(schema, dict) and set(schema) == {"type", "items"} and schema["type"] == "array":
        inner = referred(schema["items"], schemas_at)
        if inner is not None and inner.isascii() and inner.isalnum():
            return f"ArrayOf{inner}"
    text = json.dumps(schema, sort_keys=True)
    return "MODEL" + hashlib.sha256(text.encode()).hexdigest()[:6]


def unsupported_kind(schema: Tree, *, three: bool) -> str:
    """The name by which AWS says that it makes no model of such a schema; empty: it makes one."""
    if not isinstance(schema, dict):
        return "Schema"
    kind = schema.get("type")
    if not isinstance(kind, str) or kind in ("object", "array") or "properties" in schema:
        return ""
    name = _FORMATS.get(str(schema.get("format"))) if kind == "string" else None
    return f"{name or kind[:40].capitalize()}{'Schema' if three else 'Property'}"


_FORMATS: Final = {
    "binary": "Binary",
    "byte": "ByteArray",
    "date": "Date",
    "date-time": "DateTime",
    "email": "Email",
    "password": "Password",
    "uuid": "UUID",
}


def _with_references(value: Tree, refer: Callable[[str], str], depth: int) -> Any:
    """A copy in which every `$ref` names what it names on the other side."""
    if depth > 2 * DEPTH_MAX:
        raise RecursionError
    if isinstance(value, list):
        return [_with_references(one, refer, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: refer(one)
        if name == "$ref" and isinstance(one, str)
        else _with_references(one, refer, depth + 1)
        for name, one in value.items()
    }
