"""Where registries' settings are kept, and what several operations ask of them."""

from cumulo.base.caller import Caller
from cumulo.services.ecr.rules.model import Registry
from cumulo.state.store import Store, join_key


class Registries:
    """The registries of all accounts and regions; one that was never touched has AWS's defaults."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table = store.table("ecr_registries", Registry)

    def of(self, account: str, region: str) -> Registry:
        """What is set for a registry."""
        return self._table.get(join_key(account, region)) or Registry()

    async def put(self, caller: Caller, registry: Registry) -> None:
        """Set it, durably."""
        self._table.put(join_key(caller.account, caller.region), registry)
        await self._store.commit()

    def clear(self) -> None:
        """Forget all."""
        self._table.clear()
