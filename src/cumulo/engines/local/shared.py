"""What an instance's pods share: the bridge, the rules, the name server.  Made when the first pod needs it."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from cumulo.base.log import Log
from cumulo.engines.engine import Port
from cumulo.engines.local import addresses, bridge, dns, firewall, rules
from cumulo.engines.local.bridge import Bridge
from cumulo.engines.local.name_server import NameServer
from cumulo.engines.local.names import Names
from cumulo.engines.local.network_records import Records
from cumulo.engines.local.rules import Ruleset
from cumulo.engines.local.upstream import Upstream
from cumulo.sandbox.network import apply_rules

_Result = TypeVar("_Result")
_LOOK_SECONDS = 15.0  # at most so often is the host's firewall looked at, which may be started after us


class Together(Generic[_Result]):
    """Does something once for all who ask before it begins: each has what was done after asking."""

    def __init__(self, work: Callable[[], Awaitable[_Result]]) -> None:
        self._work = work
        self._lock = asyncio.Lock()
        self._asked = 0
        self._done = 0
        self._result: _Result

    async def __call__(self) -> _Result:
        """Do it, or have what somebody did meanwhile."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._done < mine:
                covered = self._asked
                self._result = await self._work()
                self._done = covered
            return self._result


class Shared:
    """Bridge, rules and name server of one instance.

    mapped   asks for the ports of each pod, by its address, whenever rules are written
    hosts    asks for the further addresses of the bridge, likewise
    """

    def __init__(
        self,
        instance: str,
        nft: str,
        records: Records,
        names: Names,
        upstream: Upstream,
        mapped: Callable[[int], Mapping[str, tuple[Port, ...]]],
        hosts: Callable[[int], tuple[str, ...]],
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._instance = instance
        self._nft = nft
        self._records = records
        self._names = names
        self._mapped = mapped
        self._hosts = hosts
        self._server = NameServer(names.answer, upstream)
        self._log = Log("pods")
        self._lock = asyncio.Lock()
        self._rules_lock = asyncio.Lock()
        self._look_seconds = look_seconds
        self._writing = Together(self._write)
        self._listing = Together(self._list)
        self._dns_port = 0
        self._host_ports: frozenset[int] = frozenset()
        self._looked_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self.bridge: Bridge | None = None

    async def ready(self) -> Bridge:
        """Make what is missing.  OSError; what was made until then is used or removed later."""
        if self.bridge is not None and bridge.is_there(self.bridge.name):
            self._look_at_firewall()
            return self.bridge
        async with self._lock:
            if self.bridge is not None and bridge.is_there(self.bridge.name):
                return self.bridge
            await self._forget()
            self.bridge = await self._establish()
            await self.ports_changed()  # of pods whose ports were mapped meanwhile
            return self.bridge

    async def _establish(self) -> Bridge:
        if not self._nft:
            raise OSError("pods on the bridge need nft (apt-get install nftables)")
        remembered = self._records.subnet()
        self._records.save_subnet(remembered)  # whoever finds the folder knows that there may be more
        made = await asyncio.to_thread(bridge.establish, self._instance, remembered, self._protect)
        self._records.save_subnet(made.subnet)
        self._names.serve(made.subnet)
        self._dns_port = await self._server.start(rules.gateway(made.subnet))
        self._looked_at = time.monotonic()
        await asyncio.to_thread(self._finish, made)
        return made

    def _protect(self, subnet: int) -> None:
        apply_rules(self._nft, rules.whole(self._rules(subnet)))

    def _finish(self, made: Bridge) -> None:
        if self._dns_port != dns.PORT:
            self._protect(made.subnet)
        if made.fresh:
            bridge.rejoin(made, list(bridge.links(self._instance)))
        bridge.hold(made, self._hosts(made.subnet))
        self._make_exceptions()

    def _make_exceptions(self) -> None:
        try:
            firewall.make(self._nft, addresses.bridge_name(self._instance))
        except (OSError, subprocess.SubprocessError) as error:
            self._log.warning("the host's firewall cannot be changed: pods may not get out", error=str(error))

    def _rules(self, subnet: int) -> Ruleset:
        return Ruleset(
            table=addresses.table_name(self._instance),
            bridge=addresses.bridge_name(self._instance),
            subnet=subnet,
            mapped=self._mapped(subnet),
            host_ports=self._host_ports,
            hosts=self._hosts(subnet),
            dns_port=self._dns_port or dns.PORT,
        )

    async def allow_host_port(self, port: int) -> None:
        """Lead a TCP port of the gateway to the same port of the host's loopback.  OSError."""
        self._host_ports |= {port}
        async with self._lock:
            await self.write_all()

    async def write_all(self) -> None:
        """Write every rule anew.  OSError."""
        async with self._rules_lock:
            if self.bridge is not None:
                await asyncio.to_thread(self._protect, self.bridge.subnet)

    async def ports_changed(self) -> None:
        """Bring the rules up to date.  OSError."""
        await self._writing()

    async def _write(self) -> None:
        async with self._rules_lock:
            if self.bridge is not None:  # otherwise whoever makes it writes all
                await asyncio.to_thread(self._write_ports, self._rules(self.bridge.subnet))

    def _write_ports(self, wanted: Ruleset) -> None:
        try:
            apply_rules(self._nft, rules.ports_only(wanted))
        except OSError:
            apply_rules(self._nft, rules.whole(wanted))  # somebody flushed the rules

    async def elsewhere(self) -> str:
        """The maps of all instances, as nft's JSON.  OSError."""
        return await self._listing()

    async def _list(self) -> str:
        try:
            return await asyncio.to_thread(firewall.mapped, self._nft)
        except subprocess.SubprocessError as error:
            raise OSError(str(error)) from None

    def _look_at_firewall(self) -> None:
        """Docker may have been started, or all rules flushed meanwhile; nobody waits for this."""
        if time.monotonic() - self._looked_at < self._look_seconds:
            return
        self._looked_at = time.monotonic()
        self._looking = asyncio.get_running_loop().create_task(self._mend_rules())

    async def _mend_rules(self) -> None:
        async with self._rules_lock:
            if self.bridge is not None:
                await asyncio.to_thread(self._mend, self._rules(self.bridge.subnet))

    def _mend(self, wanted: Ruleset) -> None:
        try:
            if not firewall.has_table(self._nft, wanted.table):
                apply_rules(self._nft, rules.whole(wanted))
        except (OSError, subprocess.SubprocessError) as error:
            self._log.warning("the rules of pods are gone", error=str(error))
        self._make_exceptions()

    async def release(self) -> None:
        """Let go in this process."""
        async with self._lock:
            await self._forget()

    async def remove(self) -> None:
        """Remove bridge, rules and exceptions, also what a killed control plane left.  OSError."""
        async with self._lock:
            await self._forget()
            name = addresses.bridge_name(self._instance)
            if bridge.is_there(name) or self._records.folder.exists():
                await asyncio.to_thread(self._remove, name)
                self._records.forget_all()

    async def _forget(self) -> None:
        self.bridge = None
        if self._looking is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
            self._looking = None
        await self._server.close()

    def _remove(self, name: str) -> None:
        bridge.remove_link(name)
        if self._nft:
            apply_rules(self._nft, rules.none(addresses.table_name(self._instance)))
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                firewall.remove(self._nft, name)
