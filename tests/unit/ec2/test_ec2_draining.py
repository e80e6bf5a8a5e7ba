"""A group that becomes smaller is drained first, as far as somebody wants to be waited for."""

import asyncio

import pytest
from ec2_kit import ACCOUNT, REGION, World
from msgspec.structs import replace

from cumulo.base.instances import Group, GroupMember
from cumulo.companions.guards import Call
from cumulo.services.ec2 import group_guard
from cumulo.services.ec2.plan import ending


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(group_guard, "PAUSE_SECONDS", 0.001)

    def go(test):
        async def whole():
            world = World(tmp_path)
            try:
                await test(world)
            finally:
                await world.store.close()

        asyncio.run(whole())

    return go


async def a_group(world, count=3):
    await world.call(
        "CreateAutoScalingGroup",
        service="autoscaling",
        effect=lambda _form: world.groups.add("g", desired=count),
    )
    await world.house.step()
    world.heard.said.clear()
    return [one.id for one in world.groups.all["g"].members]


def shrink(world, ids):
    """What Auto Scaling does of it."""

    def effect(_form):
        world.heard.said.append(("ended", *ids))
        for id_ in ids:
            world.ec2.put(id_, "terminated")

    return effect


@pytest.mark.parametrize(
    ("action", "form", "ends"),
    [
        ("TerminateInstanceInAutoScalingGroup", {"InstanceId": "{1}"}, [1]),
        ("SetDesiredCapacity", {"AutoScalingGroupName": "g", "DesiredCapacity": "1"}, [0, 1]),
        ("UpdateAutoScalingGroup", {"AutoScalingGroupName": "g", "MaxSize": "2"}, [0]),
    ],
)
def test_what_ends_is_empty_when_it_does(run, action, form, ends):
    async def test(world):
        ids = await a_group(world)
        form_ = {name: value.replace("{1}", ids[1]) for name, value in form.items()}
        going = [ids[number] for number in ends]
        world.heard.rounds = 2
        await world.call(action, service="autoscaling", effect=shrink(world, going), **form_)
        await world.house.step()
        assert world.heard.said[:5] == [
            *[("retiring", *going)] * 3,  # twice there was something left
            ("ended", *going),
            ("retired", *going),
        ]
        assert {one[1] for one in world.heard.said if one[0] == "left"} == set(going)

    run(test)


def test_nobody_waits_for_ever(run, monkeypatch):
    async def test(world):
        world.guards["autoscaling"]._patience_seconds = 0.005
        ids = await a_group(world, 1)
        world.heard.rounds = 10_000
        await world.call(
            "SetDesiredCapacity",
            service="autoscaling",
            effect=shrink(world, ids),
            AutoScalingGroupName="g",
            DesiredCapacity=0,
        )
        assert ("ended", *ids) in world.heard.said

    run(test)


def test_a_group_that_stays_or_grows_is_left_alone(run):
    async def test(world):
        ids = await a_group(world, 2)
        for count in (2, 3):
            await world.call(
                "SetDesiredCapacity", service="autoscaling", AutoScalingGroupName="g", DesiredCapacity=count
            )
        await world.call("TerminateInstanceInAutoScalingGroup", service="autoscaling", InstanceId="i-none")
        await world.call(
            "SetDesiredCapacity", service="autoscaling", AutoScalingGroupName="no", DesiredCapacity=0
        )
        assert not [one for one in world.heard.said if one[0] == "retiring"]
        assert len(ids) == 2

    run(test)


def test_an_instance_that_is_interrupted_was_warned_already(run):
    async def test(world):
        (id_,) = await a_group(world, 1)
        records = world.house._records
        records.put(replace(records.get(id_), interrupt_at=world.clock.now()))
        await world.call("TerminateInstanceInAutoScalingGroup", service="autoscaling", InstanceId=id_)
        assert not [one for one in world.heard.said if one[0] == "retiring"]

    run(test)


def test_what_was_not_ended_after_all_joins_again(run):
    async def test(world):
        ids = await a_group(world, 1)
        call = Call(ACCOUNT, REGION, "TerminateInstanceInAutoScalingGroup", {"InstanceId": ids[0]})
        guard = world.guards["autoscaling"]
        await guard.before(call)
        guard.after(call, done=False)
        await world.house.step()
        assert world.heard.said == [("retiring", *ids), ("retired", *ids), ("joined", *ids)]

    run(test)


def test_when_the_client_goes_while_it_waits_everything_is_as_before(run):
    async def test(world):
        ids = await a_group(world, 1)
        began = asyncio.Event()
        world.heard.rounds, world.heard.when_retiring = 10_000, began.set
        call = Call(ACCOUNT, REGION, "TerminateInstanceInAutoScalingGroup", {"InstanceId": ids[0]})
        waiting = asyncio.create_task(world.guards["autoscaling"].before(call))
        await began.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert world.heard.said[-1] == ("retired", *ids)

    run(test)


def test_protected_instances_are_not_those_that_end():
    members = tuple(GroupMember(f"i-{n}", "InService", n == 0, "t3.micro") for n in range(4))
    group = Group(name="g", arn="a", least=0, most=9, desired=4, members=members)
    assert ending(group, {"DesiredCapacity": "2"}) == ["i-1", "i-2"]
    assert ending(group, {"DesiredCapacity": "3", "MaxSize": "1"}) == ["i-1", "i-2", "i-3"]
    assert ending(group, {"DesiredCapacity": "nine"}) == []
    assert ending(group, {}) == []
