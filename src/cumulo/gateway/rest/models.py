"""Models: JSON Schema draft 4, compiled when the first body is to be checked.  Nothing is ever fetched.

A model may refer to others of its API as https://apigateway.amazonaws.com/restapis/<api>/models/<name>.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from cumulo.gateway.definitions.rest import Model, RestDefinition

BASE: Final = "https://apigateway.amazonaws.com/restapis/"
ERRORS_TOLD_MAX: Final = 16
BACKTRACKS_MAX: Final = 100_000
_DRAFT_4: Final = "http://json-schema.org/draft-04/schema#"

Check = Callable[[bytes], list[str]]
"""What is wrong with a body; nothing when all is well."""


class Models:
    """The models of a deployment."""

    def __init__(self, definition: RestDefinition) -> None:
        self._definition = definition
        self._checks: dict[str, Check] = {}

    def check(self, name: str) -> Check:
        """The check of the model with this name; one that is not there, or is no schema, lets nothing pass."""
        made = self._checks.get(name)
        if made is None:
            made = self._checks[name] = self._make(name)
        return made

    def _make(self, name: str) -> Check:
        model = self._definition.models.get(name)
        schema = _schema(model)
        if schema is None:
            return lambda _body: [f"Invalid model: {name}"]
        import jsonschema_rs

        base = f"{BASE}{self._definition.api_id}/models/"
        others = _others(self._definition.models, base)

        def retrieve(uri: str) -> Any:
            found = others.get(uri.partition("#")[0])
            if found is None:
                raise ValueError(f"unknown model {uri}")
            return found

        try:
            validator = jsonschema_rs.Draft4Validator(
                schema, base_uri=f"{base}{name}", retriever=retrieve, pattern_options=_patterns()
            )
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as fault:
            why = f"Unable to load model {name}: {fault}"
            return lambda _body: [why]
        return _checking(validator)


def _checking(validator: Any) -> Check:
    def check(body: bytes) -> list[str]:
        try:
            value = msgspec.json.decode(body or b"{}")
        except (msgspec.DecodeError, RecursionError):
            return ["Unable to parse the body as JSON"]
        try:
            if validator.is_valid(value):
                return []
            errors = validator.iter_errors(value)
            return [error.message for error, _ in zip(errors, range(ERRORS_TOLD_MAX), strict=False)]
        except ValueError as fault:
            return [str(fault)]

    return check


def _patterns() -> Any:
    """Patterns that look around may backtrack, but not for long."""
    import jsonschema_rs

    return jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS_MAX)


def _others(models: Mapping[str, Model], base: str) -> dict[str, Any]:
    """The API's models by the addresses that schemas know them by."""
    found = {}
    for name, model in models.items():
        schema = _schema(model)
        if schema is not None:
            found[f"{base}{name}"] = schema
    return found


def _schema(model: Model | None) -> dict[str, Any] | None:
    if model is None:
        return None
    try:
        schema = msgspec.json.decode(model.schema or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None
    return {**schema, "$schema": _DRAFT_4} if isinstance(schema, dict) else None
