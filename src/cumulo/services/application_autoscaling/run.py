"""Does what the plan says: one loop that reads metrics, decides, scales, and writes down what it did."""

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.log import Log
from cumulo.base.ports import ScalableServices
from cumulo.base.ports.metrics import Alarm, Alarms, Metrics
from cumulo.base.schedules import parse
from cumulo.services.application_autoscaling.metrics import alarms_of
from cumulo.services.application_autoscaling.model import (
    ECS,
    Activity,
    ScalableTarget,
    ScalingPolicy,
    ScheduledAction,
)
from cumulo.services.application_autoscaling.plan import (
    FURTHER_PERIODS,
    AlarmFacts,
    Patience,
    Wanted,
    bounded,
    breaching,
    combine,
    evaluated,
    step,
    track,
)
from cumulo.services.application_autoscaling.policies import STEP
from cumulo.services.application_autoscaling.records import Records
from cumulo.state.store import StoreBroken, StoreError, join_key

LATE_SECONDS_MAX = (
    3600.0  # a scheduled action that was due while nothing ran is carried out so late, and not later
)
TICK_SECONDS = 1.0
PERIODS_MAX = 1440


class Scaler:
    """Looks at every target once a period, and at scheduled actions once a second."""

    def __init__(
        self,
        records: Records,
        clock: Clock,
        ids: Ids,
        *,
        services: ScalableServices,
        metrics: Metrics,
        alarms: Alarms,
        patience: Patience,
    ) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids
        self._services = services
        self._metrics = metrics
        self._alarms = alarms
        self._patience = patience
        self._looked_at = 0.0
        self._log = Log("scaling")

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except StoreBroken:
                raise
            except (AwsError, StoreError, OSError) as error:
                self._log.warning("scaling has to wait", error=str(error))

    async def tick(self) -> None:
        """Carry out what is due now."""
        now = self._clock.now()
        for action in self._records.actions.scan():
            await self._scheduled(action, now)
        if now - self._looked_at >= self._patience.period:
            self._looked_at = now
            for target in self._records.targets.scan():
                if target.subject.namespace == ECS:
                    await self._target(target, now)

    # -- scheduled actions -----------------------------------------------------------------------------------

    async def _scheduled(self, action: ScheduledAction, now: float) -> None:
        target = self._records.targets.get(action.subject.key)
        if target is None or target.suspended.scheduled or now < action.start:
            return
        began = action.start or action.created_at
        due = parse(action.schedule, action.timezone or "UTC").next(
            max(action.done_at, now - LATE_SECONDS_MAX, action.start - 1.0), start=began
        )
        if due is None or due > now or (action.end and due > action.end):
            return
        self._records.actions.put(action.key, msgspec.structs.replace(action, done_at=now))
        minimum = target.minimum if action.minimum is None else action.minimum
        maximum = target.maximum if action.maximum is None else action.maximum
        if action.minimum is None:
            minimum = min(minimum, maximum)
        if action.maximum is None:
            maximum = max(minimum, maximum)
        target = msgspec.structs.replace(target, minimum=minimum, maximum=maximum)
        self._records.targets.put(target.subject.key, target)
        await self._records.store.commit()
        said = ", ".join(
            f"{word} capacity was set to {value}"
            for word, value in (("minimum", action.minimum), ("maximum", action.maximum))
            if value is not None
        )
        current = self._current(target)
        if current is None:
            return
        wanted = bounded(target, current)
        if wanted != current:
            cause = f"scheduled action name {action.name} was triggered: {said}"
            await self._scale(target, Wanted(wanted, cause, out=wanted > current), current)

    # -- policies --------------------------------------------------------------------------------------------

    async def _target(self, target: ScalableTarget, now: float) -> None:
        policies = self._records.policies.scan(join_key(target.subject.key, ""))
        current = self._current(target)
        if not policies or current is None:
            return
        tracking = [one for one in policies if one.kind != STEP]
        wishes = [await self._track(target, one, current, now) for one in tracking]
        wish = combine(wishes)
        if wish is not None:
            acting = [one for one, own in zip(tracking, wishes, strict=True) if own is not None]
            await self._act(target, acting, wish, current, now)
            return
        for policy in policies:
            if policy.kind == STEP and await self._step(target, policy, current, now):
                return

    async def _track(
        self, target: ScalableTarget, policy: ScalingPolicy, current: int, now: float
    ) -> Wanted | None:
        alarms = alarms_of(target.subject, policy.arn, policy.configuration, policy.alarms, self._patience)
        values = await self._values(target, alarms[0], self._patience.low, now)
        if all(value is None for value in values):
            return None
        for alarm in alarms:
            await self._tell_state(target, alarm, values)
        return track(target, policy, current, values, now, self._patience)

    async def _step(self, target: ScalableTarget, policy: ScalingPolicy, current: int, now: float) -> bool:
        subject = target.subject
        for made in await self._alarms.alarms_with(subject.account, subject.region, policy.arn):
            if not made.enabled:
                continue
            alarm = msgspec.structs.replace(made, period=self._patience.alarm_period(made.period))
            values = await self._values(target, alarm, min(alarm.periods, PERIODS_MAX), now)
            breach = breaching(_facts(alarm), values)
            await self._tell_state(target, alarm, values)
            if breach is None and alarm.state == "ALARM" and alarm.state_since > policy.triggered_at:
                # Somebody has set it by hand, as one does to try a policy.
                breach = next((value for value in reversed(values) if value is not None), alarm.threshold)
                breach -= alarm.threshold
            if breach is None:
                continue
            wish = step(target, policy, current, breach, alarm.name, now, self._patience)
            if wish is not None:
                policy = msgspec.structs.replace(policy, triggered_at=now)
                await self._act(target, [policy], wish, current, now)
                return True
        return False

    async def _values(
        self, target: ScalableTarget, alarm: Alarm, periods: int, now: float
    ) -> list[float | None]:
        """The metric in the last whole periods, oldest first; None where there is nothing: see `evaluated`."""
        end = now // alarm.period * alarm.period
        start = end - (periods + FURTHER_PERIODS) * alarm.period
        points = dict(
            await self._metrics.statistic(
                target.subject.account,
                target.subject.region,
                namespace=alarm.namespace,
                name=alarm.metric,
                dimensions=alarm.dimensions,
                statistic=alarm.statistic,
                period=alarm.period,
                start=start,
                end=end,
            )
        )
        by_period = {int((at - start) // alarm.period): value for at, value in points.items()}
        return evaluated([by_period.get(number) for number in range(periods + FURTHER_PERIODS)], periods)

    async def _tell_state(self, target: ScalableTarget, alarm: Alarm, values: Sequence[float | None]) -> None:
        """Let CloudWatch show what the alarm's state is; the companion does not evaluate alarms by itself."""
        subject = target.subject
        known = await self._alarms.alarms_with(subject.account, subject.region, alarm.actions[0])
        shown = next((one for one in known if one.name == alarm.name), None)
        recent = list(values)[-alarm.periods :]
        if shown is None or all(value is None for value in recent):
            return
        state = "ALARM" if breaching(_facts(alarm), values) is not None else "OK"
        if shown.state != state:
            newest = next(value for value in reversed(recent) if value is not None)
            reason = f"Threshold Crossed: the newest datapoint is {newest}, the threshold {alarm.threshold}."
            await self._alarms.set_alarm_state(subject.account, subject.region, alarm.name, state, reason)

    # -- scaling ---------------------------------------------------------------------------------------------

    def _current(self, target: ScalableTarget) -> int | None:
        subject = target.subject
        return self._services.desired_count(subject.account, subject.region, subject.resource)

    async def _act(
        self,
        target: ScalableTarget,
        policies: Sequence[ScalingPolicy],
        wish: Wanted,
        current: int,
        now: float,
    ) -> None:
        if not await self._scale(target, wish, current):
            return
        for policy in policies:
            moved = {"last_out": now, "out_added": wish.capacity - current} if wish.out else {"last_in": now}
            self._records.policies.put(policy.key, msgspec.structs.replace(policy, **moved))
        await self._records.store.commit()

    async def _scale(self, target: ScalableTarget, wish: Wanted, current: int) -> bool:
        subject = target.subject
        activity = Activity(
            subject=subject,
            id=self._ids.uuid(),
            description=f"Setting desired count to {wish.capacity}.",
            cause=wish.cause,
            start=self._clock.now(),
        )
        try:
            await self._services.set_desired_count(
                subject.account, subject.region, subject.resource, wish.capacity
            )
        except AwsError as error:
            done = {
                "status": "Failed",
                "message": f"Failed to set desired count to {wish.capacity}. {error.message}",
            }
        else:
            message = (
                f"Successfully set desired count to {wish.capacity}. Change successfully fulfilled by ecs."
            )
            done = {"status": "Successful", "message": message}
            self._log.info("scaled", resource=subject.resource, was=current, now=wish.capacity)
        self._records.add_activity(msgspec.structs.replace(activity, end=self._clock.now(), **done))
        with contextlib.suppress(StoreError):  # it has been scaled; the note may wait
            await self._records.store.commit()
        return done["status"] == "Successful"


def _facts(alarm: Alarm) -> AlarmFacts:
    return AlarmFacts(
        name=alarm.name,
        threshold=alarm.threshold,
        comparison=alarm.comparison,
        periods=alarm.periods,
        datapoints=alarm.datapoints,
        missing=alarm.missing,
    )
