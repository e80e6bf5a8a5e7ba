"""What is kept of compute environments, job queues and scheduling policies, and how a client's name finds one."""

from typing import TypeVar

from cumulo.base.caller import Caller
from cumulo.base.instances import InstanceKind
from cumulo.services.batch.environment_states import MOVING
from cumulo.services.batch.model import ComputeEnvironment, JobQueue, SchedulingPolicy
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store, join_key

Kept = ComputeEnvironment | JobQueue | SchedulingPolicy
T = TypeVar("T", ComputeEnvironment, JobQueue, SchedulingPolicy)


class Resources:
    """The shelves, each by ARN, and instance types that EC2 has told of; the Queues of `world.py`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.environments = Shelf(
            store,
            "batch_environments",
            ComputeEnvironment,
            lambda one: one.arn,
            place=_place,
            moving=_moving,
            cluster=lambda one: one.cluster,
        )
        self.queues = Shelf(
            store,
            "batch_queues",
            JobQueue,
            lambda one: one.arn,
            place=_place,
            moving=_moving,
            policy=lambda one: one.policy,
        )
        self.policies = Shelf(store, "batch_policies", SchedulingPolicy, lambda one: one.arn, place=_place)
        self.kinds = store.table("batch_kinds", InstanceKind)

    def environment(self, caller: Caller, name_or_arn: str) -> ComputeEnvironment | None:
        """The caller's compute environment with this name or ARN."""
        return _own(self.environments, caller, arn_of(caller, "compute-environment", name_or_arn))

    def queue(self, caller: Caller, name_or_arn: str) -> JobQueue | None:
        """The caller's job queue with this name or ARN."""
        return _own(self.queues, caller, arn_of(caller, "job-queue", name_or_arn))

    def policy(self, caller: Caller, arn: str) -> SchedulingPolicy | None:
        """The caller's scheduling policy with this ARN."""
        return _own(self.policies, caller, arn)

    def find(self, account: str, region: str, text: str) -> JobQueue | None:
        """The queue with this name or ARN; None when there is none in this account and region."""
        return self.queue(Caller(account=account, region=region), text)

    def platforms(self, queue: JobQueue) -> frozenset[str]:
        """What a queue's compute environments run: EC2 or FARGATE."""
        found = (self.environments.get(arn) for arn in queue.environments)
        return frozenset("FARGATE" if one.is_fargate else "EC2" for one in found if one is not None)

    def queues_of(self, environment: ComputeEnvironment) -> list[JobQueue]:
        """The job queues that use a compute environment."""
        place = join_key(environment.account, environment.region)
        return [one for one in self.queues.by("place", place) if environment.arn in one.environments]

    def clear(self) -> None:
        """Forget everything."""
        self.queues.clear()
        self.environments.clear()
        self.policies.clear()
        self.kinds.clear()


def place_of(caller: Caller) -> str:
    """For the index `place`."""
    return join_key(caller.account, caller.region)


def arn_of(caller: Caller, kind: str, name_or_arn: str) -> str:
    """The ARN that a client means by a name or an ARN."""
    if name_or_arn.startswith("arn:"):
        return name_or_arn
    return f"arn:aws:batch:{caller.region}:{caller.account}:{kind}/{name_or_arn}"


def _own(shelf: Shelf[T], caller: Caller, arn: str) -> T | None:
    found = shelf.get(arn)
    if found is None or (found.account, found.region) != (caller.account, caller.region):
        return None
    return found


def _place(one: Kept) -> str:
    return join_key(one.account, one.region)


def _moving(one: ComputeEnvironment | JobQueue) -> str:
    return "yes" if one.status in MOVING else ""
