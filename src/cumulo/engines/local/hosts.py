"""Addresses of the machine's own, beside the gateway's: each has a name, and lies on the bridge of the pods.

What listens at one is reached by the machine and by all pods, and ports of pods can be mapped to one.  Which name has
which is written down before the address is there, and forgotten after it is gone.
"""

import asyncio
import re
from collections.abc import Mapping

from cumulo.engines.engine import NAME_PATTERN, EngineError
from cumulo.engines.local import addresses, bridge
from cumulo.engines.local.addresses import Addresses
from cumulo.engines.local.network_records import Records
from cumulo.engines.local.shared import Shared


class Hosts:
    """The further addresses of an instance's bridge.  Errors are OSError."""

    def __init__(self, records: Records, used: Addresses) -> None:
        self._records = records
        self._used = used
        self._serials: dict[str, int] = {}
        self._lock = asyncio.Lock()

    def load(self) -> None:
        """Take over those of an earlier control plane, before any pod."""
        for name, serial in self._records.hosts().items():
            if self._used.hold(serial):
                self._serials[name] = serial

    def any(self) -> bool:
        """Whether there is one, or will be soon."""
        return bool(self._serials) or self._lock.locked()

    def at(self, subnet: int) -> dict[str, str]:
        """All of them by name, as they are in a subnet."""
        serials = list(self._serials.items())
        return {name: addresses.pod_address(subnet, serial) for name, serial in serials}

    async def take(self, name: str, shared: Shared) -> str:
        """The address of a name, made when there is none.  OSError; then there is none."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise EngineError(f"{name!r} is no name: {NAME_PATTERN}")
        async with self._lock:
            made = await shared.ready()
            if name not in self._serials:
                self._serials[name] = self._used.take()
                try:
                    await self._save(self._serials)
                    await asyncio.to_thread(bridge.hold, made, self.at(made.subnet).values())
                    await shared.write_all()
                except BaseException:
                    await self._free(name, shared)
                    raise
            return addresses.pod_address(made.subnet, self._serials[name])

    async def free(self, name: str, shared: Shared) -> None:
        """Give the address of a name back; harmless when it has none."""
        async with self._lock:
            if name in self._serials:
                await self._free(name, shared)

    async def _free(self, name: str, shared: Shared) -> None:
        serial = self._serials[name]
        if shared.bridge is not None:
            address = addresses.pod_address(shared.bridge.subnet, serial)
            await asyncio.to_thread(bridge.let_go, shared.bridge, address)
        await self._save({one: number for one, number in self._serials.items() if one != name})
        del self._serials[name]
        self._used.give_back(serial)
        await shared.write_all()

    async def _save(self, serials: Mapping[str, int]) -> None:
        await asyncio.to_thread(self._records.save_hosts, dict(serials))
