r"""Selection expressions and data mappings of WebSocket APIs, compiled to closures.  Pure.

selection   $request.body.action    ${request.body.service}-${request.body.verb}    \$default
            $integration.response.statuscode    ${integration.response.header.x}    $context.x    $stageVariables.x
mapping     route.request.body.a.b    route.request.header.X    context.connectionId    stageVariables.x    'text'
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from cumulo.gateway.websocket.turn import NO_JSON, Reply, Turn, parsed

Source = Callable[[Turn, Reply | None], "str | None"]

_VARIABLE: Final = re.compile(
    r"\\\$|\$\{(?P<braced>[^{}]+)\}"
    r"|\$(?P<bare>(?:request|integration|context|stageVariables)\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+|\[[^\[\]]*\])*)"
)
_RESPONSE: Final = "integration.response."


def selection(text: str) -> Source:
    """The key that an expression makes of an event (and its answer); None when a part of it is not there."""
    parts: list[str | Source] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        parts.append(text[at : found.start()])
        name = found["braced"] or found["bare"]
        parts.append(_reader(name) if name else "$")
        at = found.end()
    parts.append(text[at:])
    kept = [part for part in parts if part != ""]
    if len(kept) == 1 and not isinstance(kept[0], str):
        return kept[0]
    return lambda turn, reply: _joined(kept, turn, reply)


def mapping(text: str) -> Source:
    """What the right side of a data mapping reads; one that nobody understands reads nothing."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        literal = text[1:-1]
        return lambda _turn, _reply: literal
    return _reader(text.removeprefix("route."))


def reads_response(text: str) -> bool:
    """Whether an expression needs an integration's answer."""
    return _RESPONSE in text


def path_reader(path: str) -> Callable[[Any], str | None]:
    """What a JSONPath (without `$.`) finds in JSON, as text."""
    from cumulo.gateway.jsonpath.compile import compile_path
    from cumulo.gateway.jsonpath.errors import JsonPathError
    from cumulo.gateway.jsonpath.functions import MISSING

    try:
        compiled = compile_path(path)
    except JsonPathError:
        return lambda _value: None

    def read(value: Any) -> str | None:
        try:
            found = compiled.read(value)
        except JsonPathError:
            return None
        return None if found is MISSING else shown(found)

    return read


def shown(value: Any) -> str | None:
    """A JSON value as text."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _joined(parts: "list[str | Source]", turn: Turn, reply: Reply | None) -> str | None:
    texts = [part if isinstance(part, str) else part(turn, reply) for part in parts]
    return None if None in texts else "".join(text or "" for text in texts)


def _nothing(_turn: Turn, _reply: Reply | None) -> str | None:
    return None


def _reader(name: str) -> Source:
    head, _, rest = name.partition(".")
    if head == "context":
        steps = rest.split(".")
        return lambda turn, _reply: shown(_dug(turn.context, steps))
    if head == "stageVariables":
        return lambda turn, _reply: turn.variables.get(rest)
    if head == "request":
        return _of_request(rest)
    if name.startswith(_RESPONSE):
        return _of_response(name[len(_RESPONSE) :])
    return _nothing


def _of_request(text: str) -> Source:
    place, _, name = text.partition(".")
    lower = name.lower()
    if place == "body" or place.startswith("body["):
        return _of_body(text[4:].removeprefix("."))
    if place == "header":
        return lambda turn, _reply: _last(turn.headers.get(lower))
    if place == "multivalueheader":
        return lambda turn, _reply: _all(turn.headers.get(lower))
    if place == "querystring":
        return lambda turn, _reply: _last(turn.query.get(name))
    if place == "multivaluequerystring":
        return lambda turn, _reply: _all(turn.query.get(name))
    return _nothing


def _of_body(path: str) -> Source:
    if not path:
        return lambda turn, _reply: turn.body.decode(errors="replace")
    if re.fullmatch(r"[A-Za-z0-9_\-]+", path):  # what nearly every API has

        def member(turn: Turn, _reply: Reply | None) -> str | None:
            value = turn.json
            return shown(value.get(path)) if isinstance(value, dict) else None

        return member
    read = path_reader(path)
    return lambda turn, _reply: None if turn.json is NO_JSON else read(turn.json)


def _of_response(text: str) -> Source:
    place, _, name = text.partition(".")
    lower = name.lower()
    if place == "statuscode":
        return lambda _turn, reply: None if reply is None else str(reply.status)
    if place == "header":
        return lambda _turn, reply: _last(_headers(reply, lower))
    if place == "multivalueheader":
        return lambda _turn, reply: _all(_headers(reply, lower))
    if place != "body":
        return _nothing
    read = path_reader(name) if name else None

    def body(_turn: Turn, reply: Reply | None) -> str | None:
        if reply is None:
            return None
        if read is None:
            return reply.body.decode(errors="replace")
        value = parsed(reply.body)
        return None if value is NO_JSON else read(value)

    return body


def _headers(reply: Reply | None, lower: str) -> list[str]:
    return [value for name, value in (reply.headers if reply else ()) if name.lower() == lower]


def _last(values: list[str] | None) -> str | None:
    return values[-1] if values else None


def _all(values: list[str] | None) -> str | None:
    return ",".join(values) if values else None


def _dug(value: Any, steps: list[str]) -> Any:
    for step in steps:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value
