"""Listeners that listen: opened, and changed while they run."""

import ssl
from collections.abc import Sequence
from functools import partial
from random import Random

from cumulo.base.clock import Clock
from cumulo.base.ports import Certificates
from cumulo.net.front import HttpFront
from cumulo.net.limits import Limits
from cumulo.net.listening import Listening
from cumulo.net.messages import Decision, Done, Forward, Link, RequestHead, Route
from cumulo.net.pool import Backend
from cumulo.net.tcp import Splice, TcpFront
from cumulo.services.elbv2 import attributes
from cumulo.services.elbv2.certificates import Shown, shown_by
from cumulo.services.elbv2.connecting import pick_for
from cumulo.services.elbv2.counts import Counts
from cumulo.services.elbv2.error_pages import page
from cumulo.services.elbv2.function_calls import FunctionAnswer
from cumulo.services.elbv2.model import Listener, LoadBalancer, Rule
from cumulo.services.elbv2.pools import Pools
from cumulo.services.elbv2.routing import Routing


class Running:
    """A listener that listens.  `route` is None for those of network load balancers."""

    def __init__(
        self,
        listener: Listener,
        address: str,
        front: HttpFront | TcpFront,
        listening: Listening,
        shown: Shown | None,
    ) -> None:
        self.arn = listener.arn
        self.address = address
        self.port = listener.port
        self.protocol = listener.protocol
        self.front = front
        self.listening = listening
        self.shown = shown
        self.route: Route | None = None

    @property
    def context(self) -> ssl.SSLContext | None:
        """How it speaks TLS; None: not at all."""
        return self.shown.tls.context if self.shown is not None else None

    def fits(self, listener: Listener, address: str) -> bool:
        """Whether it can go on as it is, with another route at the most."""
        same = (self.address, self.port, self.protocol) == (address, listener.port, listener.protocol)
        if not same or self.shown is None:
            return same
        return self.shown.policy == listener.ssl_policy


class Workshop:
    """Makes fronts."""

    def __init__(self, routing: Routing, pools: Pools, counts: Counts, clock: Clock, source: Random) -> None:
        self.counts = counts
        self._routing = routing
        self._pools = pools
        self._clock = clock
        self._random = source

    async def open(
        self,
        balancer: LoadBalancer,
        listener: Listener,
        rules: Sequence[Rule],
        address: str,
        certificates: Certificates,
    ) -> Running:
        """Listen.  OSError when the port is taken, NoCertificate, AwsError when certificates cannot be read."""
        shown = await shown_by(listener, balancer, certificates) if listener.certificate else None
        context: ssl.SSLContext | None = shown.tls.context if shown is not None else None
        front: HttpFront | TcpFront
        if balancer.is_application:
            route = self._routing.route(balancer, listener, rules)
            front = HttpFront(
                route,
                clock=self._clock,
                page=page,
                done=self.counter(balancer.arn),
                limits=_limits(balancer),
            )
        else:
            route = None
            front = TcpFront(
                pick_for(listener, self._pools, self._random),
                clock=self._clock,
                done=partial(self._spliced, balancer.arn),
            )
        try:
            listening = await front.listen(address, listener.port, context)
        except OSError:
            await front.close()
            raise
        running = Running(listener, address, front, listening, shown)
        running.route = route
        return running

    async def update(
        self,
        running: Running,
        balancer: LoadBalancer,
        listener: Listener,
        rules: Sequence[Rule],
        certificates: Certificates,
    ) -> None:
        """Let a listener that runs do what the records say now; requests that run are not touched.

        NoCertificate, AwsError as for `open`; then it goes on with the certificates that it has.
        """
        if running.shown is not None:
            await running.shown.renew(listener, balancer, certificates)
        if isinstance(running.front, TcpFront):
            running.front.pick = pick_for(listener, self._pools, self._random)
            return
        running.front.limits = _limits(balancer)
        running.route = running.front.route = self._routing.route(balancer, listener, rules)

    def counter(self, balancer: str) -> Done:
        """Counts the requests of a load balancer."""
        return partial(self._counted, balancer)

    def _counted(
        self,
        balancer: str,
        _head: RequestHead | None,
        decision: Decision | None,
        status: int,
        seconds: float,
        backend: Backend | None,
    ) -> None:
        if isinstance(decision, Forward):
            self.counts.request(balancer, decision.pool.name, status, seconds, of_target=backend is not None)
        elif isinstance(decision, FunctionAnswer):
            self.counts.request(balancer, decision.group, status, seconds, of_target=True)
        else:
            note = decision.note if decision is not None and decision.status == status else ""
            self.counts.request(balancer, "", status, seconds, of_target=False, note=note)

    def _spliced(
        self,
        balancer: str,
        _link: Link,
        splice: Splice | None,
        _backend: Backend | None,
        received: int,
        sent: int,
        _seconds: float,
    ) -> None:
        self.counts.connection(balancer, splice.pool.name if splice is not None else "", received + sent)


def _limits(balancer: LoadBalancer) -> Limits:
    have = attributes.of_balancer(balancer)
    idle = float(have["idle_timeout.timeout_seconds"])
    return Limits(idle_seconds_max=min(idle, float(have["client_keep_alive.seconds"])))
