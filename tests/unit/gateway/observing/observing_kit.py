"""Observing with everything that it fills in plain lists."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.gateway_kit import ACCOUNT, API, REGION, place, visit

from cumulo.base.clock import VirtualClock
from cumulo.base.ports import LogEvent, Usage
from cumulo.base.ports.metrics import Datum
from cumulo.gateway.definitions.rest import RestDefinition, RestStage
from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.gateway.observing.metering import Cache, Open
from cumulo.gateway.observing.observing import Observing
from cumulo.gateway.visit import Visit
from cumulo.state.store import Store

GROUP_ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:access:*"
AT = 1_700_000_000.0


class Logs:
    """Events by group."""

    def __init__(self) -> None:
        self.events: dict[str, list[LogEvent]] = {}
        self.streams: set[str] = set()

    def append(self, account: str, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        assert (account, region) == (ACCOUNT, REGION)
        self.streams.add(stream)
        self.events.setdefault(group, []).extend(events)

    def lines(self, group: str) -> list[str]:
        return [event.message for event in self.events.get(group, [])]


class Metrics:
    """What was put."""

    def __init__(self) -> None:
        self.data: list[Datum] = []

    async def put(self, account: str, region: str, namespace: str, data: Sequence[Datum]) -> None:
        assert (account, region, namespace) == (ACCOUNT, REGION, "AWS/ApiGateway")
        self.data += data

    def of(self, name: str, **dimensions: str) -> Datum | None:
        found = [one for one in self.data if one.name == name and dict(one.dimensions) == dimensions]
        assert len(found) < 2
        return found[0] if found else None


class Usages:
    """Records of usage; `kept` are those of the store's transaction."""

    def __init__(self) -> None:
        self.records: list[Usage] = []
        self.kept: list[Usage] = []

    def record(self, *records: Usage) -> None:
        self.records += records

    def keep(self, *records: Usage) -> None:
        self.kept += records

    def total(self, kind: str) -> float:
        return sum(one.quantity for one in [*self.records, *self.kept] if one.kind == kind)


class Watch:
    """Observing, and what it has seen."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(AT)
        self.logs, self.metrics, self.usages = Logs(), Metrics(), Usages()
        self.caches: list[Cache] = []
        self.open: list[Open] = []
        self.store = Store(folder / "db", synchronous="OFF")
        self.observing = self.made()

    def made(self) -> Observing:
        """As after a start."""
        return Observing(
            store=self.store,
            clock=self.clock,
            logs=self.logs,
            metrics=self.metrics,
            sink=self.usages,
            ledger=self.usages,
            caches=lambda: self.caches,
            connections=lambda: self.open,
        )

    def rest(self, **stage: Any) -> "Stage":
        definition = RestDefinition(api_id=API, account=ACCOUNT, region=REGION, name="pets")
        made = RestStage(stage_name="prod", deployment_id="d", **stage)
        return Stage(self, self.observing.rest(definition, made), "REST")

    def v2(self, kind: str = "HTTP", **stage: Any) -> "Stage":
        definition = V2Definition(api_id=API, account=ACCOUNT, region=REGION, protocol_type=kind)
        made = V2Stage(stage_name="prod", **stage)
        return Stage(self, self.observing.v2(definition, made), kind)

    def publish(self) -> Metrics:
        asyncio.run(self.observing.publish())
        return self.metrics


class Stage:
    """A stage that is observed."""

    def __init__(self, watch: Watch, observer: Any, kind: str) -> None:
        self.watch = watch
        self.observer = observer
        self.kind = kind

    def done(
        self,
        status: int = 200,
        sent: int = 0,
        body: bytes = b"",
        *,
        took: float = 0.0,
        integration: float | None = None,
        error: str = "",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        log: list[tuple[int, str]] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Visit:
        """A request was answered; `took` and `integration` are seconds."""
        one = visit("GET", "/pets/1", dict(headers), body, stage="prod", at=self.watch.clock.now())
        one.body = body
        one.context |= context or {}
        one.log = log
        if error:
            one.context["error"] = {"message": "no", "messageString": '"no"', "responseType": error}
        if integration is not None:
            one.asked_integration(one.started, one.started + integration)
            one.context.setdefault("integration", {})["latency"] = one.integration_ms
        self.watch.clock.advance(took)
        self.observer.done(one, place(self.kind, "prod"), status=status, response_bytes=sent)
        return one
