"""What a function behind a REST API must answer: {statusCode, headers, multiValueHeaders, body, isBase64Encoded}."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cumulo.gateway.rest.failures import Failed, malformed
from cumulo.gateway.rest.headers import Pairs, clean, odd, returned
from cumulo.gateway.rest.integration_response import MethodAnswer
from cumulo.gateway.rest.payloads import JSON, IsBinary

_KNOWN: Final = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})
_STATUS: Final = re.compile(r"[0-9]{3}")
_KNOWN_STREAMED: Final = frozenset({"statusCode", "headers", "multiValueHeaders", "cookies"})


def answer_of(payload: bytes, accept: str, is_binary: IsBinary) -> MethodAnswer:
    """The method's answer.  Failed: 502, when a function answers in any other shape."""
    answer = _decoded(payload)
    if not isinstance(answer, dict) or not _KNOWN.issuperset(answer):
        raise wrong_shape()
    body = _text(answer.get("body"))
    encoded = body.encode("utf-8", "replace") if body else b""
    if _truth(answer.get("isBase64Encoded")) and is_binary(accept):
        encoded = _from_base64(encoded)
    return MethodAnswer(_status(answer.get("statusCode")), _headers(answer), encoded)


def prelude_of(text: bytes) -> tuple[int, Pairs]:
    """Status and headers at the beginning of a streamed answer.  Failed: 500, for any other shape."""
    try:
        answer = msgspec.json.decode(text or b"{}")
        if not isinstance(answer, dict) or not _KNOWN_STREAMED.issuperset(answer):
            raise wrong_shape()
        headers = _headers(answer)
        cookies = answer.get("cookies") or []
        if not isinstance(cookies, list):
            raise wrong_shape()
        headers += [("Set-Cookie", clean(_text(cookie))) for cookie in cookies]
        return _status(answer.get("statusCode")), headers
    except (Failed, msgspec.DecodeError, RecursionError):
        raise Failed("DEFAULT_5XX", status=500, log=_SHAPE) from None


_SHAPE: Final = "Execution failed due to configuration error: Malformed Lambda proxy response"


def wrong_shape() -> Failed:
    """The function's answer cannot be understood."""
    return malformed("Malformed Lambda proxy response")


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        raise wrong_shape() from None


def _status(value: Any) -> int:
    if value is None:
        return 200
    if isinstance(value, str) and _STATUS.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise wrong_shape()
    return value


def _headers(answer: Mapping[str, Any]) -> Pairs:
    """The names' values; `multiValueHeaders` win, and a value of `headers` that they lack is added."""
    several: dict[str, tuple[str, list[str]]] = {}
    for name, values in _mapping(answer.get("multiValueHeaders")).items():
        if not isinstance(values, list):
            raise wrong_shape()
        several.setdefault(name.lower(), (name, []))[1].extend(map(_text, values))
    for name, value in _mapping(answer.get("headers")).items():
        if value is None:
            continue
        values = several.setdefault(name.lower(), (name, []))[1]
        text = _text(value)
        if text not in values:
            values.append(text)
    if odd(several) is not None:
        raise wrong_shape()
    pairs = [(name, clean(value)) for name, values in several.values() for value in values]
    if "content-type" not in several:
        pairs.insert(0, ("Content-Type", JSON))
    return returned(pairs)


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_shape()
    return value


def _text(value: Any) -> str:
    """A text; AWS takes plain values for theirs."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return msgspec.json.encode(value).decode()
    raise wrong_shape()


def _truth(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise wrong_shape()


def _from_base64(body: bytes) -> bytes:
    try:
        return base64.b64decode(body, validate=False)
    except (binascii.Error, ValueError):
        raise malformed("Unable to base64 decode the body.") from None
