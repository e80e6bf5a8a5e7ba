"""The instances of compute environments that EC2 has now, or that it was asked for: in memory, EC2 keeps them.

launched ──(its agent joins the cluster)──▶ joined ──▶ ending ──▶ gone
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

SERVICE_TAG: Final = ("AWSBatchServiceTag", "batch")
UUID_TAG: Final = "cumulo:batch:environment"
GENERATION_TAG: Final = "cumulo:batch:generation"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """An instance of a compute environment.

    generation  of the environment, when it was launched
    instance    ARN of its container instance; empty: it has not joined
    since       when it was launched, or found (monotonic seconds)
    ending      it was told to end, or has to be
    """

    id: str
    account: str
    region: str
    environment: str  # ARN
    kind: str
    generation: int
    vcpus: int
    since: float
    instance: str = ""
    ending: bool = False


class Machines:
    """All of them, by their ids at EC2."""

    def __init__(self) -> None:
        self._all: dict[str, Machine] = {}
        self._of: dict[str, dict[str, None]] = {}
        self._by_instance: dict[str, str] = {}

    def get(self, id_: str) -> Machine | None:
        """One of them."""
        return self._all.get(id_)

    def at(self, instance: str) -> Machine | None:
        """The one with this container instance (ARN)."""
        return self._all.get(self._by_instance.get(instance, ""))

    def put(self, machine: Machine) -> Machine:
        """It is there, as it is now; the same."""
        before = self._all.get(machine.id)
        if before is not None:
            self._by_instance.pop(before.instance, None)
        self._all[machine.id] = machine
        self._of.setdefault(machine.environment, {})[machine.id] = None
        if machine.instance:
            self._by_instance[machine.instance] = machine.id
        return machine

    def end(self, machine: Machine) -> Machine:
        """It is to end."""
        return self.put(replace(machine, ending=True))

    def forget(self, machine: Machine) -> None:
        """It is gone."""
        self._all.pop(machine.id, None)
        self._by_instance.pop(machine.instance, None)
        own = self._of.get(machine.environment, {})
        own.pop(machine.id, None)
        if not own:
            self._of.pop(machine.environment, None)

    def of(self, environment: str) -> list[Machine]:
        """Those of an environment, the oldest first."""
        return [self._all[id_] for id_ in self._of.get(environment, ())]

    def outdated(self, environment: str, generation: int) -> list[Machine]:
        """Those that an earlier generation of the environment has left."""
        return [one for one in self.of(environment) if one.generation < generation]

    def vcpus(self, environment: str, generation: int) -> int:
        """The vCPUs of those that stay."""
        own = self.of(environment)
        return sum(one.vcpus for one in own if one.generation == generation and not one.ending)

    def joining(self) -> list[Machine]:
        """Those that have not joined yet."""
        return [one for one in self._all.values() if not one.instance and not one.ending]

    def ending(self) -> list[Machine]:
        """Those that have to end, and may not have been told so."""
        return [one for one in self._all.values() if one.ending]

    def clear(self) -> None:
        """Forget all."""
        self._all.clear()
        self._of.clear()
        self._by_instance.clear()


def mark_of(tags: Mapping[str, str]) -> tuple[str, int] | None:
    """The uuid and the generation of the environment that an instance was launched for; None for others."""
    generation = tags.get(GENERATION_TAG, "")
    if UUID_TAG not in tags or not generation.isdigit():
        return None
    return tags[UUID_TAG], int(generation)
