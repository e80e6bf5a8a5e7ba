"""AWS/ApiGateway in CloudWatch: summed in memory, put once a minute by one loop."""

import asyncio
from typing import Final

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports.metrics import Metrics
from cumulo.gateway.observing.figures import StageFigures, data_of
from cumulo.gateway.stages import Place

NAMESPACE: Final = "AWS/ApiGateway"
PERIOD_SECONDS: Final = 60.0

_log = Log("apigateway")


class ApiMetrics:
    """Knows the stages of which something was counted, and hands it on; nobody waits for it."""

    def __init__(self, metrics: Metrics, clock: Clock, *, period_seconds: float = PERIOD_SECONDS) -> None:
        self._metrics = metrics
        self._clock = clock
        self._period = period_seconds
        self._listed: list[StageFigures] = []

    def of(self, place: Place) -> StageFigures:
        """Figures for a stage, to be listed whenever they are counted in."""
        return StageFigures(place)

    def list(self, figures: StageFigures) -> None:
        """Something is counted in them in this period."""
        figures.listed = True
        self._listed.append(figures)

    async def run(self) -> None:
        """For ever, at the end of every period."""
        while True:
            await asyncio.sleep(self._period - self._clock.now() % self._period)
            await self.publish()

    async def publish(self) -> None:
        """Tell what has happened in the period that is just over."""
        at = round(self._clock.now() / self._period) * self._period - self._period
        listed, self._listed = self._listed, []
        for figures in listed:
            figures.listed = False
        for (account, region), data in data_of(listed, at).items():
            try:
                await self._metrics.put(account, region, NAMESPACE, data)
            except (AwsError, OSError) as error:
                _log.warning("metrics are lost", error=str(error))

    def clear(self) -> None:
        """Forget what was counted."""
        for figures in self._listed:
            figures.take()
            figures.listed = False
        self._listed = []
