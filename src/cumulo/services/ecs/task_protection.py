"""Protection of service tasks against scale-in and deployments, for a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.services.ecs.model import Cluster, Task
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.seams import Failure
from cumulo.services.ecs.task_views import failure_view
from cumulo.services.ecs.tasks import FindCluster, task_arn, task_of
from cumulo.wire.service import Operation, Values

MINUTES_DEFAULT: Final = 120
MINUTES_MAX: Final = 2880
UPDATED_MAX: Final = 10
ASKED_MAX: Final = 100


def _never(_task: Task) -> bool:
    return False


class TaskProtection:
    """The operations on protection.

    replaced   whether a task belongs to a deployment that another one takes the place of
    """

    def __init__(
        self,
        records: Records,
        clock: Clock,
        *,
        find_cluster: FindCluster,
        replaced: Callable[[Task], bool] = _never,
    ) -> None:
        self._records = records
        self._replaced = replaced
        self._clock = clock
        self._find_cluster = find_cluster

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            "UpdateTaskProtection": Operation(self.update),
            "GetTaskProtection": Operation(self.get),
        }

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateTaskProtection."""
        cluster = self._find_cluster(caller, values["cluster"])
        enabled = values["protectionEnabled"]
        minutes = values.get("expiresInMinutes", MINUTES_DEFAULT)
        if not 1 <= minutes <= MINUTES_MAX:
            raise invalid(f"expiresInMinutes must be between 1 and {MINUTES_MAX}.")
        tasks, failures = self._asked(cluster, values["tasks"], UPDATED_MAX)
        if enabled:
            failures += [Failure("DEPLOYMENT_BLOCKED", task.arn) for task in tasks if self._blocks(task)]
            tasks = [task for task in tasks if not self._blocks(task)]
        until = self._clock.now() + minutes * 60 if enabled else 0.0
        changed = [
            self._records.tasks.put(replace(task, protected_until=until, version=task.version + 1))
            for task in tasks
        ]
        await self._records.store.commit()
        return self._answer(changed, failures)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetTaskProtection."""
        cluster = self._find_cluster(caller, values["cluster"])
        return self._answer(*self._asked(cluster, values.get("tasks", ()), ASKED_MAX))

    async def get_own(self, task: Task) -> Values:
        """What a task sees of itself from inside: `protectionEnabled`, `expirationDate`.  AwsError when it has none."""
        return self._own(await self.get(_system(task), {"cluster": task.cluster_arn, "tasks": [task.arn]}))

    async def update_own(self, task: Task, *, enabled: bool, minutes: int | None) -> Values:
        """A task protects or releases itself; as `get_own`."""
        values: Values = {"cluster": task.cluster_arn, "tasks": [task.arn], "protectionEnabled": enabled}
        if minutes is not None:
            values["expiresInMinutes"] = minutes
        return self._own(await self.update(_system(task), values))

    def _blocks(self, task: Task) -> bool:
        """Whether a deployment waits already for protected tasks, of which this one would be one more."""
        if not self._replaced(task):
            return False
        now = self._clock.now()
        tasks = self._records.tasks.by("live_service", service_key(task.cluster_arn, task.service))
        return any(one.protected_until > now and self._replaced(one) for one in tasks)

    def _own(self, answer: Values | None) -> Values:
        assert answer is not None
        if answer["failures"]:
            reason = answer["failures"][0]["reason"]
            raise AwsError(reason, reason)
        shown: Values = answer["protectedTasks"][0]
        return shown

    def _asked(self, cluster: Cluster, names: Sequence[str], most: int) -> tuple[list[Task], list[Failure]]:
        if not names:
            raise invalid("Tasks cannot be empty.")
        if len(names) > most:
            raise invalid(f"Tasks can have at most {most} items.")
        tasks: list[Task] = []
        failures: list[Failure] = []
        for name in dict.fromkeys(names):
            task = task_of(self._records, cluster, name)
            if task is None or not task.is_live:
                failures.append(Failure("MISSING", task_arn(cluster, name)))
            elif not task.service:
                failures.append(Failure("TASK_NOT_VALID", task.arn))
            else:
                tasks.append(task)
        return tasks, failures

    def _answer(self, tasks: Sequence[Task], failures: Sequence[Failure]) -> Values:
        return {
            "protectedTasks": [self._view(task) for task in tasks],
            "failures": [failure_view(one) for one in failures],
        }

    def _view(self, task: Task) -> Values:
        enabled = task.protected_until > self._clock.now()
        shown: Values = {"taskArn": task.arn, "protectionEnabled": enabled}
        if enabled:
            shown["expirationDate"] = task.protected_until
        return shown


class OwnProtection:
    """Protection as the agent's endpoint inside a task asks for it."""

    def __init__(self, protection: TaskProtection) -> None:
        self._protection = protection

    async def get(self, task: Task) -> Values:
        """`protectionEnabled` and `expirationDate` of a task.  AwsError for a task of no service."""
        return await self._protection.get_own(task)

    async def update(self, task: Task, *, enabled: bool, minutes: int | None) -> Values:
        """Protect or release it; as `get`."""
        return await self._protection.update_own(task, enabled=enabled, minutes=minutes)


def _system(task: Task) -> Caller:
    return Caller(account=task.account, region=task.region)
