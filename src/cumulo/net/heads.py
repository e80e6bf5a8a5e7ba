"""Reads heads of requests and answers, and writes them for the other side.

llhttp (through httptools) checks the grammar: token names, CRLF and nothing else at line ends, no folding, no
control characters, one Content-Length, no Content-Length beside Transfer-Encoding.  What it tolerates is
refused here: whatever two readers could read differently goes no further.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import httptools
import msgspec

from cumulo.net.messages import CHUNKED, UNTIL_CLOSE, Forward, HeaderList, Link, Refused, RequestHead
from cumulo.net.pool import Backend

END: Final = b"\r\n\r\n"
LINE_BYTES_MAX: Final = 16 * 1024

_HOP: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"proxy-authenticate",
                         b"proxy-authorization"})  # fmt: skip
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})  # never named by Connection
_ONCE: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_METHODS: Final = {
    name.encode(): name for name in ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")
}
_METHOD: Final = re.compile(rb"[A-Z-]{1,24}")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]\r\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~%-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_ABSOLUTE: Final = re.compile(r"https?://([^/?]+)(.*)", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LONE_LF: Final = re.compile(rb"(?<!\r)\n")


class AnswerHead(msgspec.Struct, frozen=True, gc=False):
    """The head of a backend's answer.

    kept        status line and header lines for the client, without the last, empty line
    length      of the body in bytes, CHUNKED or UNTIL_CLOSE; not yet looked at what was asked for
    keep_alive  whether the backend keeps the connection
    upgrade     the protocol that it switches to, or empty
    """

    status: int
    names: dict[bytes, bytes]
    headers: HeaderList
    kept: bytes
    length: int
    keep_alive: bool
    upgrade: bytes


class _Listener:
    """What llhttp calls back."""

    on_url = None
    on_body = None
    on_status = None
    on_message_begin = None
    on_message_complete = None
    on_headers_complete = None
    on_chunk_header = None
    on_chunk_complete = None

    def __init__(self, on_header: Callable[[bytes, bytes], object] | None = None) -> None:
        self.on_header = on_header


class HeadReader:
    """Reads complete heads, one at a time; one serves a whole front."""

    def __init__(self, *, headers_count_max: int) -> None:
        self._headers_count_max = headers_count_max
        self._raw: list[tuple[bytes, bytes]] = []
        append = self._raw.append
        self._listener = _Listener(lambda name, value: append((name, value.rstrip(b" \t"))))

    def request(self, head: bytes, link: Link) -> RequestHead:
        """Read a request's head, from the request line to the empty line; Refused when it is none."""
        method, target, line, http10, authority = _request_line(head)
        raw = self._raw
        raw.clear()
        try:
            httptools.HttpRequestParser(self._listener).feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as fault:
            raise Refused(400, f"The request's head is malformed: {_reason(fault)}") from None
        if len(raw) > self._headers_count_max:
            raise Refused(431, f"The request has more than {self._headers_count_max} headers")
        if authority is not None:
            raw[:] = [(b"Host", authority), *(pair for pair in raw if pair[0].lower() != b"host")]
        headers = tuple(raw)
        names = _first_values(headers)
        host = names.get(b"host")
        if host is None:
            if not http10:
                raise Refused(400, "The request has no Host header")
        elif not _HOST.fullmatch(host):
            raise Refused(400, "The Host header is malformed")
        words = _connection_words(headers) if b"connection" in names else _NOTHING
        length, expects = _request_framing(names, http10=http10)
        asked = names.get(b"upgrade", b"") if b"upgrade" in words and not http10 else b""
        upgrade = asked if asked.lower() == b"websocket" else b""  # h2c would be a way around the rules
        keep_alive = b"close" not in words and (not http10 or b"keep-alive" in words)
        block = head[head.index(b"\r\n") + 2 : -2] if authority is None else None
        path, _, query = target.partition("?")
        return RequestHead(
            method, target, path, query, "" if host is None else host.decode(), headers, names, link, length,
            keep_alive, http10, expects, upgrade, line, _kept(headers, names, words, block),
        )  # fmt: skip

    def answer(self, head: bytes) -> AnswerHead:
        """Read an answer's head; Refused (502) when it is none that can be passed on."""
        matched = _STATUS_LINE.match(head)
        if matched is None:
            raise Refused(502, "The backend's status line is malformed")
        raw = self._raw
        raw.clear()
        try:
            httptools.HttpResponseParser(self._listener).feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as fault:
            raise Refused(502, f"The backend's head is malformed: {_reason(fault)}") from None
        headers = tuple(raw)
        try:
            names = _first_values(headers)
        except Refused as refused:
            raise Refused(502, refused.message) from None
        http10 = matched[1] == b"0"
        words = _connection_words(headers) if b"connection" in names else _NOTHING
        length = _answer_length(names, http10=http10)
        keep_alive = b"close" not in words and (not http10 or b"keep-alive" in words)
        upgrade = names.get(b"upgrade", b"") if b"upgrade" in words else b""
        block = head[matched.end() : -2]
        line = head[: matched.end()] if not http10 else b"HTTP/1.1" + head[8 : matched.end()]
        kept = line + _kept(headers, names, words, block)
        return AnswerHead(int(matched[2]), names, headers, kept, length, keep_alive, upgrade)


