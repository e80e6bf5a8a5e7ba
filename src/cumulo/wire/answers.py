"""Writes the head of an HTTP/1 answer.  No value can start a line of its own."""

import re
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec

from cumulo.wire.http import Response

NAMES_KNOWN_MAX: Final = 2048
NAME_KNOWN_CHARACTERS_MAX: Final = 256
LENGTH_DIGITS_MAX: Final = 18
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus if status >= 200
}


class BadAnswer(Exception):
    """A handler's answer that cannot be written as HTTP."""


_PLAIN: Final = 1
_DATE: Final = 2
_OURS: Final = 3  # framing and the connection are the server's business
_KINDS: Final = {
    "content-length": _OURS,
    "transfer-encoding": _OURS,
    "connection": _OURS,
    "keep-alive": _OURS,
    "date": _DATE,
}


class Answers:
    """Makes heads; remembers the names it has checked and the second's Date."""

    def __init__(self, now: float) -> None:
        self._kinds: dict[str, int] = {}
        self.set_time(now)

    def set_time(self, now: float) -> None:
        """Say what time the Date header shows."""
        self._date = f"Date: {formatdate(now, usegmt=True)}\r\n"

    def head(self, response: Response, length: int | None, connection: str) -> bytes:
        """Write an answer's head; `length` None stands for chunked, -1 for neither (ends with the connection).

        BadAnswer when a name or value would break out of its line.
        """
        status = response.status
        parts = [_STATUS_LINES.get(status) or _other_status_line(status, length)]
        kinds = self._kinds
        dated = False
        for name, value in response.headers:
            kind = kinds.get(name) or self._kind(name)
            if kind <= _DATE:
                parts.append(f"{name}: {value}\r\n")
                dated = dated or kind == _DATE
        if not dated:
            parts.append(self._date)
        if length is None:
            parts.append("Transfer-Encoding: chunked\r\n")
        elif length >= 0 and status != 204:
            parts.append(f"Content-Length: {length}\r\n")
        if connection:
            parts.append(connection)
        return _lines(parts)

    def _kind(self, name: str) -> int:
        if not _NAME.fullmatch(name):
            raise BadAnswer("a header has an impossible name")
        kind = _KINDS.get(name.lower(), _PLAIN)
        if len(self._kinds) < NAMES_KNOWN_MAX and len(name) <= NAME_KNOWN_CHARACTERS_MAX:
            self._kinds[name] = kind
        return kind


def _other_status_line(status: int, length: int | None) -> str:
    if status == 101 and length == -1:
        return "HTTP/1.1 101 Switching Protocols\r\n"
    if not 200 <= status <= 999:
        raise BadAnswer(f"{status} is no status of a final answer")
    return f"HTTP/1.1 {status} Unknown\r\n"


def _lines(parts: list[str]) -> bytes:
    text = "".join(parts)
    if text.count("\n") != len(parts) or text.count("\r") != len(parts) or "\0" in text:
        raise BadAnswer("a header value has a line break or NUL in it")
    try:
        return text.encode("latin-1") + b"\r\n"
    except UnicodeEncodeError:
        return text.encode() + b"\r\n"


def length_said(headers: Iterable[tuple[str, str]]) -> int | None:
    """The Content-Length that a handler gave, if it is a number that can be one."""
    for name, value in headers:
        if name.lower() == "content-length":
            number = value.isascii() and value.isdigit() and len(value) <= LENGTH_DIGITS_MAX
            return int(value) if number else None
    return None


def failure(status: int, code: str, message: str) -> Response:
    """Make the plain answer that the server gives of its own accord."""
    body = msgspec.json.encode({"__type": code, "message": message})
    return Response(status, [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)], body)
