"""How long a decision about a service takes: 5,000 instances with 50,000 tasks, against 50 with 500.

Run it with `python -m benchmarks.ecs_services`.  Gathering the facts and deciding, on real shelves; no containers.
A decision is about one service, so what the others have must not matter; and a service of 5,000 tasks may cost no more
for each of them than one of 50.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from cumulo.base.ids import Ids
from cumulo.base.ports.targets import Target, TargetGroup
from cumulo.services.ecs.model import ContainerInstance, Service, Task, TaskDefinition, TaskStatus
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.scheduling import rollout
from cumulo.services.ecs.scheduling.facts import Gatherer, Pace, active_instances
from cumulo.services.ecs.scheduling.plan import plan
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.state.store import Store

CLUSTER = "arn:aws:ecs:eu-west-1:1:cluster/main"
NOW = 1_000_000.0
DOCUMENT = {
    "deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 200},
    "availabilityZoneRebalancing": "ENABLED",
}


class NoTargets:
    """No load balancers."""

    def group(self, _arn: str) -> TargetGroup | None:
        return None

    async def register(self, _arn: str, _targets: object) -> None:
        pass

    async def deregister(self, _arn: str, _targets: object) -> None:
        pass

    def health(self, _arn: str) -> Mapping[Target, str]:
        return {}


class Region:
    """A cluster; services with equally many tasks, spread over its instances."""

    def __init__(self, folder: Path, instances: int, services: int, tasks_each: int) -> None:
        self.store = Store(folder / "store.db", synchronous="OFF")
        self.records = Records(self.store)
        self.book = Book(self.store, Ids(random.Random(1)))
        self.gatherer = Gatherer(
            self.records, self.book, NoTargets(), active_instances(self.records), Pace(settle_seconds=0)
        )
        self.definition = TaskDefinition(
            account="1", region="eu-west-1", family="f", revision=1, arn="d/f:1",
            document={"containerDefinitions": [{"name": "app"}]},
        )  # fmt: skip
        self.records.definitions.put(self.definition)
        self.instances = [self._instance(number) for number in range(instances)]
        self.services = [self._service(number, tasks_each) for number in range(services)]

    def _instance(self, number: int) -> ContainerInstance:
        return self.records.instances.put(
            ContainerInstance(
                account="1",
                region="eu-west-1",
                id=str(number),
                arn=f"i/{number}",
                cluster_arn=CLUSTER,
                availability_zone="abcd"[number % 4],
            )
        )

    def _service(self, number: int, tasks: int) -> Service:
        service = self.records.services.put(
            Service(
                account="1",
                region="eu-west-1",
                name=f"s{number}",
                arn=f"service/{number}",
                cluster_arn=CLUSTER,
                definition_arn=self.definition.arn,
                desired_count=tasks,
                launch_type="EC2",
                document=DOCUMENT,
            )
        )
        deployment = rollout.begin(service, 1, f"{number:019d}", f"h/{number}", f"r/{number}", now=NOW)
        self.book.add(rollout.complete(deployment, NOW))
        for at in range(tasks):
            self.put_task(service, deployment.id, number * tasks + at, NOW + at)
        return service

    def put_task(self, service: Service, deployment: str, number: int, at: float) -> None:
        """A task that runs."""
        instance = self.instances[number % len(self.instances)]
        task = Task(
            account="1",
            region="eu-west-1",
            id=str(number),
            arn=f"t/{number}",
            cluster_arn=CLUSTER,
            definition_arn=self.definition.arn,
            service=service.name,
            deployment=deployment,
            launch_type="EC2",
            instance_arn=instance.arn,
            availability_zone=instance.availability_zone,
            last_status=TaskStatus.RUNNING,
            created_at=at,
            started_at=at,
        )
        self.records.tasks.put(task)

    def seconds(self, wanted: int, rounds: int) -> float:
        """The median decision when a service wants so many tasks (more, fewer, or just as many)."""
        times = []
        for service in self.services[:rounds]:  # every service has been looked at before
            self.gatherer.gather(service, NOW + 10_000)
        for number in range(rounds):
            service = self.services[number % len(self.services)]
            changed = self.records.services.put(_with_count(service, wanted))
            began = time.process_time()
            facts = self.gatherer.gather(changed, NOW + 10_000)
            decided = plan(facts, NOW + 10_000)
            times.append(time.process_time() - began)
            missing = wanted - len(facts.pieces)
            assert bool(decided.starts) == (missing > 0), decided
            assert bool(decided.stops) == (missing < 0), decided
        return statistics.median(times)


def _with_count(service: Service, count: int) -> Service:
    return replace(service, desired_count=count)


def measured(instances: int, services: int, tasks_each: int, rounds: int) -> dict[str, float]:
    """Seconds per decision: nothing to do, scale out, scale in."""
    with tempfile.TemporaryDirectory() as folder:
        region = Region(Path(folder), instances, services, tasks_each)
        return {
            "nothing to do": region.seconds(tasks_each, rounds),
            "scale out by 10": region.seconds(tasks_each + 10, rounds),
            "scale in by 10": region.seconds(tasks_each - 10, rounds),
        }


def rolled(tasks: int) -> tuple[int, float]:
    """A rolling update of a service whose new tasks are well at once: decisions, and seconds for all of them."""
    with tempfile.TemporaryDirectory() as folder:
        region = Region(Path(folder), tasks // 25, 1, tasks)  # equally many tasks in each of the zones
        (service,) = region.services
        old = region.book.primary(service.arn)
        assert old is not None
        region.book.deployments.put(rollout.supersede(old, NOW))
        now, decisions, seconds, number = NOW + 10_000, 0, 0.0, tasks
        new = rollout.begin(service, 2, "2" * 19, "h/new", "r/new", now=now)
        region.book.add(new)
        while region.book.live(service.arn) != [region.book.primary(service.arn)] or not decisions:
            now += 1
            began = time.process_time()
            decided = plan(region.gatherer.gather(service, now), now)
            seconds += time.process_time() - began
            decisions += 1
            for record in decided.records:
                region.book.deployments.put(record)
            for stop in decided.stops:
                task = region.records.tasks.get(stop.piece.arn)
                assert task is not None
                region.records.tasks.put(
                    replace(task, last_status=TaskStatus.STOPPED, desired_status="STOPPED")
                )
            for start in decided.starts:
                for _ in range(start.count):
                    number += 1
                    region.put_task(service, new.id, number, now)
        live = region.records.tasks.by("live", "yes")
        assert len(live) == tasks
        assert {one.deployment for one in live} == {new.id}
        return decisions, seconds


def rows() -> Iterator[tuple[str, str, str, float, float]]:
    """What `Table.row` takes: what, ours, theirs, ratio, budget."""
    small, large = measured(50, 10, 50, 200), measured(5000, 1000, 50, 200)
    for what, seconds in small.items():
        much = large[what]
        name = f"ECS services, 50,000 tasks, {what}"
        yield name, f"{much * 1e6:.0f} us", f"500 tasks {seconds * 1e6:.0f} us", much / seconds, 5
    few, many = (seconds / turns / tasks for tasks in (100, 500) for turns, seconds in (rolled(tasks),))
    yield "  a decision of a roll-out, each of 500 tasks", f"{many * 1e6:.1f} us", f"100 tasks {few * 1e6:.1f} us", many / few, 3  # fmt: skip


def main() -> None:
    small = measured(50, 10, 50, 200)
    large = measured(5000, 1000, 50, 200)
    single = measured(5000, 10, 5000, 30)
    print(f"{'a service of 50 tasks':<24}{'500 tasks':>14}{'50,000 tasks':>16}{'ratio':>8}")
    for what, seconds in small.items():
        print(
            f"{what:<24}{seconds * 1e6:>11.0f} us{large[what] * 1e6:>13.0f} us{large[what] / seconds:>8.2f}"
        )
    print()
    few_turns, few_seconds = rolled(500)
    many_turns, many_seconds = rolled(5000)
    print(f"a rolling update of   500 tasks: {few_turns:>5} decisions, {few_seconds:6.2f} s")
    print(f"a rolling update of 5,000 tasks: {many_turns:>5} decisions, {many_seconds:6.2f} s")
    print()
    print(f"{'per task of the service':<24}{'50 tasks':>14}{'5,000 tasks':>16}{'ratio':>8}")
    for what, seconds in small.items():
        few, many = seconds / 50, single[what] / 5000
        print(f"{what:<24}{few * 1e6:>11.2f} us{many * 1e6:>13.2f} us{many / few:>8.2f}")


if __name__ == "__main__":
    main()
