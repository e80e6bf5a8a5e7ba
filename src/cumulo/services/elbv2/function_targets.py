"""Functions as targets: the event that a request becomes, and the answer that a function's words become.  Pure."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

BODY_BYTES_MAX: Final = 1024 * 1024  # of a request and of an answer: AWS's
_TEXT: Final = ("text/", "application/json", "application/javascript", "application/xml")
_NOT_PASSED: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"})

_STATUS: Final = re.compile(r"[0-9]{3}")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

Pairs = Sequence[tuple[str, str]]


class BadAnswer(Exception):
    """What a function gave back is no answer: the client gets a 502."""


class Told(msgspec.Struct, frozen=True):
    """A function's answer, understood."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def event_of(
    group: str, *, method: str, path: str, query: str, headers: Pairs, body: bytes, multi: bool
) -> bytes:
    """The event of a request.  Names of headers are in small letters; path and query as they were sent."""
    content_type = next((value for name, value in headers if name == "content-type"), "")
    encoded = any(name == "content-encoding" for name, _ in headers)
    text = not body or (not encoded and content_type.lower().startswith(_TEXT))
    if text:
        try:
            shown = body.decode()
        except UnicodeDecodeError:
            text = False
    if not text:
        shown = base64.b64encode(body).decode()
    parameters = [
        (name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part)
    ]
    event: dict[str, Any] = {
        "requestContext": {"elb": {"targetGroupArn": group}},
        "httpMethod": method,
        "path": path,
    }
    if multi:
        event["multiValueQueryStringParameters"] = _many(parameters)
        event["multiValueHeaders"] = _many(headers)
    else:
        event["queryStringParameters"] = dict(parameters)
        event["headers"] = dict(headers)
    event["body"] = shown
    event["isBase64Encoded"] = not text
    return msgspec.json.encode(event)


def health_event(group: str, path: str, *, multi: bool) -> bytes:
    """The event of a health check."""
    agent = [("user-agent", "ELB-HealthChecker/2.0")]
    return event_of(group, method="GET", path=path, query="", headers=agent, body=b"", multi=multi)


def answer_of(payload: bytes, *, multi: bool) -> Told:
    """What a function answered.  BadAnswer."""
    try:
        said = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        raise BadAnswer("the function's answer is not JSON") from None
    if not isinstance(said, dict):
        raise BadAnswer("the function's answer is no object")
    status = said.get("statusCode")
    if isinstance(status, str) and _STATUS.fullmatch(status):
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise BadAnswer("statusCode is missing, or no status")
    return Told(status, _headers(said, multi=multi), _body(said))


def _many(pairs: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _headers(said: Mapping[str, Any], *, multi: bool) -> tuple[tuple[bytes, bytes], ...]:
    given = said.get("multiValueHeaders" if multi else "headers") or {}
    if not isinstance(given, dict):
        raise BadAnswer("the headers are no object")
    lines: list[tuple[bytes, bytes]] = []
    for name, value in given.items():
        if name.lower() in _NOT_PASSED:
            continue
        values = value if multi else [value]
        if not isinstance(values, list):
            raise BadAnswer(f"the values of {name} are no list")
        lines += [_line(name, one) for one in values]
    return tuple(lines)


def _line(name: str, value: Any) -> tuple[bytes, bytes]:
    if not isinstance(value, str | int | float):
        raise BadAnswer(f"the value of {name} is no text")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        line = name.encode("ascii"), text.encode("latin-1")
    except UnicodeEncodeError:
        raise BadAnswer(f"the header {name!r} has characters that headers do not have") from None
    if not _NAME.fullmatch(line[0]) or not _VALUE.fullmatch(line[1]):
        raise BadAnswer(f"the header {name!r} has characters that headers do not have")
    return line


def _body(said: Mapping[str, Any]) -> bytes:
    body = said.get("body", "")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise BadAnswer("the body is no text")
    if not said.get("isBase64Encoded", False):
        raw = body.encode("utf-8", "replace")
    else:
        try:
            raw = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise BadAnswer("the body is not base64") from None
    if len(raw) > BODY_BYTES_MAX:
        raise BadAnswer("the body is too long")
    return raw
