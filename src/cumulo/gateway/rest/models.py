"""Models: JSON Schema draft 4, compiled when the first body is to be checked.  Nothing is ever fetched.

A model may refer to others of its API as https://apigateway.amazonaws.com/restapis/<api>/models/<name>.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from cumulo.gateway.definitions.rest import Model, RestDefinition
from cumulo.gateway.rest.schema_graph import Documents, cost_of
from cumulo.gateway.rest.schema_walk import TooCostly, Walker

BASE: Final = "https://apigateway.amazonaws.com/restapis/"
ERRORS_TOLD_MAX: Final = 16
ERROR_CHARACTERS_MAX: Final = 1_024
BACKTRACKS_MAX: Final = 10_000
PATTERN_BYTES_MAX: Final = 2 * 1024 * 1024  # of a compiled one
FAST_COST_MAX: Final = 50_000_000  # parts of the schema by bytes of the body: below a second
TOLD_COST_MAX: Final = 100_000
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
        base = f"{BASE}{self._definition.api_id}/models/"
        others = _others(self._definition.models, base)
        try:
            return _Checking(schema, others, f"{base}{name}").check
        except (ValueError, RecursionError) as fault:
            why = f"Unable to load model {name}: {fault}"
            return lambda _body: [why]


class _Checking:
    """One model's check.  ValueError when it is none.

    A value is checked by the library where that is known to end soon, for this schema and so many bytes; by our own walk,
    which ends in any case, where it is not.
    """

    def __init__(self, schema: dict[str, Any], others: Mapping[str, Any], address: str) -> None:
        documents = Documents(schema, others)
        self._cost = cost_of(documents)
        self._walker = Walker(documents, lambda own: _validator({**own, "$schema": _DRAFT_4}).is_valid)
        self._validator: Any = None
        if self._cost is not None:

            def retrieve(uri: str) -> Any:
                found = others.get(uri.partition("#")[0])
                if found is None:
                    raise ValueError(f"unknown model {uri}")
                return found

            self._validator = _validator(schema, base_uri=address, retriever=retrieve)

    def check(self, body: bytes) -> list[str]:
        """What is wrong with a body."""
        try:
            value = msgspec.json.decode(body or b"{}")
        except (msgspec.DecodeError, RecursionError):
            return ["Unable to parse the body as JSON"]
        try:
            if self._validator is None or self._cost is None or self._cost * len(body) > FAST_COST_MAX:
                return [] if self._walker.is_valid(value) else ["The body does not match the model"]
            return self._told(value, self._cost * len(body))
        except ValueError as fault:
            return [str(fault)]
        except TooCostly as fault:
            return [f"The body cannot be checked: {fault}"]

    def _told(self, value: Any, cost: int) -> list[str]:
        import jsonschema_rs

        if self._validator.is_valid(value):
            return []
        if cost <= TOLD_COST_MAX:  # the library looks for all errors before it tells the first
            errors = self._validator.iter_errors(value)
            return [error.message for error, _ in zip(errors, range(ERRORS_TOLD_MAX), strict=False)]
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return [error.message[:ERROR_CHARACTERS_MAX]]
        return []


def _validator(schema: dict[str, Any], **options: Any) -> Any:
    """The library's.  Patterns that look around may backtrack, but not for long.  ValueError."""
    import jsonschema_rs

    patterns = jsonschema_rs.FancyRegexOptions(
        backtrack_limit=BACKTRACKS_MAX, size_limit=PATTERN_BYTES_MAX, dfa_size_limit=PATTERN_BYTES_MAX
    )
    try:
        return jsonschema_rs.Draft4Validator(schema, pattern_options=patterns, **options)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as fault:
        raise ValueError(str(fault)) from None


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
