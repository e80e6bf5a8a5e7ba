"""Load balancing's metrics in CloudWatch: once a minute, what was counted since the last time, and who is healthy.

AWS/ApplicationELB and AWS/NetworkELB by LoadBalancer, and by TargetGroup and LoadBalancer; RequestCountPerTarget by
TargetGroup too.  There are none by Availability Zone.  What did not happen is not told, as AWS does it, except requests
of groups that have targets: Application Auto Scaling must see that there are none.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports.metrics import Datum, Metrics
from cumulo.services.elbv2.arns import last_part
from cumulo.services.elbv2.counts import Counts, Figures, Span
from cumulo.services.elbv2.model import Group, Health, LoadBalancer
from cumulo.services.elbv2.records import Records

APPLICATION: Final = "AWS/ApplicationELB"
NETWORK: Final = "AWS/NetworkELB"
PERIOD_SECONDS: Final = 60.0
_NOTHING: Final = Figures()

_log = Log("elbv2")


def since(before: Figures, now: Figures) -> Figures:
    """What has happened between two moments."""
    return Figures(
        requests=now.requests - before.requests,
        routed=now.routed - before.routed,
        by_target={name: n - before.by_target.get(name, 0) for name, n in now.by_target.items()},
        by_balancer={name: n - before.by_balancer.get(name, 0) for name, n in now.by_balancer.items()},
        redirects=now.redirects - before.redirects,
        fixed=now.fixed - before.fixed,
        seconds=now.seconds - before.seconds,
        timed=now.timed - before.timed,
        connection_errors=now.connection_errors - before.connection_errors,
        connections=now.connections - before.connections,
        octets=now.octets - before.octets,
    )


def of_requests(whose: Mapping[str, str], done: Figures, span: Span | None, at: float) -> list[Datum]:
    """What targets did with requests: of a whole load balancer, or of one target group."""
    counted = {
        "RequestCount": done.routed,
        "TargetConnectionErrorCount": done.connection_errors,
        **{f"HTTPCode_Target_{family}_Count": number for family, number in done.by_target.items()},
    }
    data = _counted(whose, counted, at)
    if done.timed:
        mean = done.seconds / done.timed
        least, most = span or (mean, mean)
        data.append(
            Datum(
                name="TargetResponseTime",
                dimensions=whose,
                value=done.seconds,
                unit="Seconds",
                at=at,
                count=done.timed,
                minimum=least,
                maximum=most,
            )
        )
    return data


def of_itself(whose: Mapping[str, str], done: Figures, at: float) -> list[Datum]:
    """What an application load balancer answered by itself."""
    counted = {f"HTTPCode_ELB_{name}_Count": number for name, number in done.by_balancer.items()}
    ours = {"HTTP_Redirect_Count": done.redirects, "HTTP_Fixed_Response_Count": done.fixed}
    return _counted(whose, counted | ours, at)


def of_flows(whose: Mapping[str, str], done: Figures, at: float) -> list[Datum]:
    """What went through a network load balancer; connections count when they end."""
    data = _counted(whose, {"NewFlowCount": done.connections}, at)
    if done.octets:
        data.append(
            Datum(name="ProcessedBytes", dimensions=whose, value=float(done.octets), unit="Bytes", at=at)
        )
    return data


def per_target(
    balancer: Mapping[str, str], group: Mapping[str, str], requests: int, targets: int, at: float
) -> list[Datum]:
    """Requests divided by the targets that there are; of no targets there is no share."""
    if not targets:
        return []
    return [
        Datum(name="RequestCountPerTarget", dimensions=whose, value=requests / targets, unit="Count", at=at)
        for whose in (group, {**group, **balancer})
    ]


class LoadMetrics:
    """Hands the figures to CloudWatch; nobody waits for it.

    period_seconds   a minute; less where a cloud's time is quicker
    """

    def __init__(
        self,
        records: Records,
        counts: Counts,
        metrics: Metrics,
        clock: Clock,
        *,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self._records = records
        self._counts = counts
        self._metrics = metrics
        self._clock = clock
        self._period = period_seconds
        self._told: Mapping[str, Figures] = {}

    async def run(self) -> None:
        """For ever, at the end of every period."""
        while True:
            await asyncio.sleep(self._period - self._clock.now() % self._period)
            await self.publish()

    async def publish(self) -> None:
        """Tell what has happened in the period that is just over."""
        at = round(self._clock.now() / self._period) * self._period - self._period
        now, spans = self._counts.snapshot(), self._counts.take_spans()
        done = {arn: since(self._told.get(arn, _NOTHING), figures) for arn, figures in now.items()}
        self._told = now
        by_place: dict[tuple[str, str, str], list[Datum]] = {}
        for balancer in self._records.balancers.all():
            space = APPLICATION if balancer.is_application else NETWORK
            data = self._of_balancer(balancer, done, spans, at)
            by_place.setdefault((balancer.account, balancer.region, space), []).extend(data)
        for arn in now:
            if ":targetgroup/" in arn and self._records.groups.get(arn) is None:
                self._counts.forget(arn)
        for (account, region, space), data in by_place.items():
            if not data:
                continue
            try:
                await self._metrics.put(account, region, space, data)
            except (AwsError, OSError) as error:
                _log.warning("metrics are lost", error=str(error))

    def _of_balancer(
        self,
        balancer: LoadBalancer,
        done: Mapping[str, Figures],
        spans: Mapping[str, Span],
        at: float,
    ) -> list[Datum]:
        whose = {"LoadBalancer": last_part(balancer.arn)}
        own = done.get(balancer.arn, _NOTHING)
        if balancer.is_application:
            data = of_requests(whose, own, spans.get(balancer.arn), at) + of_itself(whose, own, at)
        else:
            data = of_flows(whose, own, at)
        for arn in sorted(self._records.groups_of_balancer(balancer.arn)):
            group = self._records.groups.get(arn)
            if group is None:
                continue
            name = {"TargetGroup": last_part(arn)}
            healthy, unhealthy = self._hosts(group)
            if balancer.is_application:
                here = done.get(arn, _NOTHING)
                data += of_requests({**name, **whose}, here, spans.get(arn), at)
                data += per_target(whose, name, here.routed, healthy + unhealthy, at)
            if group.check.enabled:
                hosts = {"HealthyHostCount": healthy, "UnHealthyHostCount": unhealthy}
                data += [
                    Datum(name=what, dimensions={**name, **whose}, value=float(many), unit="Count", at=at)
                    for what, many in hosts.items()
                ]
        return data

    def _hosts(self, group: Group) -> tuple[int, int]:
        """The targets that are healthy, and those that are not; those that drain are neither."""
        targets = [one for one in self._records.targets.by("group", group.arn) if not one.is_draining]
        healthy = sum(one.standing.health is Health.HEALTHY for one in targets)
        return healthy, len(targets) - healthy


def _counted(whose: Mapping[str, str], counted: Mapping[str, int], at: float) -> list[Datum]:
    return [
        Datum(name=name, dimensions=whose, value=float(number), unit="Count", at=at)
        for name, number in counted.items()
        if number
    ]
