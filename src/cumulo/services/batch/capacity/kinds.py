"""Instance types for the scheduler: what tasks can have of each, and what it costs."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from cumulo.base.caller import Caller
from cumulo.base.instances import InstanceKind, usable_mib
from cumulo.services.batch.errors import unfit
from cumulo.services.batch.instance_types import is_well_formed
from cumulo.services.batch.model import ComputeEnvironment
from cumulo.services.batch.resources import Resources
from cumulo.services.batch.scheduling.facts import Kind
from cumulo.services.batch.scheduling.kinds import BUNDLES, kinds_of, unknown_types

TOLD_MAX = 2000
_SHOWN_MAX = 100

Sizes = Callable[[str, str, str], Awaitable[list[InstanceKind]]]
Price = Callable[[str, str, bool], float]


class KindBook:
    """The types that are known by heart, and those that EC2 was asked for.

    catalogue  known by heart
    sizes      EC2's answer for a type or a family (account, region, name)
    price      USD an hour of a type in a region, on demand or as a spot instance; 0: not known
    """

    def __init__(
        self,
        resources: Resources,
        catalogue: Callable[[], Iterable[InstanceKind]],
        sizes: Sizes,
        price: Price,
    ) -> None:
        self._resources = resources
        self._catalogue = catalogue
        self._sizes = sizes
        self._price = price

    async def check(self, caller: Caller, instance_types: Sequence[str]) -> None:
        """Learn of types that are not known yet.  ClientException for those that there are not."""
        for name in unknown_types(instance_types, self._all(caller.region)):
            told = await self._sizes(caller.account, caller.region, name) if is_well_formed(name) else []
            if not told:
                known = sorted({*BUNDLES, *(kind.name for kind in self._catalogue())})[:_SHOWN_MAX]
                raise unfit(f"Instance type can only be one of [{', '.join(known)}]")
            for kind in told[: max(0, TOLD_MAX - len(self._resources.kinds))]:
                self._resources.kinds.put(kind.name, kind)

    def of(self, environment: ComputeEnvironment) -> tuple[Kind, ...]:
        """The types that an environment's `instanceTypes` mean."""
        return kinds_of(environment.resources.get("instanceTypes") or [], self._all(environment.region))

    def vcpus(self, name: str) -> int:
        """Of a type; 0 for one that is not known."""
        found = next((kind for kind in self._catalogue() if kind.name == name), None)
        found = found or self._resources.kinds.get(name)
        return found.vcpus if found is not None else 0

    def price(self, region: str, name: str, *, spot: bool) -> float:
        """USD an hour; 0: not known."""
        return self._price(region, name, spot)

    def _all(self, region: str) -> list[Kind]:
        known = {kind.name: kind for kind in (*self._resources.kinds.scan(), *self._catalogue())}
        return [
            Kind(
                name=kind.name,
                vcpus=kind.vcpus * 1000,
                memory=usable_mib(kind.memory_mib),
                price=self._price(region, kind.name, False),
                spot_price=self._price(region, kind.name, True),
            )  # no instance of ours has GPUs for tasks
            for kind in known.values()
        ]
