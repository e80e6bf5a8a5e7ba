"""$context of one rendering, and what a template put into its overrides."""

from collections.abc import Mapping
from typing import Any

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.scope import Overrides, Scope
from cumulo.gateway.vtl.state import copy_of
from cumulo.gateway.vtl.values import Charge, java_text


def make_context(scope: Scope) -> dict[str, Any]:
    """A copy for a template to write into."""
    context: dict[str, Any] = copy_of(scope.context)
    given = scope.overrides
    context["requestOverride"] = {
        "header": copy_of(given.header),
        "path": copy_of(given.path),
        "querystring": copy_of(given.querystring),
    }
    context["responseOverride"] = {"header": copy_of(given.response_header)}
    if given.status is not None:
        context["responseOverride"]["status"] = given.status
    return context


def read_overrides(context: Mapping[str, Any], charge: Charge) -> Overrides:
    """What is in there after a rendering."""
    request = _map(context, "requestOverride", "$context.requestOverride")
    response = _map(context, "responseOverride", "$context.responseOverride")
    return Overrides(
        header=_values(request, "header", "requestOverride", charge),
        path=_values(request, "path", "requestOverride", charge),
        querystring=_values(request, "querystring", "requestOverride", charge),
        response_header=_values(response, "header", "responseOverride", charge),
        status=_status(response.get("status")),
    )


def _map(values: Mapping[str, Any], key: str, what: str) -> Mapping[Any, Any]:
    found = values.get(key)
    if not isinstance(found, dict):
        raise TemplateError(f"{what} must be a map")
    return found


def _values(values: Mapping[str, Any], key: str, where: str, charge: Charge) -> dict[str, str | list[str]]:
    found = _map(values, key, f"$context.{where}.{key}")
    charge(len(found))
    return {
        str(name): [java_text(one, charge) for one in value]
        if isinstance(value, list)
        else java_text(value, charge)
        for name, value in found.items()
    }


def _status(value: Any) -> int | None:
    if value is None or value == "":
        return None
    text = java_text(value, _free)
    if text.isascii() and text.isdigit() and len(text) == 3:
        return int(text)
    raise TemplateError(f"$context.responseOverride.status is no HTTP status: {text[:50]!r}")


def _free(_steps: int) -> None:
    """A status is short."""
