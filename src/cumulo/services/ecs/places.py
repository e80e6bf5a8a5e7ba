"""Finds places for tasks, as the ledger and the machine stand now; writes nothing."""

import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from cumulo.services.ecs.model import CPU_UNITS, Document, Task, TaskDefinition
from cumulo.services.ecs.placement.choosing import (
    SPREAD_ZONES_THEN_INSTANCES,
    Choice,
    Strategy,
    strategies_of,
)
from cumulo.services.ecs.placement.constraints import Constraints, constraints_of
from cumulo.services.ecs.placement.demand import Demand, demand_of
from cumulo.services.ecs.placement.ledger import Ledger
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.seams import Carriage, LaunchRequest
from cumulo.state.store import join_key

CHOICES_MAX: Final = 32  # that are kept: a service's next task is like its last
_Kind = tuple[str, Demand, tuple[Strategy, ...]]


class Places:
    """Places on Fargate and on container instances."""

    def __init__(self, ledger: Ledger, carriage: Carriage, chance: random.Random) -> None:
        self._ledger = ledger
        self._carriage = carriage
        self._chance = chance
        self._choices: OrderedDict[_Kind, Choice] = OrderedDict()

    @staticmethod
    def rules(request: LaunchRequest, launch_type: str = "EC2") -> tuple[Constraints, tuple[Strategy, ...]]:
        """The constraints and strategies of a launch.  AwsError for what is none, or not for Fargate."""
        if launch_type == "FARGATE":
            if request.constraints:
                raise invalid("Placement constraints are not supported with FARGATE launch type.")
            if request.strategies:
                raise invalid("Placement strategies are not supported with FARGATE launch type.")
        return rules_of(
            request.definition, request.constraints, request.strategies, service=bool(request.service)
        )

    def on_fargate(self, task: Task, zones: Mapping[str, str]) -> tuple[str, str] | None:
        """A subnet and its zone, where the group has the fewest tasks; None when the machine has no room."""
        vcpus, memory = self._carriage.room()
        if task.cpu_units > vcpus * CPU_UNITS or task.memory_mib > memory:
            return None
        held = self._ledger.zones(task.cluster_arn, task.group)
        return min(zones.items(), key=lambda pair: (held.get(pair[1], 0), self._chance.random()))

    def has_instances(self, cluster_arn: str, provider: str) -> bool:
        """Whether a cluster has an ACTIVE container instance (of a provider, when there is a name)."""
        return any(
            host.instance is not None
            and host.instance.status == "ACTIVE"
            and (not provider or host.instance.capacity_provider == provider)
            for host in self._ledger.hosts(cluster_arn)
        )

    def choice(self, request: LaunchRequest, task: Task, zones: Mapping[str, str]) -> Choice:
        """The instances for tasks like this one."""
        rules = self.rules(request)
        return self.choice_by(request.definition, task, rules, zones)

    def choice_by(
        self,
        definition: TaskDefinition,
        task: Task,
        rules: tuple[Constraints, tuple[Strategy, ...]],
        zones: Mapping[str, str],
    ) -> Choice:
        """The same, by rules that are read already."""
        constraints, strategies = rules
        demand = demand_of(definition, task, constraints=constraints, zones=frozenset(zones.values()))
        fleet = self._ledger.fleet(task.cluster_arn)
        key = (task.cluster_arn, demand, strategies)
        kept = self._choices.pop(key, None)
        if kept is None or kept.fleet is not fleet:
            kept = Choice(fleet, demand, strategies, self._chance)
        self._choices[key] = kept
        while len(self._choices) > CHOICES_MAX:
            self._choices.popitem(last=False)
        return kept

    def subnet_in(self, zone: str, zones: Mapping[str, str]) -> str:
        """One of the subnets in a zone; empty when there are none."""
        there = [subnet for subnet, its in zones.items() if its == zone]
        return self._chance.choice(there) if there else ""


def rules_of(
    definition: TaskDefinition,
    constraints: Sequence[Document],
    strategies: Sequence[Document],
    *,
    service: bool,
) -> tuple[Constraints, tuple[Strategy, ...]]:
    """Constraints of a request and of the definition together, and the strategies: services spread by themselves."""
    own = definition.document.get("placementConstraints", ())
    if service and not strategies:
        strategies = SPREAD_ZONES_THEN_INSTANCES
    return constraints_of(constraints, own), strategies_of(strategies)


def manages_itself(records: Records, request: LaunchRequest, provider: str) -> bool:
    """Whether a capacity provider adds instances when tasks wait for them."""
    found = records.providers.get(join_key(request.account, request.region, provider))
    if found is None:
        return False
    return bool((found.auto_scaling_group.get("managedScaling") or {}).get("status") == "ENABLED")


def ledger_of(records: Records) -> Ledger:
    """A ledger of everything that is kept, and from now on of every change.  Make it before other listeners."""
    ledger = Ledger()
    for instance in records.instances.all():
        ledger.heard_instance(None, instance)
    for task in records.tasks.all():
        ledger.heard_task(None, task)
    records.instances.listeners.append(ledger.heard_instance)
    records.tasks.listeners.append(ledger.heard_task)
    return ledger
