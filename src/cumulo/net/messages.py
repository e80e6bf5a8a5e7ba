"""What a front tells its caller of a request, and what the caller may decide."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from cumulo.net.pool import Backend, Pool

HeaderList = Sequence[tuple[bytes, bytes]]

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2


class Refused(Exception):
    """A request that the front answers itself with `status`, and closes the connection."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class BodyTooLong(Exception):
    """A body is longer than its reader would take."""


class BodyCutShort(Exception):
    """The client went away in the middle of its body."""


class Tls(msgspec.Struct, frozen=True):
    """How a client speaks TLS: the version (`TLSv1.3`), and the cipher's name."""

    version: str
    cipher: str


class Link(msgspec.Struct, frozen=True):
    """What is the same for all requests of a connection.

    peer        the client's address
    peer_port   and port
    scheme      http or https
    local_port  the port that it connected to
    """

    peer: str
    peer_port: int
    scheme: str
    local_port: int
    local_address: str = ""
    tls: Tls | None = None


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """The head of a request.  Shared between equal requests of a connection: do not change what it holds.

    target     as it was sent: path and query (of the absolute form, what follows the authority)
    host       the Host header as sent, maybe with a port; empty when an HTTP/1.0 client sent none
    headers    names as sent and values, in order
    names      lower-case names to first values
    length     of the body in bytes, or CHUNKED
    upgrade    the protocol that the client asks for (`websocket`), or empty
    line       the request line for a backend
    kept       the header lines for a backend: without those that concern this connection alone
    """

    method: str
    target: str
    path: str
    query: str
    host: str
    headers: HeaderList
    names: Mapping[bytes, bytes]
    link: Link
    length: int
    keep_alive: bool
    http10: bool
    expects: bool
    upgrade: bytes
    line: bytes
    kept: bytes

    @property
    def peer(self) -> str:
        """The client's address."""
        return self.link.peer

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self.link.scheme

    @property
    def local_port(self) -> int:
        """The port that the client connected to."""
        return self.link.local_port

    def header(self, name: str) -> str | None:
        """The first value of a header, whose name is lower case; None when there is none."""
        value = self.names.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def values(self, name: str) -> list[str]:
        """All values of a header, whose name is lower case."""
        wanted = name.encode()
        if wanted not in self.names:
            return []
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]


class Forward(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Send the request to a backend.  One Forward may serve any number of requests.

    pool             who may answer
    add              header lines for the backend, after the client's own
    remove           lower-case names of the client's headers that the backend does not get
    target           path and query for the backend; empty: the client's
    preferred        taken whenever it may get requests, for stickiness
    on_backend       told of the backend that was chosen; gives header lines for the client, such as Set-Cookie
    answer_remove    lower-case names of the backend's headers that the client does not get
    connect_seconds  to connect, TLS included; beyond: 504
    idle_seconds     without a byte in either direction; beyond: 504, or a broken answer when it has begun
    tries            backends to try when they cannot be connected to; nothing was sent to them then
    """

    pool: Pool
    add: HeaderList = ()
    remove: frozenset[bytes] = frozenset()
    target: str = ""
    preferred: Backend | None = None
    on_backend: Callable[[Backend], HeaderList] | None = None
    answer_remove: frozenset[bytes] = frozenset()
    connect_seconds: float = 10.0
    idle_seconds: float = 60.0
    tries: int = 1


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Answer the request here.  Date, Content-Length and Connection are added.

    note   for whoever is told what became of the request; nothing is done with it here
    """

    status: int
    headers: HeaderList = ()
    body: bytes = b""
    close: bool = False
    note: str = ""


Decision = Forward | Answer

ReadBody = Callable[[int], Awaitable[bytes]]
"""Reads the whole body of a request, of so many bytes at the most.  BodyTooLong, BodyCutShort.

For decisions that need it, before they are made; what was read is still sent to the backend of a Forward.
"""

Route = Callable[[RequestHead, ReadBody], Decision | Awaitable[Decision]]
"""Decides about a request.  An answer that is no Awaitable costs neither a task nor a turn of the loop."""

Page = Callable[[int], tuple[HeaderList, bytes]]
"""Headers and body of the answer that the front gives by itself with a status: 400, 502, 503, 504, ..."""

Done = Callable[[RequestHead | None, Decision | None, int, float, Backend | None], None]
"""Told of each request that has ended: its head (None when it was malformed), what was decided, the status,
how many seconds it took, and the backend whose answer it was (None: the front's own).

The status is 0 when the client went away before there was one.
"""


def forwarded(head: RequestHead, *, with_port: bool = False) -> tuple[HeaderList, frozenset[bytes]]:
    """Header lines `X-Forwarded-For` (appended to the client's own), `-Proto` and `-Port`, and which to remove."""
    link = head.link
    peer = f"{link.peer}:{link.peer_port}" if with_port else link.peer
    before = head.names.get(b"x-forwarded-for")
    if before is None:
        trail = peer.encode()
    else:
        trail = b", ".join([*(v for n, v in head.headers if n.lower() == b"x-forwarded-for"), peer.encode()])
    lines = (
        (b"X-Forwarded-For", trail),
        (b"X-Forwarded-Proto", link.scheme.encode()),
        (b"X-Forwarded-Port", b"%d" % link.local_port),
    )
    return lines, FORWARDED


FORWARDED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port"})
