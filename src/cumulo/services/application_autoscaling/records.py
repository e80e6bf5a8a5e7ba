"""What Application Auto Scaling keeps."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from cumulo.base.caller import Caller
from cumulo.base.pages import page
from cumulo.services.application_autoscaling.model import (
    Activity,
    ScalableTarget,
    ScalingPolicy,
    ScheduledAction,
    Subject,
)
from cumulo.services.application_autoscaling.refusals import not_registered
from cumulo.state.store import Store, join_key
from cumulo.wire.service import Values

T = TypeVar("T")
PAGE = 50
ACTIVITIES_MAX = 100  # of one target


class Records:
    """Targets, policies, scheduled actions and the last activities of each target."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.targets = store.table("aas_targets", ScalableTarget)
        self.policies = store.table("aas_policies", ScalingPolicy)
        self.actions = store.table("aas_actions", ScheduledAction)
        self._activities = store.table("aas_activities", Activity)

    def target(self, subject: Subject) -> ScalableTarget:
        """A registered target.  ObjectNotFoundException."""
        found = self.targets.get(subject.key)
        if found is None:
            raise not_registered(subject)
        return found

    def add_activity(self, activity: Activity) -> None:
        """Keep an activity, or its new state; the oldest go."""
        prefix = join_key(activity.subject.key, "")
        self._activities.put(f"{prefix}{activity.start:020.6f}{activity.id}", activity)
        kept = self._activities.items(prefix)
        for key, _ in kept[: max(0, len(kept) - ACTIVITIES_MAX)]:
            self._activities.delete(key)

    def activities(self, prefix: str) -> list[Activity]:
        """Those whose subject's key begins so, newest first."""
        return sorted(self._activities.scan(prefix), key=lambda one: one.start, reverse=True)

    def remove_target(self, target: ScalableTarget) -> None:
        """Forget a target and everything that belongs to it."""
        prefix = join_key(target.subject.key, "")
        for policy in self.policies.scan(prefix):
            self.policies.delete(policy.key)
        for action in self.actions.scan(prefix):
            self.actions.delete(action.key)
        for key, _ in self._activities.items(prefix):
            self._activities.delete(key)
        self.targets.delete(target.subject.key)

    def clear(self) -> None:
        """Forget everything."""
        for table in (self.targets, self.policies, self.actions, self._activities):
            table.clear()


def subject_of(caller: Caller, values: Values) -> Subject:
    """What a request is about."""
    return Subject(
        caller.account,
        caller.region,
        values["ServiceNamespace"],
        values["ResourceId"],
        values["ScalableDimension"],
    )


def prefix_of(caller: Caller, values: Values) -> str:
    """The beginning of the keys of all that a Describe call asks for."""
    return join_key(caller.account, caller.region, values["ServiceNamespace"], "")


def fits(subject: Subject, values: Values) -> bool:
    """Whether it is what `ResourceId` and `ScalableDimension` ask for."""
    resource = values.get("ResourceId") or subject.resource
    dimension = values.get("ScalableDimension") or subject.dimension
    return (str(resource), str(dimension)) == (subject.resource, subject.dimension)


def paged(
    name: str, found: Sequence[T], key: Callable[[T], str], view: Callable[[T], Any], values: Values
) -> Values:
    """One page of an answer."""
    size = min(values.get("MaxResults") or PAGE, PAGE)
    some, token = page(
        found, key, marker=values.get("NextToken"), size=size, error="InvalidNextTokenException"
    )
    return {name: [view(one) for one in some], "NextToken": token}
