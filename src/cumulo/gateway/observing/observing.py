"""Observing APIs, put together: makes the observer of each stage that is compiled, and runs what they fill.

stage ──compiled──▶ observer ──done, after each answer──▶ figures ──every minute──▶ CloudWatch
                                                     ├──▶ use ──soon──▶ meter
                                                     ├──▶ logs (access, execution)
                                                     └──▶ passages: the last requests, for `cumulo trace`
"""

import asyncio
from collections.abc import Callable, Iterable

from cumulo.base.clock import Clock
from cumulo.base.ports import LogSink, UsageLedger, UsageSink
from cumulo.base.ports.metrics import Metrics
from cumulo.base.recent import Recent
from cumulo.gateway.definitions.rest import RestDefinition, RestStage
from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.gateway.observing.log_groups import ExecutionLog, access_log
from cumulo.gateway.observing.metering import ApiMeter, Cache, Open
from cumulo.gateway.observing.metrics import ApiMetrics
from cumulo.gateway.observing.passages import KEPT, Passages
from cumulo.gateway.observing.prices import HTTP_REQUESTS, MESSAGES, REST_REQUESTS
from cumulo.gateway.observing.stage_observer import Means
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Observer
from cumulo.state.store import Store

_KINDS = {"REST": REST_REQUESTS, "HTTP": HTTP_REQUESTS, "WEBSOCKET": MESSAGES}


class Observing:
    """Everything that observes.  `run` beside the server, `close` when nothing more is answered.

    caches, connections   what there is now, for the meter
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        logs: LogSink,
        metrics: Metrics,
        sink: UsageSink,
        ledger: UsageLedger,
        caches: Callable[[], Iterable[Cache]],
        connections: Callable[[], Iterable[Open]] = tuple,
    ) -> None:
        self.passages: Passages = Recent(KEPT)
        self._clock = clock
        self._logs = logs
        self._metrics = ApiMetrics(metrics, clock)
        self._meter = ApiMeter(
            store=store, clock=clock, sink=sink, ledger=ledger, caches=caches, connections=connections
        )

    def rest(self, definition: RestDefinition, stage: RestStage) -> Observer:
        """The observer of a REST API's stage."""
        from cumulo.gateway.observing.rest_observer import RestObserver
        from cumulo.gateway.rest.compile import place_of

        place = place_of(definition, stage.stage_name)
        return RestObserver(self._means(place, stage.access_log_arn, stage.access_log_format), stage)

    def v2(self, definition: V2Definition, stage: V2Stage) -> Observer:
        """The observer of an HTTP or WebSocket API's stage."""
        place = Place(
            account=definition.account,
            region=definition.region,
            api_id=definition.api_id,
            stage=stage.stage_name,
            kind=definition.protocol_type,
            api_name=definition.name,
        )
        means = self._means(place, stage.access_log_arn, stage.access_log_format)
        if place.kind == "HTTP":
            from cumulo.gateway.observing.http_observer import HttpObserver

            return HttpObserver(means, stage)
        from cumulo.gateway.observing.websocket_observer import WebSocketObserver

        return WebSocketObserver(means, stage, self._meter)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._meter.run())
            loops.create_task(self._meter.run_hours())
            loops.create_task(self._metrics.run())

    async def publish(self) -> None:
        """Hand on now what is counted."""
        self._meter.flush()
        await self._metrics.publish()

    async def close(self) -> None:
        """Write down what was counted last."""
        await self._meter.charge()
        self._meter.flush()

    def clear(self) -> None:
        """Forget everything."""
        self.passages.clear()
        self._metrics.clear()
        self._meter.clear()

    def _means(self, place: Place, arn: str, form: str) -> Means:
        return Means(
            place,
            clock=self._clock,
            metrics=self._metrics,
            use=self._meter.of(place, _KINDS[place.kind]),
            passages=self.passages,
            access=access_log(arn, form, self._logs),
            execution=ExecutionLog(place, self._logs),
        )
