"""Parameter mappings: `integration.request.header.X` to `method.request.querystring.Y`, compiled to closures.

A source is one of  method.request.(path|querystring|multivaluequerystring|header|multivalueheader).name
                    method.request.body[.jsonpath]      integration.response.(header|multivalueheader).name
                    integration.response.body[.jsonpath]
                    context.a.b      stageVariables.name      'literal'
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import misconfigured
from cumulo.gateway.visit import Refused

Value = str | list[str] | None
Source = Callable[[Call, "Endpoint | None"], Value]

_JSON_BEGINS: Final = (b"{", b"[", b'"', b"'")


class Endpoint(msgspec.Struct, frozen=True):
    """What an integration answered: its status, its headers as they came, and its body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Mapped(NamedTuple):
    """What a request's mapping came to: names as the API's owner wrote them."""

    header: dict[str, Value]
    querystring: dict[str, Value]
    path: dict[str, Value]


Request = Callable[[Call], Mapped]
Response = Callable[[Call, Endpoint], dict[str, Value]]


def compile_request(parameters: Mapping[str, str]) -> Request:
    """Mappings of an integration request (`integration.request.<place>.<name>`)."""
    rows = [(*_target(target), source_of(source)) for target, source in parameters.items()]

    def run(call: Call) -> Mapped:
        mapped = Mapped({}, {}, {})
        for place, name, source in rows:
            value = source(call, None)
            if value:
                getattr(mapped, place)[name] = value
        return mapped

    return run


def compile_response(parameters: Mapping[str, str]) -> Response:
    """Mappings of an integration response (`method.response.header.<name>`)."""
    rows = [(target.rpartition("header.")[2], source_of(source)) for target, source in parameters.items()]

    def run(call: Call, endpoint: Endpoint) -> dict[str, Value]:
        values = ((name, source(call, endpoint)) for name, source in rows)
        return {name: value for name, value in values if value}

    return run


def source_of(text: str) -> Source:
    """What a mapping's right side reads; one that nobody understands reads nothing, as on AWS."""
    if len(text) > 1 and text.startswith("'") and text.endswith("'"):
        literal = text[1:-1]
        return lambda _call, _endpoint: literal
    head, _, rest = text.partition(".")
    if head == "context":
        steps = rest.split(".")
        return lambda call, _endpoint: _text(_dig(call.context, steps))
    if head == "stageVariables":
        return lambda call, _endpoint: call.variables.get(rest)
    if text.startswith("method.request."):
        return _of_request(text.removeprefix("method.request."))
    if text.startswith("integration.response."):
        return _of_response(text.removeprefix("integration.response."))
    return _nothing


def known(text: str) -> bool:
    """Whether a mapping's right side is one of those that are understood."""
    return source_of(text) is not _nothing


def _nothing(_call: Call, _endpoint: Endpoint | None) -> Value:
    return None


def _target(text: str) -> tuple[str, str]:
    place, _, name = text.removeprefix("integration.request.").partition(".")
    if place not in Mapped._fields:
        raise misconfigured(f"Invalid mapping expression specified: {text}")
    return place, name


def _of_request(text: str) -> Source:
    place, _, name = text.partition(".")
    lower = name.lower()
    if place == "path":
        return lambda call, _endpoint: call.path_parameters.get(name)
    if place == "querystring":
        return lambda call, _endpoint: _last(call.query.get(name))
    if place == "multivaluequerystring":
        return lambda call, _endpoint: _several(call.query.get(name))
    if place == "header":
        return lambda call, _endpoint: _last(call.headers.get(lower))
    if place == "multivalueheader":
        return lambda call, _endpoint: _joined(call.headers.get(lower))
    if place == "body":
        return _of_request_body(name)
    return _nothing


def _of_request_body(path: str) -> Source:
    pick = picker(path)

    def read(call: Call, _endpoint: Endpoint | None) -> Value:
        try:
            return pick(call.body)
        except ValueError:
            raise Refused("DEFAULT_4XX", "Invalid JSON in request body") from None

    return read


def _of_response(text: str) -> Source:
    place, _, name = text.partition(".")
    lower = name.lower()
    if place == "header":
        return lambda _call, endpoint: _last(_headers(endpoint, lower))
    if place == "multivalueheader":
        return lambda _call, endpoint: _joined(_headers(endpoint, lower))
    if place != "body":
        return _nothing
    pick = picker(name)

    def read(_call: Call, endpoint: Endpoint | None) -> Value:
        try:
            return pick(endpoint.body if endpoint is not None else b"")
        except ValueError:
            raise Refused("DEFAULT_5XX") from None

    return read


def picker(path: str) -> Callable[[bytes], Value]:
    """What a body's JSONPath gives as text; the whole body where there is none.  ValueError when it is no JSON."""
    if not path:
        return lambda body: body.strip().decode(errors="replace")
    from cumulo.gateway.jsonpath.compile import compile_path
    from cumulo.gateway.jsonpath.errors import JsonPathError
    from cumulo.gateway.jsonpath.functions import MISSING

    try:
        found_by = compile_path(f"${path}" if path.startswith("[") else f"$.{path}")
    except JsonPathError as fault:
        raise misconfigured(f"Invalid mapping expression specified: {path}: {fault}") from None

    def pick(body: bytes) -> Value:
        text = body.strip()
        if not text.startswith(_JSON_BEGINS):
            return None
        try:
            found = found_by.read(msgspec.json.decode(text))
        except (JsonPathError, RecursionError) as fault:
            raise ValueError(str(fault)) from None
        return None if found is MISSING else _text(found)

    return pick


def _headers(endpoint: Endpoint | None, lower: str) -> list[str]:
    pairs: Iterable[tuple[str, str]] = endpoint.headers if endpoint is not None else ()
    return [value for name, value in pairs if name.lower() == lower]


def _last(values: list[str] | None) -> str | None:
    return values[-1] if values else None


def _joined(values: list[str] | None) -> str | None:
    return ",".join(values) if values else None


def _several(values: list[str] | None) -> Value:
    return values if values is None or len(values) > 1 else values[0]


def _dig(data: Any, steps: list[str]) -> Any:
    for step in steps:
        if not isinstance(data, dict):
            return None
        data = data.get(step)
    return data


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
