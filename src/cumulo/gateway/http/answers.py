"""What a function's words become for clients: formats 1.0 and 2.0 of its answer.  Pure."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

PLAIN: Final = ("content-type", "text/plain;charset=utf-8")
JSON: Final = ("content-type", "application/json")

_STATUS: Final = re.compile(r"[0-9]{3}")
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
_VALUE: Final = re.compile(r"[^\r\n\0]*")

_decode = msgspec.json.Decoder().decode

Headers = list[tuple[str, str]]


class BadAnswer(Exception):
    """What a function gave back is no answer: clients get a 500."""


class Told(msgspec.Struct, gc=False):
    """A function's answer, understood.  Names of headers in small letters."""

    status: int
    headers: Headers
    body: bytes


def answer_2(payload: bytes) -> Told:
    """An answer in format 2.0: what names no statusCode is itself the body.  BadAnswer."""
    said = _read(payload)
    if not isinstance(said, dict) or "statusCode" not in said:
        body = said.encode("utf-8", "replace") if isinstance(said, str) else payload
        return Told(200, [JSON], body)
    headers = _typed(_headers(said.get("headers")))
    cookies = said.get("cookies")
    if cookies is not None:
        headers += _cookies(cookies)
    return Told(_status(said["statusCode"]), headers, _body(said))


def answer_1(payload: bytes) -> Told:
    """An answer in format 1.0.  BadAnswer."""
    said = _read(payload)
    if not isinstance(said, dict) or "statusCode" not in said:
        raise BadAnswer("The response has no statusCode")
    many = _many(said.get("multiValueHeaders"))
    taken = {(name, value) for name, value in many}
    headers = [pair for pair in _headers(said.get("headers")) if pair not in taken] + many
    return Told(_status(said["statusCode"]), _typed(headers), _body(said))


def _typed(headers: Headers) -> Headers:
    """With a type: text, where the function says none."""
    for name, _ in headers:
        if name == "content-type":
            return headers
    headers.append(PLAIN)
    return headers


def _read(payload: bytes) -> Any:
    try:
        return _decode(payload)
    except (msgspec.DecodeError, RecursionError):
        raise BadAnswer("The response is not JSON") from None


def _status(status: Any) -> int:
    if isinstance(status, str) and _STATUS.fullmatch(status):
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise BadAnswer("The statusCode is no status of HTTP")
    return status


def _headers(given: Any) -> Headers:
    if given is None:
        return []
    if not isinstance(given, dict):
        raise BadAnswer("The headers are no object")
    return [_line(name, value) for name, value in given.items() if value is not None]


def _many(given: Any) -> Headers:
    if given is None:
        return []
    if not isinstance(given, dict) or not all(isinstance(values, list) for values in given.values()):
        raise BadAnswer("The multiValueHeaders are no lists")
    return [_line(name, value) for name, values in given.items() for value in values]


def _cookies(given: Any) -> Headers:
    if not isinstance(given, list):
        raise BadAnswer("The cookies are no list")
    return [_line("set-cookie", value) for value in given]


def _line(name: str, value: Any) -> tuple[str, str]:
    if not isinstance(value, str):
        if not isinstance(value, int | float):
            raise BadAnswer(f"The value of {name} is no text")
        value = str(value).lower()
    if not _NAME.fullmatch(name) or not (value.isprintable() or _VALUE.fullmatch(value)):
        raise BadAnswer("A header has characters that headers do not have")
    return name.lower(), value


def _body(said: Mapping[str, Any]) -> bytes:
    body = said.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise BadAnswer("The body is no text")
    if not said.get("isBase64Encoded"):
        return body.encode("utf-8", "replace")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise BadAnswer("The body is not base64") from None
