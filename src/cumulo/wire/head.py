"""Reads the head of an HTTP/1 request, and refuses every shape that two readers could read differently.

llhttp (through httptools) checks the grammar: token names, CRLF and nothing else at line ends, no folding, no
control characters, one Content-Length, no Content-Length beside Transfer-Encoding.  What is left to us is what
it tolerates: other versions, several blanks in the request line, codings beside `chunked`, a missing Host.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import httptools
import msgspec

from cumulo.base.limits import HEADERS_COUNT_MAX
from cumulo.wire.http import HeaderList, Headers

CHUNKED: Final = -1
HOSTS_KNOWN_MAX: Final = 1024

_METHODS: Final = {
    name.encode(): name for name in ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")
}
_METHOD: Final = re.compile(rb"[A-Z-]{1,24}")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]\r\n")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~%-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_ABSOLUTE: Final = re.compile(r"https?://([^/?]+)(.*)", re.IGNORECASE)


class Refused(Exception):
    """A request that the server answers itself, with `status`, before it closes the connection."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Head(msgspec.Struct, frozen=True, gc=False):
    """What the head of a request says.  `length` is that of the body, or CHUNKED."""

    method: str
    path: str
    query: str
    headers: Headers
    length: int
    keep_alive: bool
    http10: bool
    expects: bool
    upgrade: bool


class _Listener:
    """What llhttp calls back: for headers, if anything."""

    on_url = None
    on_body = None
    on_message_begin = None
    on_message_complete = None
    on_headers_complete = None
    on_chunk_header = None
    on_chunk_complete = None

    def __init__(self, on_header: Callable[[bytes, bytes], object] | None = None) -> None:
        self.on_header = on_header


class HeadReader:
    """Reads one complete head at a time; made once for each server."""

    def __init__(self, *, headers_count_max: int = HEADERS_COUNT_MAX) -> None:
        self._headers_count_max = headers_count_max
        self._raw: HeaderList = []
        self._listener = _Listener(_collector(self._raw))
        self._hosts: set[bytes] = {b""}

    def read(self, head: bytes) -> Head:
        """Read a head, from the first byte of the request line to the empty line; Refused when it is none."""
        method, path, query, http10, authority = _request_line(head)
        raw = self._raw
        raw.clear()
        upgrade = False
        try:
            httptools.HttpRequestParser(self._listener).feed_data(head)
        except httptools.HttpParserUpgrade:
            upgrade = True
        except httptools.HttpParserError as fault:
            raise Refused(400, f"The request's head is malformed: {_reason(fault)}") from None
        if len(raw) > self._headers_count_max:
            raise Refused(431, f"The request has more than {self._headers_count_max} headers")
        if authority is not None:
            raw[:] = [(b"host", authority), *(pair for pair in raw if pair[0] != b"host")]
        headers = Headers(raw, head)  # which keeps a list of its own
        first = headers._first  # noqa: SLF001 - the same room, and the hottest line of the house
        if len(first) != len(raw):
            _refuse_repeated(raw)
        host = first.get(b"host")
        if host not in self._hosts:
            self._check_host(host, http10=http10)
        if b"transfer-encoding" in first or b"expect" in first or http10:
            length, expects = _unusual_framing(first, http10=http10)
        else:
            text = first.get(b"content-length")
            length = 0 if text is None else int(text)
            expects = False
        keep_alive = not http10
        if b"connection" in first:
            keep_alive = _keeps_alive(raw, http10=http10)
        return Head(method, path, query, headers, length, keep_alive, http10, expects, upgrade)

    def _check_host(self, host: bytes | None, *, http10: bool) -> None:
        if host is None:
            if http10:
                return
            raise Refused(400, "The request has no Host header")
        if not _HOST.fullmatch(host):
            raise Refused(400, "The Host header is malformed")
        if len(self._hosts) < HOSTS_KNOWN_MAX:
            self._hosts.add(host)


class HeadProbe:
    """Looks at a head that arrives in pieces, so that garbage is refused at its first byte."""

    __slots__ = ("_parser",)

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(_Listener())

    def feed(self, data: bytes) -> None:
        """Look at the next piece, which does not complete the head; Refused when it cannot become one."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError as fault:
            raise Refused(400, f"This is not an HTTP/1.1 request: {_reason(fault)}") from None


def _collector(into: HeaderList) -> Callable[[bytes, bytes], None]:
    append = into.append

    def on_header(name: bytes, value: bytes) -> None:
        append((name.lower(), value.rstrip()))

    return on_header


def _request_line(head: bytes) -> tuple[str, str, str, bool, bytes | None]:
    parts = head.split(b" ", 2)
    if len(parts) != 3:
        raise Refused(400, "The request line is malformed")
    verb, raw_target, rest = parts
    http10 = False
    if not rest.startswith(b"HTTP/1.1\r\n"):
        http10 = rest.startswith(b"HTTP/1.0\r\n")
        if not http10:
            if _VERSION.match(rest):
                raise Refused(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here")
            raise Refused(400, "The request line is malformed")
    method = _METHODS.get(verb) or _other_method(verb)
    try:
        target = raw_target.decode("ascii")
    except UnicodeDecodeError:
        raise Refused(400, "The request target has bytes that must be percent-encoded") from None
    authority = None
    if target[:1] != "/":
        target, authority = _other_target(method, target)
    if "\r" in target:  # two lines taken for one: llhttp would read the first as HTTP/0.9
        raise Refused(400, "The request line is malformed")
    if "#" in target:
        raise Refused(400, "The request target has a fragment")
    path, _, query = target.partition("?")
    return method, path, query, http10, authority


def _other_method(verb: bytes) -> str:
    if verb == b"CONNECT":
        raise Refused(405, "This server is no proxy")
    if not _METHOD.fullmatch(verb):
        raise Refused(400, "The request's method is malformed")
    return verb.decode()


def _other_target(method: str, target: str) -> tuple[str, bytes | None]:
    if target == "*" and method == "OPTIONS":
        return "*", None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Refused(400, "The request target is malformed")
    rest = absolute[2]
    return rest if rest.startswith("/") else "/" + rest, absolute[1].encode()


def _unusual_framing(first: Mapping[bytes, bytes], *, http10: bool) -> tuple[int, bool]:
    """The length of the body, and whether the client waits for `100 Continue`."""
    text = first.get(b"content-length")
    length = 0 if text is None else int(text)
    coding = first.get(b"transfer-encoding")
    if coding is not None:
        if text is not None or http10 or coding.lower() != b"chunked":
            raise Refused(400, "The only Transfer-Encoding is chunked, in HTTP/1.1, without a Content-Length")
        length = CHUNKED
    expect = first.get(b"expect")
    if expect is None or http10:
        return length, False
    if expect.lower() != b"100-continue":
        raise Refused(417, "The only expectation that can be met is 100-continue")
    return length, length != 0


def _refuse_repeated(raw: HeaderList) -> None:
    seen = set()
    for name, _ in raw:
        if name in {b"host", b"content-length", b"transfer-encoding", b"expect"}:
            if name in seen:
                raise Refused(400, f"The {name.decode()} header is there twice")
            seen.add(name)


def _keeps_alive(raw: HeaderList, *, http10: bool) -> bool:
    words = {
        word.strip() for name, value in raw if name == b"connection" for word in value.lower().split(b",")
    }
    return b"close" not in words and (not http10 or b"keep-alive" in words)


def _reason(fault: Exception) -> str:
    reason = fault.args[0] if fault.args else "unreadable"
    return reason.decode("latin-1") if isinstance(reason, bytes) else str(reason)
