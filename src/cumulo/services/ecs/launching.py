"""Brings tasks into being: a place is found for each, they are written in one transaction, the Runner takes them up.

From the look at the ledger to the last write nothing is awaited, so two launches never see the same room.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from cumulo.base.carriage import Load
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.ecs.model import CPU_UNITS, Task
from cumulo.services.ecs.placement.choosing import Choice
from cumulo.services.ecs.placement.demand import demand_of, obstacle, said
from cumulo.services.ecs.placement.ledger import Host, Ledger
from cumulo.services.ecs.placement.split import split_by_chance, split_onto
from cumulo.services.ecs.places import Places, manages_itself
from cumulo.services.ecs.records import Records, service_key, token_key
from cumulo.services.ecs.refusals import client, invalid, no_cluster
from cumulo.services.ecs.seams import Carriage, Failure, Launched, LaunchRequest, Runner
from cumulo.services.ecs.sizes import check_overrides
from cumulo.services.ecs.subnets import SubnetZones
from cumulo.services.ecs.task_making import born, fingerprint, placed, template_of, waiting
from cumulo.services.ecs.terms import Route, check_compatible, network_of, platform_of, route_of
from cumulo.services.ecs.waiting_tasks import WaitingTasks
from cumulo.state.store import StoreError

WAITING_MAX: Final = 500  # tasks in PROVISIONING for capacity, of one cluster
NO_CAPACITY: Final = (
    "Capacity is unavailable at this time. Please try again later or in a different availability zone"
)
NO_INSTANCES: Final = "No Container Instances were found in your cluster."
EMPTY_PROVIDER: Final = "No Container Instances were found in your capacity provider."
TOO_MANY_WAIT: Final = "The cluster's provisioning capacity limit exceeded."


class _Plan(msgspec.Struct, frozen=True):
    """A launch, checked: what its tasks have in common, and where they may go."""

    request: LaunchRequest
    route: Route
    template: Task
    zones: Mapping[str, str]  # by subnet


class Launching:
    """The Launches of the house.

    chance         decides between places that are equally good
    no_size        AWS's sentence when Fargate has no such size (CPU units, MiB); empty when it has
    architecture   this machine's: X86_64 or ARM64
    """

    def __init__(
        self,
        records: Records,
        ledger: Ledger,
        *,
        runner: Runner,
        carriage: Carriage,
        zones: SubnetZones,
        clock: Clock,
        ids: Ids,
        chance: random.Random,
        no_size: Callable[[int, int], str],
        architecture: str = "X86_64",
    ) -> None:
        self._records = records
        self._ledger = ledger
        self._runner = runner
        self._zones = zones
        self._clock = clock
        self._ids = ids
        self._chance = chance
        self._no_size = no_size
        self._architecture = architecture
        self._places = Places(ledger, carriage, chance)
        self._waiting = WaitingTasks(records, ledger, self._places, runner=runner, zones=zones, clock=clock)

    def promised(self) -> Load:
        """What live Fargate tasks are promised of the machine: for its Carriage."""
        return Load(self._ledger.fargate_cpu / CPU_UNITS, self._ledger.fargate_memory)

    async def launch(self, request: LaunchRequest) -> Launched:
        """Place, write, commit, hand to the Runner.  AwsError for what no placement could mend."""
        plan = await self._plan(request)
        await self._records.store.ready()
        if self._records.clusters.get(request.cluster_arn) is None:
            raise no_cluster()  # it went while subnets were looked up
        repeated = self._repeated(request)
        if repeated:
            await self._records.store.commit()
            return Launched(repeated)
        tasks, failures = self._place(plan)
        try:
            await self._records.store.commit()
        except StoreError:
            for task in tasks:  # nobody was told of them, so they must not hold a place
                self._records.tasks.delete(task)
            raise
        for task in tasks:
            if not task.waits:
                self._runner.take_up(task)
        return Launched(tasks, failures)

    async def place_waiting(self) -> None:
        """Try again the tasks that wait for capacity; called when there may be more of it."""
        await self._waiting.place()

    async def give_up_waiting(self) -> None:
        """Stop those that have waited too long."""
        await self._waiting.give_up()

    async def run(self) -> None:
        """Place tasks that wait as soon as there is room, and give up those that have waited too long, for ever."""
        await self._waiting.run()

    async def _plan(self, request: LaunchRequest) -> _Plan:
        cluster = self._records.clusters.get(request.cluster_arn)
        if cluster is None or cluster.status != "ACTIVE":
            raise no_cluster()
        route = route_of(request, cluster)
        check_compatible(request.definition, route.launch_type)
        check_overrides(request.definition, request.overrides)
        network = network_of(request.definition, request.network, route.launch_type)
        template = template_of(
            request,
            launch_type=route.launch_type,
            platform=platform_of(request.platform_version, route.launch_type),
            architecture=self._architecture,
            now=self._clock.now(),
        )
        if route.launch_type == "FARGATE":
            self._check_size(template)
        Places.rules(
            request, route.launch_type
        )  # an error in them is the request's, whatever there is room for
        zones: Mapping[str, str] = {}
        if network.subnets:
            zones = await self._zones.zones(request.account, request.region, network.subnets)
            await self._zones.check_groups(request.account, request.region, network.groups)
        return _Plan(request, route, template, zones)

    def _check_size(self, task: Task) -> None:
        """AwsError for a size that Fargate does not have: overrides may have made one."""
        sentence = self._no_size(task.cpu_units, task.memory_mib)
        if sentence:
            raise client(sentence)

    def _repeated(self, request: LaunchRequest) -> list[Task]:
        """The tasks that a client token has started before.  AwsError ConflictException for another request's."""
        if not request.client_token:
            return []
        found = self._records.tasks.by("token", token_key(request.cluster_arn, request.client_token))
        if found and found[0].request != fingerprint(request):
            raise AwsError(
                "ConflictException",
                "The RunTask request could not be processed due to conflicts. The provided clientToken is already"
                " in use with a different RunTask request.",
                fields={"resourceIds": [task.arn for task in found]},
            )
        return found

    def _place(self, plan: _Plan) -> tuple[list[Task], list[Failure]]:
        if plan.request.instances:
            outcomes = self._onto_given(plan)
        elif plan.route.launch_type == "FARGATE":
            outcomes = [self._onto_fargate(plan, provider) for provider in self._providers(plan)]
        else:
            outcomes = self._onto_chosen(plan)
        tasks = [one for one in outcomes if isinstance(one, Task)]
        return tasks, [one for one in outcomes if isinstance(one, Failure)]

    def _providers(self, plan: _Plan) -> list[str]:
        """A provider for every task; empty names when the launch type alone decides."""
        request, shares = plan.request, plan.route.shares
        if not shares:
            return [""] * request.count
        if len(shares) == 1:
            return [shares[0].provider] * request.count
        if not request.service:
            return split_by_chance(shares, request.count, self._chance)
        live = self._records.tasks.by("live_service", service_key(request.cluster_arn, request.service))
        held = Counter(
            one.capacity_provider
            for one in live
            if one.deployment == request.deployment and one.desired_status == "RUNNING"
        )
        return split_onto(shares, request.count, held, self._chance)

    def _born(self, plan: _Plan, provider: str = "") -> Task:
        return born(plan.template, plan.request.definition, self._ids, provider)

    def _keep(self, task: Task) -> Task:
        return self._records.tasks.put(task)

    def _onto_fargate(self, plan: _Plan, provider: str) -> Task | Failure:
        task = self._born(plan, provider)
        place = self._places.on_fargate(task, plan.zones)
        if place is None:
            return Failure(NO_CAPACITY)
        return self._keep(placed(task, instance_arn="", zone=place[1], subnet=place[0]))

    def _onto_given(self, plan: _Plan) -> list[Task | Failure]:
        """StartTask: one task on each of these instances, or the reason why not."""
        outcomes: list[Task | Failure] = []
        for arn in plan.request.instances:
            host = self._ledger.host(arn)
            if host is None or host.instance is None or host.instance.cluster_arn != plan.request.cluster_arn:
                outcomes.append(Failure("MISSING", arn))
                continue
            task = self._born(plan, host.instance.capacity_provider if plan.route.shares else "")
            demand = demand_of(
                plan.request.definition,
                task,
                constraints=Places.rules(plan.request, "EC2")[0],
                zones=frozenset(plan.zones.values()),
            )
            reason = obstacle(host, demand)
            outcomes.append(
                Failure(reason, arn, said(reason)) if reason else self._keep(self._seated(plan, task, host))
            )
        return outcomes

    def _onto_chosen(self, plan: _Plan) -> list[Task | Failure]:
        providers = self._providers(plan)
        managed = {
            name: bool(name) and plan.request.wait and manages_itself(self._records, plan.request, name)
            for name in providers
        }
        for name, itself in managed.items():
            if not itself and not self._places.has_instances(plan.request.cluster_arn, name):
                raise invalid(EMPTY_PROVIDER if name else NO_INSTANCES)
        choices: dict[str, Choice] = {}
        unplaced: dict[str, Failure] = {}  # to find the closest, every instance is looked at: once a launch
        outcomes: list[Task | Failure] = []
        for name in providers:
            task = self._born(plan, name)
            if name not in choices:
                choices[name] = self._places.choice(plan.request, task, plan.zones)
            host = choices[name].take()
            if host is not None:
                outcomes.append(self._keep(self._seated(plan, task, host)))
            elif managed[name] and self._ledger.waiting(task.cluster_arn) < WAITING_MAX:
                outcomes.append(self._keep(waiting(task, plan.request)))
            elif managed[name]:
                if not outcomes:  # AWS answers with an error; but what has found its place is told of
                    raise client(TOO_MANY_WAIT)
                outcomes.append(Failure(TOO_MANY_WAIT))
            else:
                if name not in unplaced:
                    unplaced[name] = _unplaced(choices[name])
                outcomes.append(unplaced[name])
        return outcomes

    def _seated(self, plan: _Plan, task: Task, host: Host) -> Task:
        zone = host.instance.availability_zone if host.instance else ""
        subnet = self._places.subnet_in(zone, plan.zones)
        return placed(task, instance_arn=host.arn, zone=zone, subnet=subnet)


def _unplaced(choice: Choice) -> Failure:
    nearest = choice.nearest()
    if nearest is None:
        return Failure("RESOURCE:CPU")
    host, reason = nearest
    return Failure(reason, host.arn, said(reason))
