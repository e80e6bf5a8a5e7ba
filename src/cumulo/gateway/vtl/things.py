"""$input, $util and $foreach."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from cumulo.gateway.jsonpath.functions import MISSING
from cumulo.gateway.vtl.limits import CHARACTERS_A_STEP
from cumulo.gateway.vtl.methods import Methods
from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.values import Thing, java_text, json_text

_FREQUENT = ("\\", '"', "'", "/")
_RARE = re.compile(r"[\x00-\x1f]|[^\x00-\x7e]")
_ESCAPES = {"\b": "\\b", "\n": "\\n", "\t": "\\t", "\f": "\\f", "\r": "\\r"}
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


class Input(Thing):
    """The payload and the parameters."""

    __slots__ = ()


class Util(Thing):
    """Utilities."""

    __slots__ = ()


class Loop(Thing):
    """Where a #foreach is."""

    __slots__ = ("index", "parent", "size", "stopped")

    def __init__(self, size: int, parent: Any) -> None:
        self.index = 0
        self.size = size
        self.parent = parent
        self.stopped = False

    def topmost(self) -> "Loop":
        """The outermost loop."""
        found = self
        while isinstance(found.parent, Loop):
            found = found.parent
        return found


class Defined(Thing):
    """A #define block: printed by running it."""

    __slots__ = ("run",)

    def __init__(self, run: Callable[[State], None]) -> None:
        self.run = run


def body_text(state: State) -> str:
    """The payload as it came; `{}` when there is none, as API Gateway has it."""
    body = state.scope.body
    if not body:
        return "{}"
    if isinstance(body, str):
        return body
    state.charge(len(body) // CHARACTERS_A_STEP)
    return body.decode("utf-8", "replace")


def _path(_input: Any, arguments: Any, state: State) -> Any:
    state.charge(1)
    found = state.kept.path(arguments[0]).read(state.document(), state.charge)
    return None if found is MISSING else found


def _json(_input: Any, arguments: Any, state: State) -> str:
    """As JSON; what is not there is an empty text, in quotes."""
    state.charge(1)
    path = state.kept.path(arguments[0])
    found = path.read(state.document(), state.charge)
    measured = state.tangled or not path.definite
    return state.string(json_text("" if found is MISSING else found, state.charge, measured=measured))


def _all_params(_input: Any, _arguments: Any, state: State) -> dict[str, Any]:
    scope = state.scope
    state.charge(len(scope.path) + len(scope.querystring) + len(scope.header))
    return {"path": dict(scope.path), "querystring": dict(scope.querystring), "header": dict(scope.header)}


def _param(_input: Any, arguments: Any, state: State) -> str | None:
    name = arguments[0]
    for where in (state.scope.path, state.scope.querystring, state.scope.header):
        found = where.get(name)
        if found is not None:
            return found
    return _by_any_case(state.scope.header, name, state)


def _by_any_case(headers: Mapping[str, str], name: str, state: State) -> str | None:
    state.charge(len(headers))
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), None)


def _javascript(_util: Any, arguments: Any, state: State) -> str:
    text = java_text(arguments[0], state.charge)
    state.charge(len(text) // CHARACTERS_A_STEP)
    for char in _FREQUENT:
        text = text.replace(char, "\\" + char)
    return state.string(_RARE.sub(_escape, text))


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if char in _ESCAPES:
        return _ESCAPES[char]
    units = char.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _parse_json(_util: Any, arguments: Any, state: State) -> Any:
    state.charge(len(arguments[0]) // CHARACTERS_A_STEP)
    return state.read_json(arguments[0])


def _url_encode(_util: Any, arguments: Any, state: State) -> str:
    text = java_text(arguments[0], state.charge)
    state.charge(len(text) // 10)
    return state.string(quote_plus(text, safe="*", errors="replace").replace("~", "%7E"))


def _url_decode(_util: Any, arguments: Any, state: State) -> str:
    state.charge(len(arguments[0]) // 10)
    return state.string(unquote_plus(arguments[0]))


def _base64_encode(_util: Any, arguments: Any, state: State) -> str:
    text = java_text(arguments[0], state.charge)
    return state.string(base64.b64encode(text.encode("utf-8", "replace")).decode())


def _base64_decode(_util: Any, arguments: Any, state: State) -> str:
    """Whatever is no base64 in between is passed over."""
    state.charge(len(arguments[0]) // 10)
    text = _NO_BASE64.sub("", arguments[0].replace("-", "+").replace("_", "/"))
    text = text[:-1] if len(text) % 4 == 1 else text
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _stop(loop: Any, _arguments: Any, _state: State) -> str:
    loop.stopped = True
    return ""


INPUT: Methods = {
    "json": (("s", _json),),
    "params": (("", _all_params), ("s", _param)),
    "path": (("s", _path),),
}

UTIL: Methods = {
    "base64Decode": (("s", _base64_decode),),
    "base64Encode": (("v", _base64_encode),),
    "escapeJavaScript": (("v", _javascript),),
    "parseJson": (("s", _parse_json),),
    "urlDecode": (("s", _url_decode),),
    "urlEncode": (("v", _url_encode),),
}

LOOP: Methods = {
    "getCount": (("", lambda loop, _, __: loop.index + 1),),
    "getIndex": (("", lambda loop, _, __: loop.index),),
    "getParent": (("", lambda loop, _, __: loop.parent),),
    "hasNext": (("", lambda loop, _, __: loop.index + 1 < loop.size),),
    "isFirst": (("", lambda loop, _, __: loop.index == 0),),
    "isLast": (("", lambda loop, _, __: loop.index + 1 == loop.size),),
    "stop": (("", _stop),),
}
