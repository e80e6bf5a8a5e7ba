"""Job queues: the operations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock, millis
from cumulo.services.batch.compute_environments import EXISTS
from cumulo.services.batch.environment_states import changed, removed
from cumulo.services.batch.errors import client, unfit, wrapped
from cumulo.services.batch.model import ComputeEnvironment, JobQueue
from cumulo.services.batch.paging import check_either, one_page
from cumulo.services.batch.queue_rules import (
    NOT_READY,
    check_environments,
    check_queue,
    in_order,
    limits_of,
    queue_type,
)
from cumulo.services.batch.resources import Resources, arn_of, place_of
from cumulo.wire.service import Operation, Values

QUEUES_MAX: Final = 50
FRONT: Final = 100  # jobs of a snapshot
_FIFO: Final = (
    "A job queue without a scheduling policy is scheduled as FIFO, and cannot have a scheduling policy added."
)

Front = Callable[[str, int], Sequence[tuple[str, float]]]


class JobQueues:
    """The operations.

    front   ids of the jobs of a queue that would start first, and since when (seconds since the epoch)
    woken   is told that there is something to do in `capacity/`
    """

    def __init__(
        self, resources: Resources, clock: Clock, *, front: Front, woken: Callable[[], None]
    ) -> None:
        self._resources = resources
        self._clock = clock
        self._front = front
        self._woken = woken

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return wrapped(
            {
                "CreateJobQueue": Operation(self.create),
                "DescribeJobQueues": Operation(self.describe),
                "UpdateJobQueue": Operation(self.update),
                "DeleteJobQueue": Operation(self.delete),
                "GetJobQueueSnapshot": Operation(
                    self.snapshot, note="the front of the queue; no utilization"
                ),
            }
        )

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateJobQueue."""
        check_queue("CreateJobQueue", values)
        name = values["jobQueueName"]
        order, environments = self._environments(caller, values.get("computeEnvironmentOrder") or [])
        check_environments(environments, kind=values.get("jobQueueType"))
        limits = limits_of(values.get("jobStateTimeLimitActions") or [])
        policy = values.get("schedulingPolicyArn", "")
        if policy:
            self._check_policy(caller, policy)
        if self._resources.queue(caller, name) is not None:
            raise client(EXISTS)
        if self._resources.queues.count("place", place_of(caller)) >= QUEUES_MAX:
            raise unfit(f"Account cannot have more than {QUEUES_MAX} job queues.")
        made = JobQueue(
            account=caller.account,
            region=caller.region,
            name=name,
            priority=values["priority"],
            environments=tuple(one.arn for one in environments),
            orders=order,
            state=values.get("state", "ENABLED"),
            policy=policy,
            limits=limits,
            created_at=millis(self._clock),
            tags=values.get("tags") or {},
        )
        return await self._done(self._resources.queues.put(made))

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeJobQueues: names that nobody has are left out."""
        check_either(values, "jobQueues")
        names = values.get("jobQueues")
        if names:
            asked = [self._resources.queue(caller, name) for name in dict.fromkeys(names)]
            found, token = [one for one in asked if one is not None], None
        else:
            own = self._resources.queues.by("place", place_of(caller))
            found, token = one_page(sorted(own, key=lambda one: one.name), lambda one: one.name, values)
        return {"jobQueues": [self._view(one) for one in found], "nextToken": token}

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateJobQueue."""
        before = self._found(caller, values)
        check_queue("UpdateJobQueue", values)
        changes: dict[str, Any] = {
            member: values[member] for member in ("state", "priority") if member in values
        }
        if "computeEnvironmentOrder" in values:
            order, environments = self._environments(caller, values["computeEnvironmentOrder"])
            check_environments(environments, attached=before.environments, kind=self._type(before))
            changes |= {"orders": order, "environments": tuple(one.arn for one in environments)}
        if "jobStateTimeLimitActions" in values:
            changes["limits"] = limits_of(values["jobStateTimeLimitActions"])
        if "schedulingPolicyArn" in values:
            if not before.policy:
                raise unfit(_FIFO)
            self._check_policy(caller, values["schedulingPolicyArn"])
            changes["policy"] = values["schedulingPolicyArn"]
        return await self._done(self._resources.queues.put(changed(replace(before, **changes))))

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteJobQueue: DELETING, until its jobs have ended; one that is not there is deleted."""
        before = self._resources.queue(caller, values["jobQueue"])
        if before is not None:
            await self._done(self._resources.queues.put(removed(before)))
        return {}

    async def snapshot(self, caller: Caller, values: Values) -> Values | None:
        """GetJobQueueSnapshot: the RUNNABLE jobs that would start first."""
        queue = self._found(caller, values)
        start = f"arn:aws:batch:{queue.region}:{queue.account}:job"
        jobs = [
            {"jobArn": f"{start}/{job}", "earliestTimeAtPosition": int(since * 1000)}
            for job, since in self._front(queue.arn, FRONT)
        ]
        return {"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": millis(self._clock)}}

    def _found(self, caller: Caller, values: Values) -> JobQueue:
        found = self._resources.queue(caller, values["jobQueue"])
        if found is None:
            raise client(f"{arn_of(caller, 'job-queue', values['jobQueue'])} does not exist")
        return found

    def _environments(
        self, caller: Caller, order: Sequence[Mapping[str, Any]]
    ) -> tuple[tuple[int, ...], list[ComputeEnvironment]]:
        """Numbers and environments, the first first."""
        named = in_order(order)
        found = [self._resources.environment(caller, name) for _, name in named]
        there = [one for one in found if one is not None]
        if len(there) < len(found):
            raise unfit(NOT_READY)
        return tuple(number for number, _ in named), there

    def _check_policy(self, caller: Caller, arn: str) -> None:
        if self._resources.policy(caller, arn) is None:
            raise unfit(f"SchedulingPolicy {arn} not found.")

    def _type(self, queue: JobQueue) -> str:
        found = (self._resources.environments.get(arn) for arn in queue.environments)
        return queue_type(one for one in found if one is not None)

    def _view(self, one: JobQueue) -> dict[str, Any]:
        orders = one.orders or range(1, len(one.environments) + 1)
        return {
            "jobQueueName": one.name,
            "jobQueueArn": one.arn,
            "state": one.state,
            "schedulingPolicyArn": one.policy or None,
            "status": one.status,
            "statusReason": one.status_reason or None,
            "priority": one.priority,
            "computeEnvironmentOrder": [
                {"order": number, "computeEnvironment": arn}
                for number, arn in zip(orders, one.environments, strict=True)
            ],
            "serviceEnvironmentOrder": [],
            "jobQueueType": self._type(one),
            "tags": dict(one.tags),
            "jobStateTimeLimitActions": [
                {
                    "reason": limit.reason,
                    "state": limit.state,
                    "maxTimeSeconds": limit.max_seconds,
                    "action": limit.action,
                }
                for limit in one.limits
            ],
        }

    async def _done(self, made: JobQueue) -> Values:
        await self._resources.store.commit()
        self._woken()
        return {"jobQueueName": made.name, "jobQueueArn": made.arn}
