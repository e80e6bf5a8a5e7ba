"""What Fargate tasks cost: from the pull to the end, exactly once, whatever happens to the server."""

import asyncio

import msgspec
import pytest
from definitions_kit import ACCOUNT, REGION, a_task

from cumulo.base.clock import VirtualClock
from cumulo.base.ports import Usage
from cumulo.meter.meter import Meter
from cumulo.meter.period import month_of
from cumulo.meter.pricebook import PriceBooks
from cumulo.meter.table import table
from cumulo.meter.views import Query, bill_json
from cumulo.services.ecs.metering import FargateMeter
from cumulo.services.ecs.model import TaskStatus
from cumulo.services.ecs.records import Records
from cumulo.state.journal import Journal
from cumulo.state.store import Store

ARM = ({"name": "ecs.cpu-architecture", "value": "arm64"},)


class House:
    """A store with the meter and ECS's, as after a start."""

    def __init__(self, path, clock=None):
        self.path = path
        self.clock = clock or VirtualClock()
        self.store = Store(path / "store.db", synchronous="OFF")
        self.journal = Journal(path / "journal", self.store)
        self.meter = Meter(self.store, self.journal, self.clock, PriceBooks())
        self.journal.replay()
        self.records = Records(self.store)
        self.fargate = FargateMeter(self.records, self.clock, self.meter)

    async def put(self, task, **changes):
        self.records.tasks.put(msgspec.structs.replace(task, **changes))
        await self.store.commit()

    async def used(self):
        """Seconds by kind."""
        uses = await self.meter.uses(month_of(self.clock.now()))
        return {use.kind: round(use.atoms / use.scale * 3600, 3) for use in uses}

    async def killed(self):
        """The same house after a kill: what was not committed is gone."""
        self.store._pending.clear()
        return House(self.path, self.clock)


def play(tmp_path, story):
    async def main():
        return await story(House(tmp_path))

    return asyncio.run(main())


def a_fargate_task(house, number=1, **fields):
    given = {"cpu_units": 256, "memory_mib": 512, "ephemeral_gib": 20, "launch_type": "FARGATE"}
    given["pull_started_at"] = house.clock.now()
    return a_task(number, last_status=TaskStatus.PENDING, **given | fields)


async def _run(house, task, seconds):
    await house.put(task)
    house.clock.advance(seconds)
    await house.put(task, last_status=TaskStatus.STOPPED, stopped_at=house.clock.now())


@pytest.mark.parametrize(("lived", "billed"), [(0, 60), (59.2, 60), (60, 60), (60.001, 61), (3600, 3600)])
def test_a_task_pays_whole_seconds_and_a_minute_at_least(tmp_path, lived, billed):
    async def story(house):
        await _run(house, a_fargate_task(house), lived)
        return await house.used()

    assert play(tmp_path, story) == {
        "fargate_linux_x86_vcpu": billed / 4,
        "fargate_linux_x86_gb": billed / 2,
    }


@pytest.mark.parametrize(
    ("fields", "used"),
    [
        ({"attributes": ARM}, {"fargate_linux_arm64_vcpu": 25, "fargate_linux_arm64_gb": 50}),
        (
            {"capacity_provider": "FARGATE_SPOT"},
            {"fargate_spot_linux_x86_vcpu": 25, "fargate_spot_linux_x86_gb": 50},
        ),
        (
            {"capacity_provider": "FARGATE_SPOT", "attributes": ARM},
            {"fargate_spot_linux_arm64_vcpu": 25, "fargate_spot_linux_arm64_gb": 50},
        ),
        (
            {"ephemeral_gib": 30},
            {
                "fargate_linux_x86_vcpu": 25,
                "fargate_linux_x86_gb": 50,
                "fargate_ephemeral_storage": 1000,
            },
        ),
        (
            {"network": {"awsvpcConfiguration": {"assignPublicIp": "ENABLED"}}},
            {"fargate_linux_x86_vcpu": 25, "fargate_linux_x86_gb": 50, "public_ipv4": 100},
        ),
        ({"launch_type": "EC2"}, {}),
        ({"pull_started_at": 0.0}, {}),
    ],
)
def test_a_task_pays_for_what_it_was_given(tmp_path, fields, used):
    async def story(house):
        await _run(house, a_fargate_task(house, **fields), 100)
        return await house.used()

    assert play(tmp_path, story) == pytest.approx(used)


def test_running_tasks_are_on_the_bill(tmp_path):
    async def story(house):
        task = a_fargate_task(house)
        await house.put(task)
        house.clock.advance(7200)
        await house.fargate.turn()
        first = await house.used()
        house.clock.advance(30.5)
        await house.put(task, last_status=TaskStatus.STOPPED, stopped_at=house.clock.now())
        await house.fargate.turn()
        query = Query(month=month_of(house.clock.now()), explain=True)
        return first, await house.used(), await bill_json(house.meter, query)

    first, last, bill = play(tmp_path, story)
    assert first["fargate_linux_x86_vcpu"] == 1800
    assert last["fargate_linux_x86_vcpu"] == 7231 / 4
    lines = {line["kind"]: line for line in bill["lines"]}
    assert lines["fargate_linux_x86_vcpu"]["resource"] == a_task(1).arn
    assert float(lines["fargate_linux_x86_vcpu"]["amount"]) == pytest.approx(0.25 * 0.04048 * 7231 / 3600)
    assert float(lines["fargate_linux_x86_gb"]["amount"]) == pytest.approx(0.5 * 0.004445 * 7231 / 3600)
    assert bill["notes"] == [f"{REGION} is priced as us-east-1"]


