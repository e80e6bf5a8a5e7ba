"""Models: JSON Schemas, and what they name of one another.  Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cumulo.gateway.definitions.rest import Model
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.model import Api

_NAME: Final = re.compile(r"[a-zA-Z0-9]+")
_REFERENCE: Final = re.compile(
    r"https://apigateway\.[a-z0-9.-]*amazonaws\.com(?:\.cn)?/restapis/([a-z0-9]+)/models/([a-zA-Z0-9]+)(.*)"
)
_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_MAPS: Final = ("properties", "patternProperties", "definitions")
_SCHEMAS: Final = ("additionalProperties", "additionalItems", "not", "items")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "items")
DEPTH_MAX: Final = 64


def check_name(name: str) -> str:
    """A model's name.  BadRequestException."""
    if not name:
        raise refusals.bad_request("Model name must be non-empty")
    if not _NAME.fullmatch(name):
        raise refusals.bad_request(f"Model name must be alphanumeric: {name}")
    return name


def check_schema(api: Api, model: Model) -> None:
    """BadRequestException for no schema, or (of JSON) one that is none or names a model that is not there."""
    if not model.schema:
        raise refusals.bad_request("Model schema must have at least 1 property or array items defined")
    if "json" not in model.content_type:
        return
    try:
        schema = json.loads(model.schema)
    except (ValueError, RecursionError):
        raise _invalid("Invalid model schema specified") from None
    if not isinstance(schema, dict):
        raise _invalid("Invalid model schema specified")
    for part in _parts(schema, 0):
        _check_part(api, model, part)


def references(schema: str) -> set[str]:
    """The names of the models that a schema refers to."""
    try:
        whole = json.loads(schema)
    except (ValueError, RecursionError):
        return set()
    found = set()
    for part in _parts(whole, 0) if isinstance(whole, dict) else ():
        match = _REFERENCE.fullmatch(str(part.get("$ref", "")))
        if match is not None:
            found.add(match[2])
    return found


def flattened(model: Model, models: Mapping[str, Model]) -> str:
    """The schema with every model that it needs among its definitions."""
    needed: dict[str, Any] = {}
    rest = sorted(references(model.schema))
    while rest:
        name = rest.pop(0)
        if name not in needed and name in models:
            needed[name] = json.loads(models[name].schema)
            rest += sorted(references(models[name].schema))
    if not needed:
        return model.schema
    whole = _local(json.loads(model.schema))
    have = whole.get("definitions", {})
    whole["definitions"] = {**have, **{name: _local(one) for name, one in needed.items()}}
    return json.dumps(whole)


def _check_part(api: Api, model: Model, part: Mapping[str, Any]) -> None:
    kind = part.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if kind is not None and not all(isinstance(one, str) and one in _TYPES for one in kinds):
        raise _invalid("Invalid model schema specified")
    target = part.get("$ref")
    if target is None:
        return
    if not isinstance(target, str):
        raise _invalid("Invalid model schema specified")
    if target.startswith("#"):
        return
    match = _REFERENCE.fullmatch(target)
    if match is None:
        raise _invalid("Invalid model schema specified. Model reference must be in canonical form")
    api_id, name, _ = match.groups()
    if api_id != api.id or (name not in api.definition.models and name != model.name):
        raise _invalid(f"Invalid model schema specified. Reference not found: {target}")


def _parts(schema: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """A schema and every schema within it."""
    if depth > DEPTH_MAX:
        raise _invalid("Invalid model schema specified. It is nested too deeply")
    if not isinstance(schema, dict):
        return
    yield schema
    for name in _MAPS:
        inner = schema.get(name)
        for one in inner.values() if isinstance(inner, dict) else ():
            yield from _parts(one, depth + 1)
    for name in _SCHEMAS:
        yield from _parts(schema.get(name), depth + 1)
    for name in _LISTS:
        inner = schema.get(name)
        for one in inner if isinstance(inner, list) else ():
            yield from _parts(one, depth + 1)


def _local(value: Any) -> Any:
    """References to models as references to definitions."""
    if isinstance(value, list):
        return [_local(one) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _local(one) for name, one in value.items()}
    match = _REFERENCE.fullmatch(str(value.get("$ref", "")))
    if match is not None:
        changed["$ref"] = f"#/definitions/{match[2]}{match[3].removeprefix('#')}"
    return changed


def _invalid(why: str) -> Exception:
    return refusals.bad_request(
        f"Invalid model specified: Validation Result: warnings : [], errors : [{why}]"
    )
