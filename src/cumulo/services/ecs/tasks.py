"""Tasks: run, start, stop, describe, list."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.ecs import arns
from cumulo.services.ecs.listing import one_page
from cumulo.services.ecs.model import Cluster, StopCode, Task, TaskDefinition
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.seams import Failure, Launched, Launches, LaunchRequest, Runner
from cumulo.services.ecs.task_requests import run_request, start_request
from cumulo.services.ecs.task_views import failure_view, task_view
from cumulo.wire.service import Operation, Values

DESCRIBED_MAX: Final = 100
REASON_MAX: Final = 1024
STOPPED_BY_USER: Final = "Task stopped by user"
NO_DEFINITION: Final = "TaskDefinition not found."
_ID_LENGTHS: Final = (32, 36)  # of today's ids, and of old ones

FindCluster = Callable[[Caller, str | None], Cluster]
FindDefinition = Callable[[Caller, str], TaskDefinition]


class Tasks:
    """The operations on tasks."""

    def __init__(
        self,
        records: Records,
        launches: Launches,
        runner: Runner,
        *,
        find_cluster: FindCluster,
        find_definition: FindDefinition,
    ) -> None:
        self._records = records
        self._launches = launches
        self._runner = runner
        self._find_cluster = find_cluster
        self._find_definition = find_definition

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            "RunTask": Operation(
                self.run, note="volumeConfigurations and the launch type EXTERNAL are refused"
            ),
            "StartTask": Operation(self.start, note="volumeConfigurations are refused"),
            "StopTask": Operation(self.stop),
            "DescribeTasks": Operation(self.describe),
            "ListTasks": Operation(self.list_),
        }

    async def run(self, caller: Caller, values: Values) -> Values | None:
        """RunTask."""
        return await self._launch(caller, values, run_request)

    async def start(self, caller: Caller, values: Values) -> Values | None:
        """StartTask."""
        return await self._launch(caller, values, start_request)

    async def stop(self, caller: Caller, values: Values) -> Values | None:
        """StopTask."""
        cluster = self._find_cluster(caller, values.get("cluster"))
        task = task_of(self._records, cluster, values["task"])
        if task is None:
            raise invalid("The referenced task was not found.")
        reason = values.get("reason") or STOPPED_BY_USER
        if len(reason) > REASON_MAX:
            raise invalid(f"reason can have at most {REASON_MAX} characters.")
        stopped = await self._runner.stop(task.arn, StopCode.USER_INITIATED, reason)
        if stopped is None:
            raise invalid("The referenced task was not found.")
        return {"task": task_view(stopped, tags=False)}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeTasks."""
        cluster = self._find_cluster(caller, values.get("cluster"))
        asked = values["tasks"]
        if not asked:
            raise invalid("Tasks cannot be empty.")
        if len(asked) > DESCRIBED_MAX:
            raise invalid(f"Tasks can have at most {DESCRIBED_MAX} items.")
        tags = "TAGS" in values.get("include", ())
        found: list[Values] = []
        failures: list[Values] = []
        for name in dict.fromkeys(asked):
            task = task_of(self._records, cluster, name)
            if task is None:
                failures.append(failure_view(Failure("MISSING", task_arn(cluster, name))))
            else:
                found.append(task_view(task, tags=tags))
        return {"tasks": found, "failures": failures}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListTasks."""
        cluster = self._find_cluster(caller, values.get("cluster"))
        if values.get("daemonName"):
            return {"taskArns": []}  # there are no daemons of managed instances here
        found = sorted(self._listed(cluster, values), key=lambda one: one.arn)
        taken, token = one_page(found, lambda one: one.arn, values)
        return {"taskArns": [one.arn for one in taken], "nextToken": token}

    async def _launch(
        self,
        caller: Caller,
        values: Values,
        read: Callable[[Caller, Values, Cluster, TaskDefinition], LaunchRequest],
    ) -> Values:
        cluster = self._find_cluster(caller, values.get("cluster"))
        definition = self._find_definition(caller, values["taskDefinition"])
        launched: Launched = await self._launches.launch(read(caller, values, cluster, definition))
        return {
            "tasks": [task_view(one, tags=True) for one in launched.tasks],
            "failures": [failure_view(one) for one in launched.failures],
        }

    def _listed(self, cluster: Cluster, values: Values) -> list[Task]:
        started_by = values.get("startedBy")
        if started_by and any(values.get(other) for other in ("family", "serviceName", "containerInstance")):
            raise invalid("startedBy must be the only task filter.")
        wanted = values.get("desiredStatus", "RUNNING")
        checks: list[tuple[str, str | None]] = [
            ("desired_status", wanted),
            ("family", values.get("family")),
            ("launch_type", values.get("launchType")),
            ("started_by", started_by),
            ("instance_arn", self._instance_arn(cluster, values.get("containerInstance"))),
        ]
        tasks = self._candidates(cluster, values.get("serviceName"), wanted)
        return [
            task
            for task in tasks
            if all(not value or getattr(task, field) == value for field, value in checks)
        ]

    def _candidates(self, cluster: Cluster, service: str | None, wanted: str) -> Sequence[Task]:
        if not service:
            return self._records.tasks.by("cluster", cluster.arn)
        key = service_key(cluster.arn, arns.last_part(service))
        if self._records.services.get(key) is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        return self._records.tasks.by("service" if wanted == "STOPPED" else "live_service", key)

    def _instance_arn(self, cluster: Cluster, asked: str | None) -> str | None:
        if not asked:
            return None
        own = cluster.arn.replace(":cluster/", ":container-instance/")
        return asked if asked.startswith("arn:") else f"{own}/{asked}"


def task_arn(cluster: Cluster, name_or_arn: str) -> str:
    """The whole ARN of a task of a cluster.  AwsError InvalidParameterException for what can be no task's."""
    is_arn = parse_arn(name_or_arn) is not None
    if "/" in name_or_arn and not is_arn:
        raise invalid("Invalid identifier: Unexpected number of separators")
    if len(arns.last_part(name_or_arn)) not in _ID_LENGTHS:
        raise invalid(f"taskId length should be one of [{','.join(map(str, _ID_LENGTHS))}]")
    if is_arn:
        return name_or_arn
    return f"{cluster.arn.replace(':cluster/', ':task/')}/{name_or_arn}"


def task_of(records: Records, cluster: Cluster, name_or_arn: str) -> Task | None:
    """A task of a cluster by id or ARN; None when there is none, or in another cluster."""
    task = records.tasks.get(task_arn(cluster, name_or_arn))
    if task is None and parse_arn(name_or_arn) is not None:  # an ARN of the old form, without the cluster
        task = records.tasks.get(task_arn(cluster, arns.last_part(name_or_arn)))
    return task if task is not None and task.cluster_arn == cluster.arn else None
