"""The plain HTTP values that the server hands to handlers and takes back."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from cumulo.wire.sendfile import FileBody

HeaderList = list[tuple[bytes, bytes]]

_BREAKS: Final = re.compile(r"[\r\n\0]")


class Headers:
    """A request's headers: names lower-cased, order kept, duplicates kept.

    head   as it came, of a request from the wire
    """

    __slots__ = ("_first", "_head", "raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]], head: bytes = b"") -> None:
        self.raw: HeaderList = list(raw)
        self._head = head
        self._first: dict[bytes, bytes] = dict(reversed(self.raw))

    @classmethod
    def made(cls, pairs: Iterable[tuple[str, str]]) -> "Headers":
        """Those of a request that nobody sent: names as they are given."""
        given = [(_encoded(name), _encoded(value)) for name, value in pairs]
        head = b"\r\n".join([b"", *(name + b":" for name, _ in given)])
        return cls([(name.lower(), value) for name, value in given], head)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header (name in lower case), decoded as latin-1."""
        value = self._first.get(name.encode())
        return default if value is None else value.decode("latin-1")

    def get_all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self.raw if key == wanted]

    def written(self) -> dict[str, str]:
        """How the client wrote each name, by the name in small letters; empty where that is not known."""
        names: dict[str, str] = {}
        for line in self._head.split(b"\r\n")[1:]:
            name = line.partition(b":")[0].decode("latin-1")
            names.setdefault(name.lower(), name)
        return names

    def lacks(self, names: frozenset[bytes]) -> bool:
        """Whether none of these (in lower case) is there."""
        return names.isdisjoint(self._first)

    def __contains__(self, name: str) -> bool:
        return name.encode() in self._first

    def items(self) -> Iterator[tuple[str, str]]:
        """Name and value of each header line."""
        return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw)


def lines_of(pairs: Iterable[tuple[str, str]]) -> HeaderList:
    """Headers as they come from the wire, of texts: names in small letters, values that Latin-1 lacks in UTF-8.

    ValueError for what is no one line.
    """
    lines = [(name.lower(), value) for name, value in pairs]
    if any(_BREAKS.search(name) or _BREAKS.search(value) or not name for name, value in lines):
        raise ValueError("a header has a line end in it")
    return [(_encoded(name), _encoded(value)) for name, value in lines]


def _encoded(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


class Body(Protocol):
    """A request's body, which may still be arriving."""

    async def read(self, bytes_max: int) -> bytes:
        """All of it.  AwsError RequestEntityTooLargeException (413) beyond `bytes_max`; BodyCutShort when it ends early."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Piece by piece, with back-pressure on the client."""
        ...


class BodyCutShort(Exception):
    """The client went away in the middle of its body."""


class BytesBody:
    """A body that is all here."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, bytes_max: int) -> bytes:
        """All of it."""
        if len(self._data) > bytes_max:
            from cumulo.base.errors import AwsError

            raise AwsError(
                "RequestEntityTooLargeException",
                f"Request must be smaller than {bytes_max} bytes",
                status=413,
            )
        return self._data

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it, once."""
        yield self._data


class Secured(NamedTuple):
    """What TLS says of a connection.

    name         the server's name that the client asked for (SNI), lower case; empty: for none
    certificate  the client's, in DER, when it was asked for one and showed one that is trusted; else empty
    """

    name: str
    certificate: bytes = b""


class Request:
    """One HTTP request.

    `path` is still percent-encoded and has no query; `query` is the raw query string.  `peer` is who connected:
    the client's address, or the name of the sandbox whose own listener was used.  `request_id` is what AWS's answers
    carry; the authenticator makes it.  `secured` is there when it came by TLS; `scheme` is then https.
    """

    __slots__ = ("body", "headers", "method", "path", "peer", "query", "request_id", "scheme", "secured")

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Headers,
        body: Body,
        *,
        scheme: str = "http",
        peer: str = "",
        secured: Secured | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.scheme = scheme
        self.peer = peer
        self.request_id = ""
        self.secured = secured


class Response:
    """One HTTP answer: bytes, a part of a file, or an iterator that the server streams.

    The server adds Content-Length (or chunked framing), Date and Connection.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | AsyncIterator[bytes] | FileBody = b"",
    ) -> None:
        self.status = status
        self.headers = list(headers)
        self.body = body


class Switching(Response):
    """The answer 101: the connection belongs to `protocol` once the answer's head has left.

    Its `connection_made` is called, then `data_received` with what the client has sent ahead.  When the client has
    gone by then, only its `connection_lost` is.
    """

    __slots__ = ("protocol",)

    def __init__(self, protocol: asyncio.Protocol, headers: Iterable[tuple[str, str]]) -> None:
        super().__init__(101, headers)
        self.protocol = protocol


class Handler(Protocol):
    """What the server calls for each request.  It answers errors itself; an exception is a bug and becomes a 500."""

    async def __call__(self, request: Request, /) -> Response:
        """Answer a request."""
        ...


class Lane(Protocol):
    """A short cut for calls that must be quick: no coroutine, no task, the answer leaves from a callback.

    collects   whether bodies that are still arriving are worth waiting for; else such requests go to the handler
    """

    @property
    def collects(self) -> bool:
        """See above."""
        ...

    def wants(self, method: str, path: str, headers: Headers) -> bool:
        """Whether requests like this one (path still percent-encoded) go down this lane."""
        ...

    def take(self, request: Request, body: bytes, reply: Callable[[Response], None]) -> bool:
        """Begin to answer a request whose body is all here; False hands it to the ordinary handler instead.

        Calls `reply` exactly once, now or later, with a body of bytes.  A reply to a client that has gone is
        dropped by the server.
        """
        ...
