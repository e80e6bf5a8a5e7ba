"""Tasks for other services of this cloud: `base.task_runner.TaskRunner`, on top of launches, runner and records."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.task_runner import HeardRoom, HeardTask, NotPlaced, RanContainer, RanTask, Room, TaskOrder
from cumulo.services.ecs.clusters import Clusters
from cumulo.services.ecs.definitions.finding import INACTIVE, NOT_FOUND
from cumulo.services.ecs.definitions.registry import Definitions
from cumulo.services.ecs.launching import EMPTY_PROVIDER, NO_INSTANCES
from cumulo.services.ecs.model import ContainerInstance, StopCode, Task, TaskContainer, TaskDefinition
from cumulo.services.ecs.placement.ledger import Host, Ledger
from cumulo.services.ecs.records import Records, token_key
from cumulo.services.ecs.refusals import client
from cumulo.services.ecs.running.log_options import stream_of
from cumulo.services.ecs.running.overrides import containers_of
from cumulo.services.ecs.running.refusal import CannotStart
from cumulo.services.ecs.seams import Launches, LaunchRequest, Runner
from cumulo.services.ecs.task_news import is_news, shown_status

FULLEST_FIRST: Final = ({"type": "binpack", "field": "memory"},)
_GONE: Final = "ClusterNotFoundException"
_BETWEEN: Final = "\x1e"  # of owner and token; no client can have it in a token


class TasksForOthers:
    """The TaskRunner of the house."""

    def __init__(
        self,
        records: Records,
        ledger: Ledger,
        *,
        launches: Launches,
        runner: Runner,
        clusters: Clusters,
        definitions: Definitions,
    ) -> None:
        self._records = records
        self._ledger = ledger
        self._launches = launches
        self._runner = runner
        self._clusters = clusters
        self._definitions = definitions
        self._heard: dict[str, HeardTask] = {}
        self._heard_room: dict[str, HeardRoom] = {}
        records.tasks.listeners.append(self._task_changed)
        records.instances.listeners.append(self._instance_changed)

    # -- clusters and definitions ----------------------------------------------------------------------------

    async def make_cluster(
        self,
        caller: Caller,
        name: str,
        tags: Mapping[str, str],
        *,
        providers: Sequence[str] = (),
        insights: str = "",
    ) -> str:
        """See TaskRunner."""
        values: dict[str, Any] = {"clusterName": name}
        if providers:
            values["capacityProviders"] = list(providers)
        if insights:
            values["settings"] = [{"name": "containerInsights", "value": insights}]
        if tags:
            values["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        answer = await self._clusters.create(caller, values)
        assert answer is not None, "CreateCluster answers"
        return str(answer["cluster"]["clusterArn"])

    async def delete_cluster(self, caller: Caller, cluster: str) -> None:
        """See TaskRunner."""
        try:
            await self._clusters.delete(caller, {"cluster": cluster})
        except AwsError as error:
            if error.code != _GONE:
                raise

    async def define(self, caller: Caller, document: Mapping[str, Any]) -> str:
        """See TaskRunner."""
        answer = await self._definitions.register(caller, dict(document))
        assert answer is not None, "RegisterTaskDefinition answers"
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    async def undefine(self, caller: Caller, definition: str) -> None:
        """See TaskRunner."""
        found = self._records.definition(definition)
        if found is not None and found.status == "ACTIVE":
            await self._definitions.deregister(caller, {"taskDefinition": definition})

    # -- tasks -----------------------------------------------------------------------------------------------

    async def run(self, order: TaskOrder) -> RanTask | NotPlaced:
        """See TaskRunner."""
        definition = self._records.definition(order.definition)
        if definition is None:
            raise client(NOT_FOUND)
        if definition.status != "ACTIVE" and self._known(order) is None:
            raise client(INACTIVE)
        try:
            launched = await self._launches.launch(_request(order, definition))
        except AwsError as error:
            if error.message not in {NO_INSTANCES, EMPTY_PROVIDER}:
                raise
            return NotPlaced(error.message)  # RunTask refuses it; whoever makes instances has but to wait
        for task in launched.tasks:
            return self._view(self._records.tasks.get(task.arn) or task)
        failure = launched.failures[0]
        return NotPlaced(failure.reason, failure.detail)

    def task(self, arn: str) -> RanTask | None:
        """See TaskRunner."""
        found = self._records.tasks.get(arn)
        return self._view(found) if found is not None else None

    async def stop(self, arn: str, reason: str) -> None:
        """See TaskRunner."""
        await self._runner.stop(arn, StopCode.USER_INITIATED, reason)

    def room(self, cluster: str) -> Sequence[Room]:
        """See TaskRunner."""
        hosts = sorted(self._ledger.hosts(cluster), key=lambda host: (host.registered_at, host.arn))
        return [_room(host, host.instance) for host in hosts if host.instance is not None]

    # -- listeners -------------------------------------------------------------------------------------------

    def listen(self, owner: str, heard: HeardTask, heard_room: HeardRoom | None = None) -> None:
        """See TaskRunner."""
        self._heard[owner] = heard
        if heard_room is not None:
            self._heard_room[owner] = heard_room
        for task in self._records.tasks.by("owner", owner):
            heard(self._view(task))

    def _task_changed(self, before: Task | None, after: Task | None) -> None:
        # A task that has just come is its orderer's answer; one that is forgotten was told of when it stopped.
        if after is not None and before is not None and after.owner and is_news(before, after):
            heard = self._heard.get(after.owner)
            if heard is not None:
                heard(self._view(after))
        if before is not None and before.is_live and (after is None or not after.is_live):
            self._tell_of_room(before.cluster_arn)

    def _instance_changed(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        if after is not None and _offers(after) != (before is not None and _offers(before)):
            self._tell_of_room(after.cluster_arn)

    def _tell_of_room(self, cluster: str) -> None:
        for heard in list(self._heard_room.values()):
            heard(cluster)

    # -- small things ----------------------------------------------------------------------------------------

    def _known(self, order: TaskOrder) -> Task | None:
        """The task that an order has made before."""
        found = self._records.tasks.by("token", token_key(order.cluster, _token(order)))
        return found[0] if found else None

    def _view(self, task: Task) -> RanTask:
        definition = self._records.definition(task.definition_arn)
        instance = self._records.instances.get(task.instance_arn) if task.instance_arn else None
        return RanTask(
            arn=task.arn,
            token=task.client_token.partition(_BETWEEN)[2],
            cluster=task.cluster_arn,
            definition=task.definition_arn,
            status=str(task.last_status),
            instance=task.instance_arn,
            address=_address(task, instance),
            interface=task.eni if task.private_ip else "",
            containers=tuple(_container(task, one, definition) for one in task.containers),
            created_at=task.created_at,
            started_at=task.started_at,
            stopped_at=task.stopped_at,
            stop_code=task.stop_code,
            stopped_reason=task.stopped_reason,
        )


def _token(order: TaskOrder) -> str:
    return f"{order.owner}{_BETWEEN}{order.token}"


def _request(order: TaskOrder, definition: TaskDefinition) -> LaunchRequest:
    chosen = order.launch_type == "EC2" and not order.instance
    return LaunchRequest(
        account=order.account,
        region=order.region,
        cluster_arn=order.cluster,
        definition=definition,
        launch_type="" if order.provider else order.launch_type,
        strategy=({"capacityProvider": order.provider, "weight": 1},) if order.provider else (),
        instances=(order.instance,) if order.instance else (),
        group=order.group,
        started_by=order.started_by,
        owner=order.owner,
        client_token=_token(order),
        overrides=order.overrides,
        network=order.network,
        strategies=FULLEST_FIRST if chosen and not order.provider else (),
        platform_version=order.platform_version,
        execute_command=order.execute_command,
        tags=order.tags,
        wait=False,
    )


def _address(task: Task, instance: ContainerInstance | None) -> str:
    if task.attachment_id:
        return task.private_ip
    return instance.address if instance is not None else ""


def _container(task: Task, one: TaskContainer, definition: TaskDefinition | None) -> RanContainer:
    group, stream = _log(task, one, definition)
    return RanContainer(
        name=one.name,
        status=shown_status(one.status),
        exit_code=one.exit_code,
        reason=one.reason,
        log_group=group,
        log_stream=stream,
    )


def _log(task: Task, one: TaskContainer, definition: TaskDefinition | None) -> tuple[str, str]:
    """Log group and stream of a container."""
    if definition is None:
        return "", ""
    told = next((it for it in containers_of(task, definition) if it["name"] == one.name), None)
    try:
        stream = stream_of(task, told, one.runtime_id) if told is not None else None
    except CannotStart:
        return "", ""  # its log configuration cannot work; the task will say so
    return (stream.group, stream.name) if stream is not None and stream.name else ("", "")


def _offers(instance: ContainerInstance) -> bool:
    return instance.status == "ACTIVE" and instance.agent_connected


def _room(host: Host, instance: ContainerInstance) -> Room:
    return Room(
        instance=instance.arn,
        ec2_id=instance.ec2_id,
        kind=instance.instance_type,
        zone=instance.availability_zone,
        address=instance.address,
        ready=_offers(instance),
        cpu_units=host.cpu,
        memory_mib=host.memory,
        whole_cpu_units=instance.cpu_units,
        whole_memory_mib=instance.memory_mib,
        tasks=host.tasks,
    )
