"""The network of each pod: a namespace that a file keeps, an address, mapped ports, names.

    open(pod) ──▶ namespace ──▶ link, address ──▶ ports ──▶ record ──▶ names

The record is written last: what has none was not finished, and is removed by whoever comes next.  Everything but the
names lives in the kernel and goes on without the control plane.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cumulo.base.log import Log
from cumulo.engines.engine import (
    NAME_PATTERN,
    EngineError,
    NetworkMode,
    NoSuchPod,
    Port,
    StartFailed,
    Unsupported,
)
from cumulo.engines.local import addresses, bridge, dns, flows, namespaces, reservations, rules
from cumulo.engines.local.addresses import Addresses
from cumulo.engines.local.bridge import Bridge
from cumulo.engines.local.departures import Departures
from cumulo.engines.local.hosts import Hosts
from cumulo.engines.local.names import Names
from cumulo.engines.local.needs import Connection, Wish
from cumulo.engines.local.network_records import Record, Records
from cumulo.engines.local.reservations import Reservations
from cumulo.engines.local.shared import Shared
from cumulo.engines.local.upstream import HostServers, Upstream

_Result = TypeVar("_Result")
_AT_ONCE_MAX = 8  # threads that make or remove networks: the kernel does one after another anyway
_STOP_SECONDS = 10.0  # for what is under way when the process lets go


class LocalNetwork:
    """Networks of an instance's pods.

    folder     for namespaces and records; only ours, and emptied by a reboot (/run/cumulo/pods/<instance>)
    nft        the program; without it there are no pods on the bridge
    upstream   whom to ask for names that no pod has; the host's name servers
    gateway_names  under which pods find the gateway, and with it the ports that `allow_host_port` opens
    data       noted there: whose networks these are
    """

    def __init__(
        self,
        instance: str,
        folder: Path,
        nft: str,
        upstream: Upstream | None = None,
        gateway_names: tuple[str, ...] = ("host.docker.internal",),
        data: Path | None = None,
    ) -> None:
        self._instance = instance
        self._records = Records(folder, data)
        self._known: dict[str, Record] = {}
        self._mapped: dict[str, tuple[int, tuple[Port, ...]]] = {}  # of each pod: serial and ports
        self._addresses = Addresses()
        self._hosts = Hosts(self._records, self._addresses)
        self._names = Names(gateway_names)
        self._reservations = Reservations(lambda address: address in self.host_addresses().values())
        self._shared = Shared(
            instance,
            nft,
            self._records,
            self._names,
            upstream or Upstream(HostServers()),
            self._mapped_at,
            lambda subnet: tuple(self._hosts.at(subnet).values()),
        )
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self._under_way: set[asyncio.Task[Any]] = set()
        self._departures = Departures(instance, self._addresses)
        self._room = asyncio.Semaphore(_AT_ONCE_MAX)
        self._log = Log("pods")

    async def start(self) -> None:
        """Take over what an earlier control plane made.  Without pods on the bridge nothing is made yet."""
        await asyncio.to_thread(self._hosts.load)
        for record in (await asyncio.to_thread(self._records.load)).values():
            if record.serial >= 0 and not self._addresses.hold(record.serial):
                self._records.drop(record.pod)  # a copy: its namespace is a stray
                continue
            self._known[record.pod] = record
            if record.ports and record.serial >= 0:
                self._mapped[record.pod] = (record.serial, record.ports)
        await self._remove_strays()
        before = self._records.subnet()
        if self._hosts.any() or any(one.mode is NetworkMode.BRIDGE for one in self._known.values()):
            await self._share()
        for pod, (_, ports) in self._mapped.items():  # now, when the bridge has its addresses
            for port in self._reservations.take_again(ports):
                self._log.warning("a mapped port has another listener", pod=pod, port=port.host)
        await self._forsake_other_subnets(before)
        for record in self._known.values():
            self._name(record)

    async def stop(self) -> None:
        """Let go in this process; networks of pods live on.  Without pods nothing stays."""
        if self._under_way:  # whether anything stays is known when what was begun is done
            await asyncio.wait(set(self._under_way), timeout=_STOP_SECONDS)
        self._reservations.close()
        await self._departures.close()
        if self._known or self._locks or self._hosts.any():
            await self._shared.release()
            return
        with contextlib.suppress(OSError):
            await self._shared.remove()

    async def open(
        self, pod: str, mode: NetworkMode, *, hostname: str, names: tuple[str, ...], ports: tuple[Port, ...]
    ) -> Connection:
        """Make the network of a pod; the one it has when it has one.  EngineError; then nothing is left."""
        del hostname  # the engine writes it into the pod; others find the pod by its name and names
        return await self._finished(self._open(pod, mode, names, ports))

    async def close(self, pod: str) -> None:
        """Give it back.  Harmless when there is none."""
        await self._finished(self._close(pod))

    async def adopt(self, pods: Mapping[str, Wish]) -> Mapping[str, Connection]:
        """These pods exist, and no others: see PodNetwork."""
        await self.sweep(pods.keys())
        opened = await asyncio.gather(*(self._adopt(pod, wish) for pod, wish in pods.items()))
        return {
            pod: connection for pod, connection in zip(pods, opened, strict=True) if connection is not None
        }

    async def sweep(self, keep: Collection[str]) -> None:
        """Remove the networks of all pods but these, and whatever half of one is left of this instance."""
        await asyncio.gather(*(self.close(pod) for pod in list(self._known) if pod not in keep))
        await self._remove_strays()
        if not self._known and not self._locks and not self._hosts.any():
            with _as_engine_error("what is left of the pods' network"):
                await self._shared.remove()

    async def end(self) -> None:
        """Remove everything of an instance that no control plane serves any more; instead of `start`."""
        for pod in await asyncio.to_thread(self._records.load):
            self._records.drop(pod)
        await self.sweep(())

    def listen_inside(self, pod: str, port: int, address: str = "127.0.0.1") -> socket.socket:
        """A listening socket at address:port inside.  Quick, and may be called in any thread."""
        record = self._known.get(pod)
        if record is None:
            raise NoSuchPod(f"there is no pod {pod!r}")
        path = None if record.mode is NetworkMode.HOST else self._records.namespace(pod)
        if path is None and not address.startswith("127."):
            raise Unsupported(f"{pod} has the machine's network, which is not given the address {address}")
        with _as_engine_error(f"{address}: port {port} inside pod {pod}"):
            return namespaces.listen(path, port, address)

    async def host_address(self, name: str) -> str:
        """An address of the machine's own, for this name: the one it has when it has one."""
        with _as_engine_error(f"an address for {name}"):
            return await self._finished(self._hosts.take(name, self._shared))

    async def free_host_address(self, name: str) -> None:
        """Give it back.  Harmless when there is none."""
        with _as_engine_error(f"the address of {name}"):
            await self._finished(self._hosts.free(name, self._shared))

    def host_addresses(self) -> Mapping[str, str]:
        """Those that there are, by name; none while there is no bridge."""
        return self._hosts.at(self._shared.bridge.subnet) if self._shared.bridge is not None else {}

    def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:
        """Names that pods resolve: all of an owner's from now on.  EngineError for what is no name or address."""
        try:
            self._names.publish(owner, records)
        except ValueError as error:
            raise EngineError(str(error)) from None

    def traffic(self, pod: str) -> tuple[int, int]:
        """Bytes received and sent since it was made; zeros where that cannot be known.  In any thread."""
        record = self._known.get(pod)
        if record is None or record.serial < 0:
            return 0, 0
        return bridge.traffic(addresses.link_name(self._instance, record.serial))

    async def allow_host_port(self, port: int) -> None:
        """Let pods reach a TCP port of the host's loopback, as the same port of their gateway."""
        if not 1 <= port <= 65535:
            raise EngineError(f"{port} is no port")
        with _as_engine_error(f"port {port} of the host"):
            await self._shared.allow_host_port(port)

    async def _adopt(self, pod: str, wish: Wish) -> Connection | None:
        try:
            return await self.open(pod, wish.mode, hostname=wish.hostname, names=wish.names, ports=wish.ports)
        except EngineError as error:
            self._log.warning("a pod's network is lost", pod=pod, error=str(error))
            return None

    async def _open(
        self, pod: str, mode: NetworkMode, names: tuple[str, ...], ports: tuple[Port, ...]
    ) -> Connection:
        if not re.fullmatch(NAME_PATTERN, pod):
            raise EngineError(f"{pod!r} is no name of a pod")
        async with self._alone(pod):
            known = self._known.get(pod)
            if known is not None:
                if await self._is_whole(known):
                    return self._connection(known)
                await self._remove(known)
            try:
                for name in names:
                    dns.labels(name)
            except ValueError as error:
                raise EngineError(str(error)) from None
            record = Record(pod=pod, mode=mode, names=names, ports=ports)
            return self._connection(await self._make(record))

    async def _make(self, record: Record) -> Record:
        with _as_engine_error(f"the network of pod {record.pod}"):
            if record.mode is NetworkMode.BRIDGE:
                made = await self._make_on_bridge(record)
            elif record.ports and record.mode is NetworkMode.NONE:
                raise StartFailed("port", f"pod {record.pod} has no network, so no port leads to it")
            else:
                made = record
                await self._in_room(lambda: self._build_all(record, None))
        self._known[made.pod] = made
        self._name(made)
        return made

    async def _make_on_bridge(self, record: Record) -> Record:
        reservations.check(record.ports)
        shared = await self._shared.ready()
        made = msgspec.structs.replace(record, serial=self._addresses.take(), ports=())
        try:
            if not record.ports:
                await self._in_room(lambda: self._build_all(made, shared))
                return made
            built, ports = await asyncio.gather(
                self._in_room(lambda: self._build_links(made, shared)),
                self._reserve(record.ports),
                return_exceptions=True,
            )
            if isinstance(ports, BaseException):
                raise ports
            made = msgspec.structs.replace(made, ports=ports)
            if built is not None:
                raise built
            await self._map(made)
            return made
        except Exception:
            await self._remove(made)
            raise

    async def _map(self, record: Record) -> None:
        self._mapped[record.pod] = (record.serial, record.ports)
        await self._shared.ports_changed()
        await self._forget_flows(record)
        await asyncio.to_thread(self._records.save, record)

    async def _reserve(self, ports: tuple[Port, ...]) -> tuple[Port, ...]:
        elsewhere = reservations.parse_maps(
            await self._shared.elsewhere(), addresses.table_name(self._instance)
        )
        return self._reservations.take(ports, elsewhere)

    async def _in_room(self, work: Callable[[], None]) -> None:
        async with self._room:
            await namespaces.in_thread_async(work)

    async def _forget_flows(self, record: Record) -> None:
        ports = {port.host for port in record.ports if port.protocol == "udp"}
        if ports and self._shared.bridge is not None:
            address = addresses.pod_address(self._shared.bridge.subnet, record.serial)
            try:
                await asyncio.to_thread(flows.forget, ports, address)
            except OSError as error:
                self._log.warning("old flows go on", pod=record.pod, error=str(error))

    def _build_links(self, record: Record, shared: Bridge | None) -> None:
        path = self._records.namespace(record.pod)
        if shared is not None:
            bridge.attach(self._instance, shared, record.serial, path)
        elif record.mode is NetworkMode.NONE:
            namespaces.make(path)

    def _build_all(self, record: Record, shared: Bridge | None) -> None:
        self._build_links(record, shared)
        self._records.save(record)

    async def _close(self, pod: str) -> None:
        async with self._alone(pod):
            record = self._known.get(pod)
            if record is not None:
                await self._remove(record)

    async def _remove(self, record: Record) -> None:
        """Remove every part of a pod's network, whether or not all of it was made."""
        self._names.drop(record.pod)
        self._known.pop(record.pod, None)
        clean = True
        if self._mapped.pop(record.pod, None) is not None:
            try:
                await self._shared.ports_changed()
                await self._forget_flows(record)
            except OSError as error:
                clean = False  # the old rules may lead there: nobody may have the address
                self._log.warning("ports of a pod are still mapped", pod=record.pod, error=str(error))
        if record.mode is NetworkMode.BRIDGE:
            self._reservations.give_back(record.ports)
        with _as_engine_error(f"removing the network of pod {record.pod}"):
            await self._in_room(lambda: self._remove_parts(record))
        if clean and record.serial >= 0:
            self._departures.watch(record.serial)

    def _remove_parts(self, record: Record) -> None:
        if record.serial >= 0:
            bridge.stop_link(addresses.link_name(self._instance, record.serial))
        namespaces.remove(self._records.namespace(record.pod))
        self._records.drop(record.pod)

    async def _remove_strays(self) -> None:
        """Remove what has no record and is not being made: this instance's, from a control plane that was killed."""
        for link, serial in (await asyncio.to_thread(bridge.links, self._instance)).items():
            if self._addresses.hold(serial):  # nobody takes it meanwhile
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(bridge.remove_link, link)
                self._addresses.give_back(serial)
        for pod in await asyncio.to_thread(self._records.namespaces):
            async with self._alone(pod):
                if pod not in self._known:
                    with contextlib.suppress(OSError):
                        await asyncio.to_thread(namespaces.remove, self._records.namespace(pod))

    async def _share(self) -> None:
        try:
            await self._shared.ready()
        except OSError as error:
            self._log.warning("pods have no network", error=str(error))

    async def _forsake_other_subnets(self, before: int) -> None:
        """Remove pods whose subnet is gone: the bridge was lost, and somebody else has its addresses now."""
        if self._shared.bridge is not None and self._shared.bridge.subnet != before:
            for record in [record for record in self._known.values() if record.serial >= 0]:
                await self._remove(record)

    async def _is_whole(self, record: Record) -> bool:
        if record.mode is NetworkMode.HOST:
            return True
        if not namespaces.is_there(self._records.namespace(record.pod)):
            return False
        if record.serial < 0:
            return True
        with _as_engine_error(f"the network of pod {record.pod}"):
            await self._shared.ready()
        return bridge.is_there(addresses.link_name(self._instance, record.serial))

    def _connection(self, record: Record) -> Connection:
        namespace = None if record.mode is NetworkMode.HOST else self._records.namespace(record.pod)
        if record.serial < 0 or self._shared.bridge is None:
            return Connection(namespace=namespace, ports=record.ports)
        subnet = self._shared.bridge.subnet
        return Connection(
            namespace=namespace,
            address=addresses.pod_address(subnet, record.serial),
            gateway=rules.gateway(subnet),
            ports=record.ports,
            dns=(rules.gateway(subnet),),
        )

    def _name(self, record: Record) -> None:
        if record.serial >= 0 and self._shared.bridge is not None:
            address = addresses.pod_address(self._shared.bridge.subnet, record.serial)
            self._names.put(record.pod, record.names, address)

    def _mapped_at(self, subnet: int) -> Mapping[str, tuple[Port, ...]]:
        return {addresses.pod_address(subnet, serial): ports for serial, ports in list(self._mapped.values())}

    @contextlib.asynccontextmanager
    async def _alone(self, pod: str) -> AsyncIterator[None]:
        """One at a time for each pod."""
        lock, waiting = self._locks.get(pod, (asyncio.Lock(), 0))
        self._locks[pod] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._locks.pop(pod)
            if waiting > 1:
                self._locks[pod] = (lock, waiting - 1)

    async def _finished(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Let it come to an end even when nobody waits any more: half of it would be of no use to anybody."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to ask
        return await asyncio.shield(task)


@contextlib.contextmanager
def _as_engine_error(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError(f"{what}: {error}") from error
