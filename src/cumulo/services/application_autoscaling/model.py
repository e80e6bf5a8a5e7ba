"""The nouns of Application Auto Scaling, frozen.  Times are seconds since the epoch."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.state.store import join_key

ECS = "ecs"
ECS_DIMENSION = "ecs:service:DesiredCount"


class Subject(msgspec.Struct, frozen=True):
    """What is scaled: `service/<cluster>/<name>` of `ecs`, by its dimension."""

    account: str
    region: str
    namespace: str
    resource: str
    dimension: str

    @property
    def key(self) -> str:
        """Of its target; what belongs to it has keys that begin so."""
        return join_key(self.account, self.region, self.namespace, self.resource, self.dimension)


class Suspended(msgspec.Struct, frozen=True):
    """What rests, by order of the user."""

    dynamic_in: bool = False
    dynamic_out: bool = False
    scheduled: bool = False


class ScalableTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Something that may be scaled between two bounds."""

    subject: Subject
    arn: str
    minimum: int
    maximum: int
    role_arn: str
    suspended: Suspended = Suspended()
    created_at: float = 0.0
    tags: Mapping[str, str] = {}


class ScalingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to scale.  `configuration` is the step or the target-tracking one, as the API has it.

    alarms    names of CloudWatch alarms that a target-tracking policy has made: high, low
    last_out, last_in    when it last acted; `out_added` is what that scale-out added
    """

    subject: Subject
    name: str
    arn: str
    kind: str  # StepScaling, TargetTrackingScaling
    configuration: Mapping[str, Any] = {}
    alarms: tuple[str, ...] = ()
    created_at: float = 0.0
    last_out: float = 0.0
    last_in: float = 0.0
    out_added: int = 0
    triggered_at: float = 0.0  # of step scaling: when the alarm that it last acted on came into its state

    @property
    def key(self) -> str:
        """Of its record."""
        return join_key(self.subject.key, self.name)


class ScheduledAction(msgspec.Struct, frozen=True, kw_only=True):
    """New bounds at given times.  `done_at` is the last moment that it was carried out for."""

    subject: Subject
    name: str
    arn: str
    schedule: str
    timezone: str = ""
    start: float = 0.0
    end: float = 0.0
    minimum: int | None = None
    maximum: int | None = None
    created_at: float = 0.0
    done_at: float = 0.0

    @property
    def key(self) -> str:
        """Of its record."""
        return join_key(self.subject.key, self.name)


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """One time that something was scaled."""

    subject: Subject
    id: str
    description: str
    cause: str
    start: float
    end: float = 0.0
    status: str = "Successful"  # InProgress, Failed
    message: str = ""
