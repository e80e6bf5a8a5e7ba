"""How long ECS takes to decide where a task goes: 5,000 instances with 50,000 tasks, against 50 with 500.

Run it with `python -m benchmarks.ecs_placement`.  The decision alone: no disk, no containers.
"""

import gc
import random
import time
from collections.abc import Iterator

from cumulo.services.ecs.model import ContainerInstance, Task, TaskStatus
from cumulo.services.ecs.placement.choosing import SPREAD_ZONES_THEN_INSTANCES, Choice, strategies_of
from cumulo.services.ecs.placement.constraints import constraints_of
from cumulo.services.ecs.placement.demand import Demand
from cumulo.services.ecs.placement.ledger import Ledger

CLUSTER = "arn:aws:ecs:eu-west-1:1:cluster/main"
SMALL, LARGE = 50, 5000
TASKS_EACH = 10
DECISIONS = 3000

RULES = {
    "spread over zones, then instances": (SPREAD_ZONES_THEN_INSTANCES, ()),
    "binpack by memory": (({"type": "binpack", "field": "memory"},), ()),
    "random, on members of an expression": (
        (),
        ({"type": "memberOf", "expression": "attribute:stack == prod and runningTasksCount < 100"},),
    ),
}


def an_instance(number: int) -> ContainerInstance:
    """One in one of four zones, with room for a hundred tasks."""
    return ContainerInstance(
        account="1",
        region="eu-west-1",
        id=f"{number:032x}",
        arn=f"{CLUSTER}/{number}",
        cluster_arn=CLUSTER,
        cpu_units=10_000,
        memory_mib=40_000,
        availability_zone="abcd"[number % 4],
        attributes=({"name": "stack", "value": "prod" if number % 2 else "test"},),
    )


def a_task(number: int, demand: Demand, instance_arn: str) -> Task:
    """A running task on an instance."""
    return Task(
        account="1",
        region="eu-west-1",
        id=str(number),
        arn=f"task/{number}",
        cluster_arn=CLUSTER,
        definition_arn="d",
        group=demand.group,
        instance_arn=instance_arn,
        cpu_units=demand.cpu,
        memory_mib=demand.memory,
        last_status=TaskStatus.RUNNING,
    )


def a_ledger(instances: int) -> Ledger:
    """A cluster with ten tasks on every instance."""
    ledger = Ledger()
    other = Demand(group="service:other", cpu=100, memory=400)
    for number in range(instances):
        one = an_instance(number)
        ledger.heard_instance(None, one)
        for at in range(TASKS_EACH):
            ledger.heard_task(None, a_task(number * TASKS_EACH + at, other, one.arn))
    return ledger


def seconds_per_decision(instances: int, rule: str) -> tuple[float, float]:
    """Of the first task of a kind, for which every instance is looked at, and of each one after it."""
    strategies, constraints = RULES[rule]
    ledger, chance = a_ledger(instances), random.Random(1)
    demand = Demand(group="service:new", cpu=100, memory=400, constraints=constraints_of(constraints))
    spent = []
    began = time.process_time()
    choice = Choice(ledger.fleet(CLUSTER), demand, strategies_of(strategies), chance)
    for number in range(DECISIONS):
        host = choice.take()
        spent.append(time.process_time() - began)
        assert host is not None
        task = a_task(-number - 1, demand, host.arn)
        ledger.heard_task(None, task)  # as it is without a decision: the shelf tells the ledger
        if number % 2:
            ledger.heard_task(task, None)
        began = time.process_time()
    return spent[0], sum(spent[1:]) / (len(spent) - 1)


def rows() -> Iterator[tuple[str, str, str, float, float]]:
    """What `Table.row` takes: what, ours, theirs, ratio, budget."""
    for rule in RULES:
        _, small = seconds_per_decision(SMALL, rule)
        _, large = seconds_per_decision(LARGE, rule)
        name = f"ECS placement, {LARGE} instances, {rule.partition(',')[0]}"
        yield name, f"{large * 1e6:.0f} us", f"{SMALL} instances {small * 1e6:.0f} us", large / small, 5


def main() -> None:
    """Print microseconds per decision, and the ratio."""
    gc.disable()
    print(f"{'microseconds per decision':52} {SMALL:>8} {LARGE:>8}   ratio")
    for rule in RULES:
        small, large = seconds_per_decision(SMALL, rule), seconds_per_decision(LARGE, rule)
        for name, few, many in zip(("the first of its kind", "each after it"), small, large, strict=True):
            print(f"{rule + ', ' + name:60} {few * 1e6:8.1f} {many * 1e6:8.1f} {many / few:7.1f}")


if __name__ == "__main__":
    main()
