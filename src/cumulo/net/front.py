"""A front for HTTP: takes requests, asks its caller what to do with each, and does it.

    listen/serve_socket ──▶ Client ──head──▶ route ──Forward──▶ Upstream ──▶ backend
                                               └──Answer──▶ client

Everything is callbacks: a request that goes to a backend on a connection that waits costs neither a task nor a
future.  Time-outs cost a request nothing: one sweep a second looks at all connections.  Bodies pass through
piece by piece; who is slower holds the other's source.
"""

from email.utils import formatdate

from cumulo.base.clock import Clock
from cumulo.net.client import Client
from cumulo.net.heads import HeadReader
from cumulo.net.limits import Limits
from cumulo.net.listening import Front, Listening, connect
from cumulo.net.messages import Done, HeaderList, Page, Route
from cumulo.net.pool import Backend
from cumulo.net.upstream import Upstream


class HttpFront(Front):
    """Serves any number of listening sockets with one route, in HTTP/1.1 and HTTP/1.0.

    route   decides about each request; see messages.Route
    clock   for durations
    page    headers and bodies of the front's own error answers
    done    told of each request that has ended
    limits  what clients may ask
    """

    def __init__(
        self,
        route: Route,
        *,
        clock: Clock,
        page: Page | None = None,
        done: Done | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(clock, connections_max=limits.connections_max, sweep_seconds=limits.sweep_seconds)
        self.route = route
        self.page = page or plain_page
        self.done = done
        self.limits = limits
        self.heads = HeadReader(headers_count_max=limits.headers_count_max)
        self.date = b""
        self.held_bytes = 0
        self.upstreams: set[Upstream] = set()
        self.set_time()

    # The connections' side

    def client(self, listening: Listening) -> Client:
        """The protocol of a new connection."""
        return Client(self, listening)

    async def connect(self, backend: Backend) -> Upstream:
        """A new connection to a backend.  OSError."""
        return await connect(backend, Upstream(self, backend))

    def adopt(self, upstream: Upstream) -> None:
        """Take over a connection that another front made."""
        upstream.front.upstreams.discard(upstream)
        upstream.front = self
        self.upstreams.add(upstream)

    def set_time(self) -> None:
        """See what time it is, and write it down for answers."""
        super().set_time()
        self.date = formatdate(self.clock.now(), usegmt=True).encode()

    def swept(self) -> bool:
        """Close connections to backends that wait for too long."""
        oldest = self.tick - self.limits.backend_idle_seconds
        for upstream in tuple(self.upstreams):
            if upstream.client is None and upstream.since < oldest:
                upstream.forgo()
        return bool(self.upstreams)

    def let_go(self) -> None:
        """Close all connections to backends."""
        for upstream in tuple(self.upstreams):
            upstream.forgo()


def plain_page(status: int) -> tuple[HeaderList, bytes]:
    """An error page of one line."""
    return ((b"Content-Type", b"text/plain"),), b"%d\n" % status