def test_tasks_of_a_service_count_for_the_service(tmp_path):
    async def story(house):
        for number in (1, 2):
            await _run(house, a_fargate_task(house, number, service="web"), 60)
        return await house.meter.uses(month_of(house.clock.now()))

    uses = play(tmp_path, story)
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/default/web"
    assert {(use.resource, use.kind) for use in uses} == {
        (arn, "fargate_linux_x86_vcpu"),
        (arn, "fargate_linux_x86_gb"),
    }


def test_nothing_counts_twice_and_nothing_is_lost_when_the_server_is_killed(tmp_path):
    async def story(house):
        task = a_fargate_task(house)
        await house.put(task)
        house.clock.advance(100)
        await house.fargate.turn()
        house.clock.advance(50)
        stopped = msgspec.structs.replace(task, last_status=TaskStatus.STOPPED, stopped_at=house.clock.now())
        house.records.tasks.put(stopped)  # and killed before the commit
        house = await house.killed()
        assert (await house.used())["fargate_linux_x86_vcpu"] == 25
        await house.fargate.start()  # it still runs, as far as anybody knows
        house.clock.advance(50)
        await house.put(task, last_status=TaskStatus.STOPPED, stopped_at=house.clock.now())
        house = await house.killed()
        await house.fargate.start()
        await house.put(task, last_status=TaskStatus.STOPPED, stopped_at=house.clock.now(), version=9)
        return await house.used()

    assert play(tmp_path, story) == {"fargate_linux_x86_vcpu": 50, "fargate_linux_x86_gb": 100}


def test_a_clock_that_jumps_back_charges_nothing(tmp_path):
    async def story(house):
        task = a_fargate_task(house)
        await house.put(task)
        house.clock.advance(100)
        await house.fargate.turn()
        await house.put(task, last_status=TaskStatus.STOPPED, stopped_at=house.clock.now() - 80)
        return await house.used()

    assert play(tmp_path, story)["fargate_linux_x86_vcpu"] == 25


def test_many_tasks_are_charged_in_several_transactions(tmp_path):
    async def story(house):
        for number in range(1100):
            house.records.tasks.put(a_fargate_task(house, number, service="web"))
        await house.store.commit()
        house.clock.advance(60)
        await house.fargate.turn()
        await house.fargate.turn()
        return await house.used()

    assert play(tmp_path, story)["fargate_linux_x86_vcpu"] == 1100 * 15


def test_the_bill_for_people_shows_tasks_and_instances(tmp_path):
    async def story(house):
        await _run(house, a_fargate_task(house, cpu_units=1024, memory_mib=2048), 3600)
        start_ms = int((house.clock.now() - 3600) * 1000)
        for kind in ("m5.large", "m5.large:spot"):
            house.meter.keep(Usage(ACCOUNT, REGION, "ec2", kind, "i-1", 3600, start_ms, start_ms + 3_600_000))
        await house.store.commit()
        month = month_of(house.clock.now())
        bill = await bill_json(house.meter, Query(month=month, explain=True))
        return table(bill), table(bill, explain=True)

    plain, explained = play(tmp_path, story)
    assert [line.split()[:3] for line in plain.splitlines() if line.startswith("e")] == [
        ["ec2", "m5.large", "i-1"],
        ["ec2", "m5.large:spot", "i-1"],
        ["ecs", "fargate_linux_x86_gb", f"task/default/{1:032x}"],
        ["ecs", "fargate_linux_x86_vcpu", f"task/default/{1:032x}"],
    ]
    assert "3,600 s x $0.096 per hour = $0.096000" in explained
    assert "1 vCPU-hours x $0.04048 = $0.040480" in explained


def test_every_kind_of_usage_has_a_price():
    book = PriceBooks().of("us-east-1")
    for market in ("", "spot_"):
        for architecture in ("x86", "arm64"):
            for what in ("vcpu", "gb"):
                assert book.line("ecs", f"fargate_{market}linux_{architecture}_{what}")
    assert book.line("ecs", "fargate_ephemeral_storage")
    assert book.line("ec2", "public_ipv4")


def test_every_instance_type_has_a_price_by_the_second_and_a_lower_one_for_spot():
    lines = {line.kind: line for line in PriceBooks().of("us-east-1").lines() if line.service == "ec2"}
    types = [kind for kind in lines if "." in kind and not kind.endswith(":spot")]
    assert len(types) == 49
    for kind in types:
        plain, spot = lines[kind], lines[f"{kind}:spot"]
        assert (plain.unit, plain.per) == (spot.unit, spot.per) == ("second", 3600)
        assert 0 < spot.tiers[0].price < plain.tiers[0].price
