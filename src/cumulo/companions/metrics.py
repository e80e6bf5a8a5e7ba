"""Metrics and alarms of CloudWatch through the companions, wherever it lives."""

from collections.abc import Mapping, Sequence
from itertools import islice, permutations
from typing import Any, Final

from cumulo.base.ports.metrics import Alarm, Datum
from cumulo.companions.calls import call_json
from cumulo.companions.companions import Companions

_SERVICE: Final = "monitoring"  # as signatures name it
_TARGET: Final = "GraniteServiceVersion20100801"
_DATA_PER_CALL: Final = 500
_ORDERS_MAX: Final = 24  # of up to four dimensions, all of them


class CloudWatch:
    """The Metrics and the Alarms of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def put(self, account: str, region: str, namespace: str, data: Sequence[Datum]) -> None:
        """Keep values; nowhere while nobody has asked CloudWatch anything.  They do not outlive the companion."""
        if not self._companions.knows(_SERVICE):
            return
        for at in range(0, len(data), _DATA_PER_CALL):
            values = {
                "Namespace": namespace,
                "MetricData": [_told(one) for one in data[at : at + _DATA_PER_CALL]],
            }
            await self._call("PutMetricData", account, region, values, passing=True)

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
        """Times and values of a statistic in periods of so many seconds, oldest first."""
        # Not GetMetricStatistics: there the companion counts metrics with further dimensions too.  Here it finds those
        # alone whose dimensions came in the same order, which is no part of a metric: so each order is asked for.
        orders = islice(permutations(_dimensions(dimensions)), _ORDERS_MAX)
        metrics = [
            {"Namespace": namespace, "MetricName": name, "Dimensions": list(order)} for order in orders
        ]
        values = {
            "MetricDataQueries": [
                {
                    "Id": f"order{number}",
                    "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic},
                }
                for number, metric in enumerate(metrics)
            ],
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        }
        answer = await self._call("GetMetricData", account, region, values)
        results = answer.get("MetricDataResults") or []
        found: Mapping[str, Any] = next((one for one in results if one.get("Values")), {})
        points = zip(found.get("Timestamps") or [], found.get("Values") or [], strict=True)
        told = [(_seconds(at), float(value)) for at, value in points]
        return sorted((at, value) for at, value in told if start <= at < end)

    async def put_alarm(self, account: str, region: str, alarm: Alarm) -> None:
        """Make or change an alarm."""
        values = {
            "AlarmName": alarm.name,
            "AlarmDescription": alarm.description,
            "ActionsEnabled": alarm.enabled,
            "AlarmActions": list(alarm.actions),
            "Namespace": alarm.namespace,
            "MetricName": alarm.metric,
            "Dimensions": _dimensions(alarm.dimensions),
            "Statistic": alarm.statistic,
            "Period": alarm.period,
            "EvaluationPeriods": alarm.periods,
            "DatapointsToAlarm": alarm.datapoints,
            "Threshold": alarm.threshold,
            "ComparisonOperator": alarm.comparison,
            "TreatMissingData": alarm.missing,
        }
        await self._call("PutMetricAlarm", account, region, values)

    async def delete_alarms(self, account: str, region: str, names: Sequence[str]) -> None:
        """Delete alarms; harmless for those that are not there."""
        if names and self._companions.knows(_SERVICE):
            await self._call("DeleteAlarms", account, region, {"AlarmNames": list(names)})

    async def alarms_with(self, account: str, region: str, action: str) -> list[Alarm]:
        """The alarms one of whose actions begins so; none while nobody has made any."""
        if not self._companions.knows(_SERVICE):
            return []
        found: list[Alarm] = []
        values: dict[str, Any] = {"ActionPrefix": action}
        for _ in range(100):  # pages
            answer = await self._call("DescribeAlarms", account, region, values)
            found += [_alarm(one) for one in answer.get("MetricAlarms") or [] if one.get("MetricName")]
            if not answer.get("NextToken"):
                break
            values["NextToken"] = answer["NextToken"]
        return found

    async def set_alarm_state(self, account: str, region: str, name: str, state: str, reason: str) -> None:
        """OK, ALARM or INSUFFICIENT_DATA."""
        values = {"AlarmName": name, "StateValue": state, "StateReason": reason}
        await self._call("SetAlarmState", account, region, values)

    async def _call(
        self, operation: str, account: str, region: str, values: Mapping[str, Any], *, passing: bool = False
    ) -> dict[str, Any]:
        return await call_json(
            self._companions,
            _SERVICE,
            f"{_TARGET}.{operation}",
            account=account,
            region=region,
            values=values,
            passing=passing,
            version="1.0",
        )


def _told(one: Datum) -> dict[str, Any]:
    told: dict[str, Any] = {
        "MetricName": one.name,
        "Dimensions": _dimensions(one.dimensions),
        "Unit": one.unit,
        "Timestamp": one.at,
    }
    if one.minimum is None or one.maximum is None:
        return told | {"Value": one.value}
    return told | {
        "StatisticValues": {
            "Sum": one.value,
            "SampleCount": one.count,
            "Minimum": one.minimum,
            "Maximum": one.maximum,
        }
    }


def _dimensions(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def _alarm(told: Mapping[str, Any]) -> Alarm:
    periods = int(told.get("EvaluationPeriods") or 1)
    return Alarm(
        name=str(told["AlarmName"]),
        namespace=str(told.get("Namespace") or ""),
        metric=str(told.get("MetricName") or ""),
        dimensions={one["Name"]: one["Value"] for one in told.get("Dimensions") or []},
        statistic=str(told.get("Statistic") or "Average"),
        period=int(told.get("Period") or 60),
        periods=periods,
        datapoints=int(told.get("DatapointsToAlarm") or periods),
        threshold=float(told.get("Threshold") or 0.0),
        comparison=str(told.get("ComparisonOperator") or ""),
        missing=str(told.get("TreatMissingData") or "missing"),
        actions=tuple(told.get("AlarmActions") or ()),
        enabled=bool(told.get("ActionsEnabled", True)),
        description=str(told.get("AlarmDescription") or ""),
        state=str(told.get("StateValue") or "INSUFFICIENT_DATA"),
        state_since=_seconds(told.get("StateUpdatedTimestamp") or 0.0),
    )


def _seconds(told: object) -> float:
    """A moment as JSON has it: seconds, or the text that some answer with."""
    if isinstance(told, (int, float)):
        return float(told)
    from datetime import UTC, datetime

    at = datetime.fromisoformat(str(told))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