class HeadProbe:
    """Looks at a request's head that arrives in pieces, so that garbage is refused at its first byte."""

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


def hopeless(part: bytes) -> bool:
    """Whether the beginning of an answer's head can never become one that is passed on."""
    return not b"HTTP/1.".startswith(part[:7]) or _LONE_LF.search(part) is not None


def request_for(head: RequestHead, forward: Forward, backend: Backend) -> bytes:
    """The head that a backend gets."""
    line = head.line
    if forward.target:
        if re.search(r"[^\x21-\x7e]", forward.target):
            raise ValueError("a target with characters that must be percent-encoded")
        line = f"{head.method} {forward.target} HTTP/1.1\r\n".encode()
    kept = head.kept
    if forward.remove and not forward.remove.isdisjoint(head.names):
        kept = without(head.kept, forward.remove)
    added = lines(forward.add) if forward.add else b""
    if b"host" not in head.names:
        added += b"Host: %b:%d\r\n" % (backend.address.encode(), backend.port)
    if head.upgrade:
        added += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % head.upgrade
    return b"".join((line, kept, added, b"\r\n"))


def without(block: bytes, names: frozenset[bytes]) -> bytes:
    """Header lines without those of some names (lower case)."""
    return b"".join(
        [
            line
            for line in block.splitlines(keepends=True)
            if line[: max(line.find(b":"), 0)].lower() not in names
        ]
    )


def lines(headers: HeaderList) -> bytes:
    """Header lines; ValueError for what would not be one line each."""
    block = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    if block.count(b"\n") != len(headers) or block.count(b"\r") != len(headers) or b"\0" in block:
        raise ValueError("a header with a line end in it")
    return block


def status_line(status: int) -> bytes:
    """The status line, with the usual reason."""
    line = _STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


_NOTHING: Final[frozenset[bytes]] = frozenset()
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def _request_line(head: bytes) -> tuple[str, str, bytes, bool, bytes | None]:
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
    if len(raw_target) > LINE_BYTES_MAX:
        raise Refused(414, "The request's target is too long")
    try:
        target = raw_target.decode("ascii")
    except UnicodeDecodeError:
        raise Refused(400, "The request target has bytes that must be percent-encoded") from None
    authority = None
    if target[:1] != "/":
        target, authority = _other_target(method, target)
    if "\r" in target or "\n" in target:  # two lines taken for one: llhttp would read the first as HTTP/0.9
        raise Refused(400, "The request line is malformed")
    if "#" in target:
        raise Refused(400, "The request target has a fragment")
    return method, target, b"%b %b HTTP/1.1\r\n" % (verb, target.encode()), http10, authority


def _other_method(verb: bytes) -> str:
    if verb == b"CONNECT":
        raise Refused(405, "This server is no forward proxy")
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


def _first_values(headers: HeaderList) -> dict[bytes, bytes]:
    names: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        if lower not in names:
            names[lower] = value
        elif lower in _ONCE:
            raise Refused(400, f"The {lower.decode()} header is there twice")
    return names


def _connection_words(headers: HeaderList) -> frozenset[bytes]:
    return frozenset(
        word.strip(b" \t")
        for name, value in headers
        if name.lower() == b"connection"
        for word in value.lower().split(b",")
    )


def _kept(
    headers: HeaderList, names: dict[bytes, bytes], words: frozenset[bytes], block: bytes | None
) -> bytes:
    """The header lines for the next hop; the very bytes that came when none has to go."""
    gone = _HOP | (words - _FRAMING) if words else _HOP
    if block is not None and gone.isdisjoint(names):
        return block
    return b"".join([b"%b: %b\r\n" % pair for pair in headers if pair[0].lower() not in gone])


def _request_framing(names: dict[bytes, bytes], *, http10: bool) -> tuple[int, bool]:
    """The length of the body, and whether the client waits for `100 Continue`."""
    length = _content_length(names, 400)
    coding = names.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or http10 or coding.lower() != b"chunked":
            raise Refused(400, "The only Transfer-Encoding is chunked, in HTTP/1.1, without a Content-Length")
        length = CHUNKED
    length = length or 0
    expect = names.get(b"expect")
    if expect is None or http10:
        return length, False
    if expect.lower() != b"100-continue":
        raise Refused(417, "The only expectation that can be met is 100-continue")
    return length, length != 0


def _answer_length(names: dict[bytes, bytes], *, http10: bool) -> int:
    length = _content_length(names, 502)
    coding = names.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or http10 or coding.lower() != b"chunked":
            raise Refused(502, "The backend's framing is ambiguous")
        return CHUNKED
    return UNTIL_CLOSE if length is None else length


def _content_length(names: dict[bytes, bytes], status: int) -> int | None:
    text = names.get(b"content-length")
    if text is None:
        return None
    if not _LENGTH.fullmatch(text):
        raise Refused(status, "The Content-Length is malformed")
    return int(text)


def _reason(fault: Exception) -> str:
    reason = fault.args[0] if fault.args else "unreadable"
    return reason.decode("latin-1") if isinstance(reason, bytes) else str(reason)
