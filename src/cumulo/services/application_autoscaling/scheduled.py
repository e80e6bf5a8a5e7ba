"""Scheduled actions, and the activities that all scaling leaves."""

from collections.abc import Mapping
from typing import Any

from cumulo.base.arn import Arn, partition_of
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.schedules import BadSchedule, parse
from cumulo.services.application_autoscaling.model import Activity, ScheduledAction
from cumulo.services.application_autoscaling.records import Records, fits, paged, prefix_of, subject_of
from cumulo.services.application_autoscaling.refusals import invalid, no_action
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

ACTIONS_MAX = 200  # of one target


class Scheduled:
    """The operations on scheduled actions and activities."""

    def __init__(self, records: Records, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's name."""
        return {
            "PutScheduledAction": Operation(self.put),
            "DeleteScheduledAction": Operation(self.delete),
            "DescribeScheduledActions": Operation(self.describe),
            "DescribeScalingActivities": Operation(self.activities),
        }

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutScheduledAction: what is not said again is forgotten, except the schedule and the bounds."""
        subject = subject_of(caller, values)
        name = values["ScheduledActionName"]
        self._records.target(subject)
        before = self._records.actions.get(join_key(subject.key, name))
        bounds = values.get("ScalableTargetAction")
        schedule = values.get("Schedule") or (before.schedule if before else "")
        if not schedule:
            raise invalid("Schedule must be specified when creating a scheduled action")
        zone = values.get("Timezone", "")
        try:
            parse(schedule, zone or "UTC")
        except BadSchedule as error:
            raise invalid(f"Schedule {schedule} is not valid: {error}") from None
        minimum = bounds.get("MinCapacity") if bounds else (before.minimum if before else None)
        maximum = bounds.get("MaxCapacity") if bounds else (before.maximum if before else None)
        if minimum is None and maximum is None:
            raise invalid("At least one of minimum capacity and maximum capacity should be provided")
        if minimum is not None and maximum is not None and minimum > maximum:
            raise invalid("Maximum capacity cannot be less than minimum capacity")
        start, end = values.get("StartTime", 0.0), values.get("EndTime", 0.0)
        if end and end <= (start or self._clock.now()):
            raise invalid("The end time must be later than the start time and in the future")
        if before is None and len(self._records.actions.scan(join_key(subject.key, ""))) >= ACTIONS_MAX:
            raise invalid(f"A scalable target has at most {ACTIONS_MAX} scheduled actions")
        resource = (
            f"scheduledAction:{self._ids.uuid()}:resource/{subject.namespace}/{subject.resource}"
            f":scheduledActionName/{name}"
        )
        partition = partition_of(caller.region)
        action = ScheduledAction(
            subject=subject,
            name=name,
            arn=before.arn
            if before
            else str(Arn("autoscaling", caller.region, caller.account, resource, partition)),
            schedule=schedule,
            timezone=zone,
            start=start,
            end=end,
            minimum=minimum,
            maximum=maximum,
            created_at=before.created_at if before else self._clock.now(),
            done_at=self._clock.now(),
        )
        self._records.actions.put(action.key, action)
        await self._records.store.commit()
        return {}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteScheduledAction."""
        subject = subject_of(caller, values)
        name = values["ScheduledActionName"]
        action = self._records.actions.get(join_key(subject.key, name))
        if action is None:
            raise no_action(subject, name)
        self._records.actions.delete(action.key)
        await self._records.store.commit()
        return {}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeScheduledActions."""
        names = values.get("ScheduledActionNames")
        found = [
            one
            for one in self._records.actions.scan(prefix_of(caller, values))
            if fits(one.subject, values) and (not names or one.name in names)
        ]
        return paged("ScheduledActions", found, lambda one: one.key, _action_view, values)

    async def activities(self, caller: Caller, values: Values) -> Values | None:
        """DescribeScalingActivities, newest first."""
        found = [
            one for one in self._records.activities(prefix_of(caller, values)) if fits(one.subject, values)
        ]
        order = {one.id: f"{place:06d}" for place, one in enumerate(found)}
        return paged("ScalingActivities", found, lambda one: order[one.id], _activity_view, values)


def _action_view(action: ScheduledAction) -> dict[str, Any]:
    bounds = {"MinCapacity": action.minimum, "MaxCapacity": action.maximum}
    return {
        "ScheduledActionName": action.name,
        "ScheduledActionARN": action.arn,
        "ServiceNamespace": action.subject.namespace,
        "Schedule": action.schedule,
        "Timezone": action.timezone or None,
        "ResourceId": action.subject.resource,
        "ScalableDimension": action.subject.dimension,
        "StartTime": action.start or None,
        "EndTime": action.end or None,
        "ScalableTargetAction": {key: value for key, value in bounds.items() if value is not None},
        "CreationTime": action.created_at,
    }


def _activity_view(activity: Activity) -> Mapping[str, Any]:
    return {
        "ActivityId": activity.id,
        "ServiceNamespace": activity.subject.namespace,
        "ResourceId": activity.subject.resource,
        "ScalableDimension": activity.subject.dimension,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": activity.start,
        "EndTime": activity.end or None,
        "StatusCode": activity.status,
        "StatusMessage": activity.message,
    }
