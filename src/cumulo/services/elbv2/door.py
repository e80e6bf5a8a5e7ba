"""Load balancers behind the cloud's own port: `http://<DNSName>:4566/` leads to the listener on port 80, or the only one.

A request is passed on to the load balancer's own address, so that rules, targets and figures are the same.
"""

import asyncio
from typing import Final

from cumulo.companions.upstream import Connect, Streams, Upstream, UpstreamError
from cumulo.services.elbv2.error_pages import page
from cumulo.services.elbv2.model import Listener, LoadBalancer
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.routing import host_of
from cumulo.wire.http import Request, Response

WAYS_MAX: Final = 64  # addresses to which connections are kept


class Door:
    """Answers requests whose Host is a load balancer's name."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._ways: dict[tuple[str, int], Upstream] = {}

    def owns(self, host: str) -> bool:
        """Whether a Host header names a load balancer.  Quick for those that cannot."""
        return ".elb." in host and bool(self._records.balancers.by("dns", host_of(host).lower()))

    async def handle(self, request: Request) -> Response:
        """Pass a request on, and give the answer back."""
        found = self._records.balancers.by("dns", host_of(request.headers.get("host")).lower())
        if not found:
            return _page(404, "There is no load balancer of this name.")
        listener = self._listener(found[0])
        if listener is None or not found[0].address:
            return _page(503, "The load balancer has no HTTP listener, or is not active yet.")
        way = (found[0].address, listener.port)
        if way not in self._ways:
            if len(self._ways) >= WAYS_MAX:
                self._ways.pop(next(iter(self._ways))).close()
            self._ways[way] = Upstream(_connect_to(*way))
        try:
            return await self._ways[way].send(request, (), frozenset())
        except UpstreamError as error:
            return _page(503, str(error))

    def close(self) -> None:
        """Close all connections."""
        for way in self._ways.values():
            way.close()
        self._ways.clear()

    def _listener(self, balancer: LoadBalancer) -> Listener | None:
        plain = [
            one for one in self._records.listeners.by("balancer", balancer.arn) if one.protocol == "HTTP"
        ]
        if len(plain) == 1:
            return plain[0]
        return next((one for one in plain if one.port == 80), None)


def _connect_to(address: str, port: int) -> Connect:
    async def connect() -> Streams:
        return await asyncio.open_connection(address, port, limit=256 * 1024)

    return connect


def _page(status: int, why: str) -> Response:
    headers, body = page(status, why)
    return Response(status, [(name.decode(), value.decode()) for name, value in headers], body)
