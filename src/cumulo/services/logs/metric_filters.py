"""TestMetricFilter, and the honest empty lists of the filters that cannot be made here yet."""

from cumulo.base.caller import Caller
from cumulo.services.logs.groups import Groups
from cumulo.services.logs.patterns import compile_pattern
from cumulo.wire.service import Values


class MetricFilters:
    """The operations around filters."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    async def test(self, caller: Caller, values: Values) -> Values | None:
        """TestMetricFilter."""
        del caller
        pattern = compile_pattern(values["filterPattern"])
        return {
            "matches": [
                {"eventNumber": i, "eventMessage": line, "extractedValues": dict(pattern.extract(line))}
                for i, line in enumerate(values["logEventMessages"], 1)
                if pattern.test(line)
            ]
        }

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeMetricFilters."""
        if "logGroupName" in values:
            self._groups.named(caller, values["logGroupName"])
        return {"metricFilters": []}

    async def describe_subscriptions(self, caller: Caller, values: Values) -> Values | None:
        """DescribeSubscriptionFilters."""
        self._groups.named(caller, values["logGroupName"])
        return {"subscriptionFilters": []}

    async def describe_index_policies(self, caller: Caller, values: Values) -> Values | None:
        """DescribeIndexPolicies."""
        for identifier in values["logGroupIdentifiers"]:
            self._groups.identified(caller, identifier)
        return {"indexPolicies": []}
