"""The data plane: makes fronts that fit the records, and takes them away.

    records ──heard──▶ dirty load balancers ──run──▶ address, fronts, routes, names

What is there is compared with what the records want, one load balancer at a time; so a restart, a change and a
failure that is tried again are all the same.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports import Certificates
from cumulo.base.tasks import cancel_all
from cumulo.net.pool import Backend
from cumulo.services.elbv2.certificates import NoCertificate
from cumulo.services.elbv2.model import Listener, LoadBalancer, Rule
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.running import Running, Workshop
from cumulo.services.elbv2.shared_ports import SharedPorts, Sharer
from cumulo.state.store import StoreError

SETTLE_SECONDS: Final = 5.0  # that an operation waits for the data plane at the most
RETRY_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 5.0  # for requests that run when a listener goes
NAME_PREFIX: Final = "elb-"  # of addresses of the machine's own

_log = Log("elbv2")


class Machine(msgspec.Struct, frozen=True):
    """What load balancers need of the machine.

    address_for   an address of its own for a name; the same name gets the same again.  Raises when there is none
    give_back     the address of this name is not needed any more; harmless when it was never given
    publish       names, and the addresses that pods find them under; the whole table each time
    """

    address_for: Callable[[str], Awaitable[str]]
    give_back: Callable[[str], Awaitable[None]]
    publish: Callable[[Mapping[str, Sequence[str]]], Awaitable[None]]


class Plane:
    """Every load balancer's fronts."""

    def __init__(
        self,
        records: Records,
        workshop: Workshop,
        machine: Machine,
        certificates: Certificates,
        clock: Clock,
        shared: SharedPorts,
    ) -> None:
        self._records = records
        self._workshop = workshop
        self._machine = machine
        self._certificates = certificates
        self._clock = clock
        self._shared = shared
        self._running: dict[str, dict[str, Running]] = {}  # by load balancer, by listener
        self._names: dict[str, str] = {}  # those that are published, with their addresses
        self._dirty: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._runs = False
        self._busy = ""  # what `run` works at
        self._closing: set[asyncio.Task[None]] = set()
        self._retries: dict[str, asyncio.TimerHandle] = {}
        self.troubles: dict[str, str] = {}  # of load balancers: what could not be done
        records.balancers.listeners.append(self._balancer_heard)
        records.listeners.listeners.append(self._listener_heard)
        records.rules.listeners.append(self._rule_heard)
        for balancer in records.balancers.all():
            self.mark(balancer.arn)

    def mark(self, balancer: str) -> None:
        """Look at a load balancer (its ARN) again."""
        self._dirty[balancer] = None
        self._wake.set()

    async def settled(self, balancer: str) -> None:
        """Return when a load balancer is as the records have it now, or could not be made so."""
        if not self._runs or (balancer not in self._dirty and balancer != self._busy):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(balancer, []).append(waiter)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await waiter

    def cut(self, backend: Backend) -> None:
        """Drop all connections to a backend."""
        for listeners in self._running.values():
            for running in listeners.values():
                running.front.cut(backend)

    async def run(self) -> None:
        """Keep up with the records, for ever."""
        self._runs = True
        try:
            while True:
                self._wake.clear()
                while self._dirty:
                    self._busy = arn = next(iter(self._dirty))
                    del self._dirty[arn]
                    await self._settle(arn)
                    self._busy = ""
                    self._release(arn)
                await self._wake.wait()
        finally:
            self._runs = False

    async def close(self) -> None:
        """Close every front; addresses stay with the machine."""
        for timer in self._retries.values():
            timer.cancel()
        self._retries.clear()
        fronts = [one.front for listeners in self._running.values() for one in listeners.values()]
        self._running.clear()
        await asyncio.gather(self._shared.close(), *(front.close(1.0) for front in fronts))
        await cancel_all(self._closing)

    def _release(self, arn: str) -> None:
        """Tell those who wait, unless there is more to do for them."""
        if arn in self._dirty:
            return
        for waiter in self._waiters.pop(arn, ()):
            if not waiter.done():
                waiter.set_result(None)

    # -- one load balancer -------------------------------------------------------------------------------

    async def _settle(self, arn: str) -> None:
        if (timer := self._retries.pop(arn, None)) is not None:
            timer.cancel()
        try:
            balancer = self._records.balancers.get(arn)
            trouble = await self._take_away(arn) if balancer is None else await self._bring_up(balancer)
        except Exception as error:  # noqa: BLE001 - one load balancer's trouble is not the others'
            _log.exception("a load balancer could not be brought up", arn=arn)
            trouble = str(error) or repr(error)
        if not trouble:
            self.troubles.pop(arn, None)
            return
        if self.troubles.get(arn) != trouble:
            _log.warning("a load balancer is impaired", arn=arn, why=trouble)
        self.troubles[arn] = trouble
        loop = asyncio.get_running_loop()
        self._retries[arn] = loop.call_later(RETRY_SECONDS, self.mark, arn)

    async def _take_away(self, arn: str) -> str:
        for listener in list(self._running.pop(arn, {}).values()):
            await self._shared.drop(listener.arn)
            self._close(listener)
        self._workshop.counts.forget(arn)
        await self._machine.give_back(name_of(arn))
        await self._publish()
        return ""

    async def _bring_up(self, balancer: LoadBalancer) -> str:
        """Trouble, in words; empty when all is well."""
        address = await self._machine.address_for(name_of(balancer.arn))
        if address != balancer.address:
            balancer = await self._note(balancer.arn, address=address) or balancer
        troubles: list[str] = []
        wanted = self._records.listeners.by("balancer", balancer.arn)
        have = self._running.setdefault(balancer.arn, {})
        for arn in have.keys() - {one.arn for one in wanted}:
            await self._shared.drop(arn)
            self._close(have.pop(arn))
        for listener in wanted:
            try:
                await self._serve(balancer, listener, address, have)
            except (OSError, AwsError, NoCertificate) as error:
                troubles.append(f"{listener.protocol} {listener.port}: {error}")
        trouble = "; ".join(troubles)
        await self._note(
            balancer.arn,
            state="active_impaired" if trouble else "active",
            state_reason=trouble[:200],
        )
        await self._publish()
        return trouble

    async def _serve(
        self, balancer: LoadBalancer, listener: Listener, address: str, have: dict[str, Running]
    ) -> None:
        """Let a listener be served as its record says."""
        rules = self._records.rules.by("listener", listener.arn)
        running = have.get(listener.arn)
        if running is not None and not running.fits(listener, address):
            await self._shared.drop(listener.arn)
            self._close(have.pop(listener.arn))
            running = None
        if running is None:
            running = await self._workshop.open(balancer, listener, rules, address, self._certificates)
            have[listener.arn] = running
        else:
            await self._workshop.update(running, balancer, listener, rules, self._certificates)
        if listener.protocol == "HTTP":
            assert running.route is not None, "HTTP listeners have routes"
            count = self._workshop.counter(balancer.arn)
            sharer = Sharer(balancer.dns_name.lower(), running.route, count)
            await self._shared.put(listener.arn, listener.port, sharer)
        else:
            await self._shared.lend(listener.arn, listener.port, running.front, running.context)

    async def _note(self, arn: str, **changes: Any) -> LoadBalancer | None:
        """Write down what has become of a load balancer, unless it is gone meanwhile."""
        now = self._records.balancers.get(arn)
        if now is None or all(getattr(now, name) == value for name, value in changes.items()):
            return now
        after = self._records.balancers.put(msgspec.structs.replace(now, **changes))
        with contextlib.suppress(StoreError):  # it is found out again after a restart
            await self._records.store.commit()
        return after

    async def _publish(self) -> None:
        names = {one.dns_name.lower(): one.address for one in self._records.balancers.all() if one.address}
        if names != self._names:
            await self._machine.publish({name: [address] for name, address in names.items()})
            self._names = names

    def _close(self, running: Running) -> None:
        running.listening.close()
        self._later(running.front.close(GRACE_SECONDS))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # -- what the records say ----------------------------------------------------------------------------

    def _balancer_heard(self, before: LoadBalancer | None, after: LoadBalancer | None) -> None:
        one = after or before
        if one is None:
            return
        if before is not None and after is not None and _same_to_clients(before, after):
            return
        self.mark(one.arn)

    def _listener_heard(self, before: Listener | None, after: Listener | None) -> None:
        one = after or before
        if one is not None:
            self.mark(one.load_balancer)

    def _rule_heard(self, before: Rule | None, after: Rule | None) -> None:
        one = after or before
        listener = self._records.listeners.get(one.listener) if one is not None else None
        if listener is not None:
            self.mark(listener.load_balancer)


def name_of(arn: str) -> str:
    """What the machine knows a load balancer by."""
    return NAME_PREFIX + arn.rpartition("/")[2]


def _same_to_clients(before: LoadBalancer, after: LoadBalancer) -> bool:
    """Whether nothing has changed that the data plane looks at."""
    return before.attributes == after.attributes
