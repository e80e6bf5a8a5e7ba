"""Whose the capacity was: usage by queue and share, and what Spot saved."""

import asyncio

import pytest
from msgspec.structs import replace
from tests.batch_run_kit import ENVIRONMENT, QUEUE, FakeRunner, House

from cumulo.base.clock import VirtualClock
from cumulo.base.ports import Usage
from cumulo.services.batch.metering import JobMeter, Prices
from cumulo.services.batch.plan_events import Started

HOUR = 3600.0


class Ledger:
    def __init__(self) -> None:
        self.kept: list[Usage] = []

    def keep(self, *records: Usage) -> None:
        self.kept += records


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def meter_of(it: House, ledger: Ledger, **changes) -> JobMeter:
    environment = replace(ENVIRONMENT, **changes)
    prices = Prices(
        instance=lambda _region, _type, spot: 0.04 if spot else 0.10,
        vcpus=lambda type_: {"m5.large": 2}.get(type_, 0),
        fargate=lambda _region, spot: (0.012, 0.0012) if spot else (0.04, 0.004),
    )
    meter = JobMeter(
        it.records,
        it.definitions,
        ledger,
        prices,
        environment=lambda _: environment,
        type_of=lambda _: "m5.large",
    )
    it.desk.listeners.append(meter.heard)
    return meter


def day(tmp_path, ledger, work, **changes):
    runner = FakeRunner()

    async def live():
        async with House(tmp_path, runner, VirtualClock()) as it:
            meter = meter_of(it, ledger, **changes)
            await work(it, runner, meter)

    asyncio.run(live())


def test_an_attempt_of_an_hour_is_metered_once_for_its_queue(tmp_path, ledger) -> None:
    async def work(it, runner, meter):
        await it.submit(share="blue")
        runner.becomes("job/1", "RUNNING", started_at=1000.0)
        runner.becomes("job/1", "STOPPED", 0, stop_code="EssentialContainerExited", started_at=1000.0,
                       stopped_at=1000.0 + HOUR)  # fmt: skip
        (used,) = meter.used()
        assert (used.attempts, used.vcpu_hours, used.gb_hours) == (1, 0.25, 0.5)
        assert used.paid == used.on_demand == pytest.approx(0.25 * 0.04 + 0.5 * 0.004)

    day(tmp_path, ledger, work)
    assert [(one.service, one.kind, one.resource, one.quantity) for one in ledger.kept] == [
        ("batch", "fargate_vcpu", f"{QUEUE}#blue", 0.25),
        ("batch", "fargate_gb", f"{QUEUE}#blue", 0.5),
    ]


@pytest.mark.parametrize(
    ("kind", "paid", "on_demand"),
    [("FARGATE_SPOT", 0.25 * 0.012 + 0.5 * 0.0012, 0.012), ("SPOT", 0.04 / 8, 0.10 / 8)],
)
def test_spot_saves_the_difference(tmp_path, ledger, kind: str, paid: float, on_demand: float) -> None:
    async def work(it, runner, meter):
        it.desk.listeners.remove(meter.heard)
        it.room = (0.0, 0)
        await it.submit()
        it.desk.listeners.append(meter.heard)
        await it.desk.happened(Started("job", ENVIRONMENT.arn, ("arn:instance",)))
        await it.settle()
        runner.becomes("job/1", "RUNNING", started_at=1000.0)
        runner.becomes("job/1", "STOPPED", 1, stop_code="EssentialContainerExited", started_at=1000.0,
                       stopped_at=1000.0 + HOUR)  # fmt: skip
        (used,) = meter.used()
        assert (used.kind, used.paid, used.on_demand) == (kind, pytest.approx(paid), pytest.approx(on_demand))

    day(tmp_path, ledger, work, resources={**ENVIRONMENT.resources, "type": kind})


def test_what_never_ran_costs_nothing(tmp_path, ledger) -> None:
    async def work(it, runner, meter):
        await it.submit()
        runner.becomes("job/1", "STOPPED", stop_code="TaskFailedToStart", started_at=0.0, stopped_at=5.0)
        assert it.job().status == "FAILED"
        assert not meter.used()

    day(tmp_path, ledger, work)
    assert not ledger.kept
