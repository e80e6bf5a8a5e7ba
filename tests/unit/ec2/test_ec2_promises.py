"""Whatever happens to instances: no more is promised than the machine has, and what is gone is free."""

import asyncio
import tempfile
from pathlib import Path

from ec2_kit import World
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.base.errors import AwsError
from cumulo.services.ec2.kinds import Kinds
from cumulo.services.ec2.plan import Load, billed_seconds, fitting, is_spot

KINDS = ("t3.micro", "t3.large", "c5.large", "m5.large", "m5.xlarge", "r5.large")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["run", "fleet", "group", "stop", "start", "terminate", "look", "kill"]),
        st.sampled_from(KINDS),
        st.integers(0, 7),
    ),
    max_size=25,
)


@given(STEPS)
@settings(deadline=None, max_examples=40)
def test_promises_never_exceed_the_machine(steps):
    async def whole():
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder), vcpus=6.0, memory_mib=24576)
            try:
                for step in steps:
                    await act(world, *step)
                    assert_bounds(world)
                await world.house.step()
                await world.house.step()  # what was ended in the first is seen in the second
                assert_settled(world)
            finally:
                await world.store.close()

    asyncio.run(whole())


async def act(world, what, kind, number):
    ids = [one.id for one in world.ec2.all.values() if one.state != "terminated"]
    some = ids[number % len(ids)] if ids else ""
    try:
        if what == "run":
            await world.run(kind=kind, count=1 + number % 3, least=1, settle=bool(number % 2))
        elif what == "fleet":
            await world.call("CreateFleet", effect=lambda _form: world.ec2.run(kind))
        elif what == "group":
            name = f"g{len(world.groups.all)}"
            grow = lambda _form: world.groups.add(name, desired=number, kind=kind)  # noqa: E731
            await world.call("CreateAutoScalingGroup", service="autoscaling", effect=grow)
        elif what in ("stop", "start", "terminate") and some:
            state = {"stop": "stopped", "start": "running", "terminate": "terminated"}[what]
            await world.change(f"{what.capitalize()}Instances", some, state)
        elif what == "look":
            await world.house.step()
        elif what == "kill":
            await world.again()
    except AwsError as error:
        if error.code != "InsufficientInstanceCapacity":
            raise


def assert_bounds(world):
    load = world.house._promises.promised()
    assert load.vcpus <= 6.0 + 1e-6
    assert load.memory_mib <= 24576


def assert_settled(world):
    assert_bounds(world)
    running = {one.id: one.kind for one in world.ec2.all.values() if one.state == "running"}
    assert set(world.heard.here) == set(running)
    assert set(world.slices()) == set(running)
    kinds = Kinds()
    load = world.house._promises.promised()
    assert abs(load.vcpus - sum(kinds.get(kind).load.vcpus for kind in running.values())) < 1e-6
    assert load.memory_mib == sum(kinds.get(kind).load.memory_mib for kind in running.values())


@given(
    st.floats(0, 100), st.integers(0, 100_000), st.floats(0, 8), st.integers(0, 70_000), st.integers(0, 50)
)
def test_as_many_fit_as_there_is_room_for_and_no_more(vcpus, memory, each_vcpus, each_memory, most):
    count = fitting((vcpus, memory), Load(each_vcpus, each_memory), most)
    assert 0 <= count <= most
    assert count * each_vcpus <= vcpus + 1e-6
    assert count * each_memory <= memory
    if count < most:
        assert (count + 1) * each_vcpus > vcpus - 1e-6 or (count + 1) * each_memory > memory


@given(st.floats(0, 500), st.lists(st.floats(0, 500), max_size=6))
def test_a_run_is_billed_once_and_for_a_minute_at_least(first, more):
    now, billed, metered = 1000.0, 0.0, 1000.0
    for seconds in [first, *more]:
        now += seconds
        part = billed_seconds(1000.0, metered, now, ends=False)
        billed, metered = billed + part, metered + part
    part = billed_seconds(1000.0, metered, now, ends=True)
    assert abs(billed + part - max(60.0, now - 1000.0)) < 1e-6


@given(st.integers(0, 10), st.integers(0, 100), st.integers(0, 40))
def test_a_mixed_group_keeps_its_share_of_instances_on_demand(base, percent, count):
    on_demand = 0
    for total in range(count):
        on_demand += not is_spot(base, percent, on_demand, total)
    wanted = min(count, base) + -(-max(0, count - base) * percent // 100)
    assert on_demand == wanted
