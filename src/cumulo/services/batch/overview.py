"""The page behind `cumulo batch top`: GET /_cumulo/batch shows queues with their shares, and environments with their instances.

?region=..., ?account=...   only theirs

It says what no operation of AWS says: what shares use, how many children there are in which state, how quickly jobs go.
vCPUs are whole ones and parts of them, memory is MiB.
"""

from typing import Any, Final

from cumulo.base.clock import Clock, millis
from cumulo.services.batch.capacity.machines import Machine, Machines
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.model import ComputeEnvironment, JobQueue
from cumulo.services.batch.pace import Pace
from cumulo.services.batch.resources import Resources
from cumulo.services.batch.scheduling.facts import RoomUse, Scheduler
from cumulo.services.batch.scheduling.shares import weight_of

INSTANCES_MAX: Final = 200  # of an environment
SHARES_MAX: Final = 100  # of a queue
Row = dict[str, Any]


class Overview:
    """See above; what it costs goes by the queues and the instances, never by the jobs."""

    def __init__(
        self,
        resources: Resources,
        records: JobRecords,
        scheduler: Scheduler,
        machines: Machines,
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._resources = resources
        self._records = records
        self._scheduler = scheduler
        self._machines = machines
        self._pace = pace
        self._clock = clock

    def show(self, account: str = "", region: str = "") -> Row:
        """Everything, or what an account or a region has."""

        def wanted(one: JobQueue | ComputeEnvironment) -> bool:
            return (not account or one.account == account) and (not region or one.region == region)

        queues = [one for one in self._resources.queues.all() if wanted(one)]
        environments = [one for one in self._resources.environments.all() if wanted(one)]
        return {
            "at": millis(self._clock),
            "queues": [self._queue(one) for one in sorted(queues, key=lambda one: -one.priority)],
            "environments": [self._environment(one) for one in environments],
        }

    def _queue(self, queue: JobQueue) -> Row:
        return {
            **_named(queue),
            "priority": queue.priority,
            "environments": [_name_of(arn) for arn in queue.environments],
            "jobs": self._records.tally.of(queue.arn),
            "minute": self._pace.of(queue.arn),
            "blocked": self._blocked(queue.arn),
            "shares": self._shares(queue) if queue.policy else [],
        }

    def _blocked(self, queue: str) -> str:
        """Why its head cannot start; empty when it can, or only has to wait."""
        if not self._scheduler.waiting(queue):
            return ""
        first = self._scheduler.front(queue, 1)
        job = self._records.get(first[0][0]) if first else None
        return job.status_reason if job is not None else ""

    def _shares(self, queue: JobQueue) -> list[Row]:
        policy = self._resources.policies.get(queue.policy)
        weights = policy.weights if policy is not None else {}
        return [
            {
                "share": one.share,
                "weight": weight_of(one.share, weights),
                "running_vcpus": one.running / 1000,
                "average_vcpus": one.average / 1000,
                "waiting": one.waiting,
            }
            for one in self._scheduler.shares(queue.arn, self._clock.monotonic())[:SHARES_MAX]
        ]

    def _environment(self, environment: ComputeEnvironment) -> Row:
        use = self._scheduler.use(environment.arn)
        rooms = {room.instance: room for room in use.rooms}
        machines = self._machines.of(environment.arn)
        joined = {one.instance for one in machines}
        instances = [_machine(one, rooms.get(one.instance)) for one in machines]
        instances += [_room(one) for one in use.rooms if one.instance not in joined]
        return {
            **_named(environment),
            "type": environment.type,
            "min_vcpus": environment.resources.get("minvCpus", 0),
            "max_vcpus": environment.resources.get("maxvCpus", environment.unmanaged_vcpus),
            "vcpus": self._scheduler.vcpus(environment.arn) / 1000,
            "used_vcpus": use.vcpus / 1000,
            "instance_count": len(instances),
            "instances": instances[:INSTANCES_MAX],
        }


def _named(one: JobQueue | ComputeEnvironment) -> Row:
    return {
        "arn": one.arn,
        "name": one.name,
        "account": one.account,
        "region": one.region,
        "state": one.state,
        "status": one.status,
        "reason": one.status_reason,
    }


def _machine(machine: Machine, room: RoomUse | None) -> Row:
    """An instance that we have launched."""
    if room is not None:
        return _room(room) | {"id": machine.id} | ({"state": "ENDING"} if machine.ending else {})
    state = "ENDING" if machine.ending else "STARTING"
    return {"id": machine.id, "type": machine.kind, "state": state, "tasks": 0, "vcpus": float(machine.vcpus)}


def _room(room: RoomUse) -> Row:
    """An instance that is in the cluster."""
    return {
        "id": _name_of(room.instance),
        "type": room.kind,
        "state": room.state,
        "tasks": room.tasks,
        "vcpus": room.vcpus / 1000,
        "free_vcpus": room.free_vcpus / 1000,
        "memory": room.memory,
        "free_memory": room.free_memory,
    }


def _name_of(arn: str) -> str:
    return arn.rpartition("/")[2]
