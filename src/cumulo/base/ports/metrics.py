"""CloudWatch's metrics and alarms, wherever their companion lives."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Datum(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a metric, or a set of values (sum, count, least, greatest) of one period."""

    name: str
    dimensions: Mapping[str, str]
    value: float
    unit: str = "None"
    at: float = 0.0
    count: float = 1.0
    minimum: float | None = None
    maximum: float | None = None


class Metrics(Protocol):
    """CloudWatch's metrics, wherever its companion lives."""

    async def put(self, account: str, region: str, namespace: str, data: Sequence[Datum]) -> None:
        """Keep values.  AwsError: with a status of 500 or more it may be tried again."""
        ...

    async def statistic(
        self,
        account: str,
        region: str,
        *,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        statistic: str,
        period: int,
        start: float,
        end: float,
    ) -> list[tuple[float, float]]:
        """Times and values of a statistic (Average, Sum, ...) in periods of so many seconds, oldest first."""
        ...


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm of CloudWatch over one metric.  `period` in seconds; `missing` as TreatMissingData says it."""

    name: str
    namespace: str = ""
    metric: str = ""
    dimensions: Mapping[str, str] = {}
    statistic: str = "Average"
    period: int = 60
    periods: int = 1
    datapoints: int = 1
    threshold: float = 0.0
    comparison: str = "GreaterThanThreshold"
    missing: str = "missing"
    actions: tuple[str, ...] = ()
    enabled: bool = True
    description: str = ""
    state: str = "INSUFFICIENT_DATA"
    state_since: float = 0.0


class Alarms(Protocol):
    """CloudWatch's alarms, wherever its companion lives."""

    async def put_alarm(self, account: str, region: str, alarm: Alarm) -> None:
        """Make or change an alarm."""
        ...

    async def delete_alarms(self, account: str, region: str, names: Sequence[str]) -> None:
        """Delete alarms; harmless for those that are not there."""
        ...

    async def alarms_with(self, account: str, region: str, action: str) -> list[Alarm]:
        """The alarms one of whose actions begins so."""
        ...

    async def set_alarm_state(self, account: str, region: str, name: str, state: str, reason: str) -> None:
        """OK, ALARM or INSUFFICIENT_DATA."""
        ...
