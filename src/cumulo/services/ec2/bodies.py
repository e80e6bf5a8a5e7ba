"""Gives instances their part of this machine: a slice of the engine with the type's limits, and an address."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from msgspec.structs import replace

from cumulo.base.instances import Host
from cumulo.base.log import Log
from cumulo.engines.engine import Busy, Capability, EngineError, Limits

PREFIX: Final = "i-"  # of slices that are instances

_log = Log("ec2")


class Slicing(Protocol):
    """What of an engine is needed here."""

    @property
    def capabilities(self) -> AbstractSet[Capability]:
        """What it can do."""
        ...

    async def make_slice(self, name: str, limits: Limits) -> None:
        """Make a slice, or give one other limits."""
        ...

    async def remove_slice(self, name: str) -> None:
        """Give it back; Busy while pods live in it."""
        ...

    async def slices(self) -> list[str]:
        """The names of all."""
        ...

    async def host_address(self, name: str) -> str:
        """An address of the machine's own for a name."""
        ...

    async def free_host_address(self, name: str) -> None:
        """Give it back."""
        ...

    async def host_addresses(self) -> Collection[str]:
        """The names that have one."""
        ...


class Bodies:
    """Makes and removes them.  `engine` opens late; `note` is told once what is not enforced."""

    def __init__(self, engine: Callable[[], Awaitable[Slicing]], note: Callable[[str], None]) -> None:
        self._engine = engine
        self._note = note
        self._noted = False

    async def make(self, host: Host) -> Host:
        """The host with its slice and address, as far as the engine has such.  EngineError."""
        engine = await self._engine()
        slice_, address = "", ""
        if Capability.SLICES in engine.capabilities:
            limits = Limits(vcpus=float(host.vcpus), memory_mib=host.memory_mib)
            await engine.make_slice(host.id, limits)
            slice_ = host.id
        elif not self._noted:
            self._noted = True
            self._note("the engine has no slices: the sum of an EC2 instance's tasks is not limited")
        if Capability.HOST_ADDRESSES in engine.capabilities:
            address = await engine.host_address(host.id)
        return replace(host, slice=slice_, address=address)

    async def rest(self, host: Host) -> bool:
        """Take the slice of a stopped instance, which keeps its address; False while tasks still end in it."""
        if not host.slice:
            return True
        engine = await self._engine()
        try:
            await engine.remove_slice(host.slice)
        except Busy:
            return False
        return True

    async def drop(self, host: Host) -> bool:
        """Take everything of a terminated instance; False while tasks still end in it.  EngineError."""
        if not await self.rest(host):
            return False
        if host.address:
            engine = await self._engine()
            await engine.free_host_address(host.id)
        return True

    async def reap(self, living: Callable[[], Collection[str]]) -> None:
        """Remove slices and addresses of instances that are not `living`.  EngineError."""
        engine = await self._engine()
        if Capability.SLICES in engine.capabilities:
            for name in _strays(await engine.slices(), living()):
                await self._try(engine.remove_slice(name), name)
        if Capability.HOST_ADDRESSES in engine.capabilities:
            for name in _strays(await engine.host_addresses(), living()):
                await self._try(engine.free_host_address(name), name)

    async def _try(self, work: Awaitable[None], name: str) -> None:
        try:
            await work
        except EngineError as error:
            _log.warning("what an instance had stays, though it is gone", instance=name, error=str(error))


def _strays(names: Iterable[str], living: Collection[str]) -> list[str]:
    return [name for name in names if name.startswith(PREFIX) and name not in living]
