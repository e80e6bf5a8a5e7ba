"""Tells the scheduler of environments and queues, whenever one changes."""

from cumulo.services.batch.capacity.orders import bid
from cumulo.services.batch.capacity.world import World
from cumulo.services.batch.environment_states import Status
from cumulo.services.batch.model import ComputeEnvironment, JobQueue, SchedulingPolicy
from cumulo.services.batch.scheduling.facts import Environment, Fair, Queue

_OPEN = frozenset({Status.VALID, Status.UPDATING})
_SHUT = frozenset({Status.CREATING, Status.INVALID})  # nothing is launched


class Known:
    """Listens to the shelves.

    An environment whose instances have not been found again after a restart is not told of: nothing may be launched for
    it until it is known what it has.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: set[str] = set()  # ARNs
        resources = world.resources
        resources.environments.listeners.append(self._environment_changed)
        resources.queues.listeners.append(self._queue_changed)
        resources.policies.listeners.append(self._policy_changed)

    def start(self) -> list[ComputeEnvironment]:
        """Tell of everything that there is; the environments that wait until their instances are found."""
        environments = self._world.resources.environments.all()
        waiting = [one for one in environments if one.has_instances and one.populated]
        self._waiting = {one.arn for one in waiting}
        for environment in environments:
            self._environment_changed(None, environment)
        for queue in self._world.resources.queues.all():
            self._queue_changed(None, queue)
        return waiting

    def found(self, environment: ComputeEnvironment) -> None:
        """What an environment has is known now."""
        self._waiting.discard(environment.arn)
        self._environment_changed(None, environment)

    def waits(self, environment: ComputeEnvironment) -> bool:
        """Whether its instances have not been found yet."""
        return environment.arn in self._waiting

    def _environment_changed(
        self, before: ComputeEnvironment | None, after: ComputeEnvironment | None
    ) -> None:
        known = after or before
        if known is None:
            return
        scheduler = self._world.scheduler
        if after is None or after.status == Status.DELETING:
            self._waiting.discard(known.arn)
            scheduler.remove_environment(known.arn)
        elif after.arn not in self._waiting:
            scheduler.put_environment(self._environment(after))

    def _queue_changed(self, before: JobQueue | None, after: JobQueue | None) -> None:
        if after is not None:
            self._world.scheduler.put_queue(self._queue(after))
        elif before is not None:
            self._world.scheduler.remove_queue(before.arn)

    def _policy_changed(self, _before: SchedulingPolicy | None, after: SchedulingPolicy | None) -> None:
        if after is not None:
            for queue in self._world.resources.queues.by("policy", after.arn):
                self._queue_changed(queue, queue)

    def _environment(self, one: ComputeEnvironment) -> Environment:
        resources = one.resources
        delay = (resources.get("scalingPolicy") or {}).get("minScaleDownDelayMinutes", 0)
        patience = self._world.patience
        return Environment(
            arn=one.arn,
            kind=one.type,
            open=one.state == "ENABLED" and one.status in _OPEN,
            kinds=self._world.kinds.of(one) if one.has_instances else (),
            strategy=str(resources.get("allocationStrategy", "BEST_FIT")),
            invalid=one.status in _SHUT,
            min_vcpus=_milli(resources.get("minvCpus", 0)),
            max_vcpus=_milli(resources.get("maxvCpus", one.unmanaged_vcpus)),
            desired_vcpus=_milli(wish_of(one)),
            bid_percentage=bid(one),
            idle_seconds=max(patience.idle, delay * patience.minute),
        )

    def _queue(self, one: JobQueue) -> Queue:
        policy = self._world.resources.policies.get(one.policy) if one.policy else None
        minute = self._world.patience.minute
        fair = None
        if policy is not None:
            fair = Fair(
                decay_seconds=float(policy.share_decay_seconds),
                reservation=policy.compute_reservation,
                weights=policy.weights,
            )
        return Queue(
            arn=one.arn,
            account=one.account,
            region=one.region,
            priority=one.priority,
            environments=one.environments,
            open=one.status in _OPEN,  # DISABLED: what is in it is still run
            fair=fair,
            limits=tuple(
                (limit.reason, limit.max_seconds * minute / 60, limit.action) for limit in one.limits
            ),
        )


def wish_of(one: ComputeEnvironment) -> int:
    """The vCPUs that a client wants an environment to have, and that it has not had since; 0: no more than the minimum."""
    desired, least = int(one.resources.get("desiredvCpus", 0)), int(one.resources.get("minvCpus", 0))
    return desired if desired > least else 0


def _milli(vcpus: int) -> int:
    return vcpus * 1000
