"""The same listeners once more at an address that all share (127.0.0.1), told apart by the Host header.

So `http://<DNSName>:<port>/` works where names of `localhost` lead to 127.0.0.1, and `http://localhost:<port>/` where
a single load balancer uses the port.  HTTPS, TLS and TCP have no Host header to tell by: who comes first has the port
for itself.  As good as can be: a port that another program has, or that needs rights that the
server lacks, stays closed, and `why_not` says why.
"""

import asyncio
import ssl
from collections.abc import Awaitable

from cumulo.base.clock import Clock
from cumulo.base.log import Log
from cumulo.net.front import HttpFront
from cumulo.net.listening import Front, Listening
from cumulo.net.messages import Answer, Decision, Done, ReadBody, RequestHead, Route
from cumulo.net.pool import Backend
from cumulo.services.elbv2.error_pages import page
from cumulo.services.elbv2.routing import host_of

_log = Log("elbv2")


class Sharer:
    """One listener at a shared port: the name under which it is meant, its route, and who counts."""

    def __init__(self, name: str, route: Route, count: Done) -> None:
        self.name = name
        self.route = route
        self.count = count


class SharedPorts:
    """Every shared port.  `address` is where; empty: there are none."""

    def __init__(self, address: str, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._sharers: dict[int, dict[str, Sharer]] = {}
        self._fronts: dict[int, HttpFront] = {}
        self._lent: dict[str, Listening] = {}
        self.why_not: dict[int, str] = {}

    async def put(self, listener: str, port: int, sharer: Sharer) -> None:
        """Let a listener (its ARN) answer at a port too."""
        if not self._address:
            return
        await self.drop(listener, keep=port)
        self._sharers.setdefault(port, {})[listener] = sharer
        if port not in self._fronts:
            await self._open(port)

    async def lend(self, listener: str, port: int, front: Front, context: ssl.SSLContext | None) -> None:
        """Let the front of a listener that is not HTTP have a port for itself, if nobody else has it."""
        if not self._address or listener in self._lent:
            return
        try:
            self._lent[listener] = await front.listen(self._address, port, context)
        except OSError as error:
            self._note(port, error)

    async def drop(self, listener: str, *, keep: int = 0) -> None:
        """A listener answers no more, but at the port `keep`."""
        if listener in self._lent:
            self._lent.pop(listener).close()
        for port in [one for one, sharers in self._sharers.items() if listener in sharers and one != keep]:
            del self._sharers[port][listener]
            if not self._sharers[port]:
                del self._sharers[port]
                self.why_not.pop(port, None)
                if port in self._fronts:
                    await self._fronts.pop(port).close()

    async def close(self) -> None:
        """Close every port."""
        fronts = list(self._fronts.values())
        self._fronts.clear()
        self._sharers.clear()
        for listening in self._lent.values():
            listening.close()
        self._lent.clear()
        await asyncio.gather(*(front.close() for front in fronts))

    def find(self, port: int, host: str) -> Sharer | None:
        """Who is meant by a Host header at a port."""
        sharers = self._sharers.get(port, {})
        name = host_of(host).lower()
        for one in sharers.values():
            if one.name == name:
                return one
        return next(iter(sharers.values())) if len({one.name for one in sharers.values()}) == 1 else None

    async def _open(self, port: int) -> None:
        def route(head: RequestHead, body: ReadBody) -> Decision | Awaitable[Decision]:
            found = self.find(port, head.host)
            if found is not None:
                return found.route(head, body)
            names = ", ".join(sorted(one.name for one in self._sharers.get(port, {}).values()))
            headers, text = page(404, f"Several load balancers listen on this port; name one of: {names}")
            return Answer(404, headers, text)

        def done(
            head: RequestHead | None,
            decision: Decision | None,
            status: int,
            seconds: float,
            backend: Backend | None,
        ) -> None:
            found = self.find(port, head.host) if head is not None else None
            if found is not None:
                found.count(head, decision, status, seconds, backend)

        front = HttpFront(route, clock=self._clock, page=page, done=done)
        try:
            await front.listen(self._address, port)
        except OSError as error:
            self._note(port, error)
            return
        self.why_not.pop(port, None)
        self._fronts[port] = front

    def _note(self, port: int, error: OSError) -> None:
        self.why_not[port] = f"{self._address}:{port}: {error.strerror or error}"
        _log.info("a port is not shared", port=port, why=self.why_not[port])
