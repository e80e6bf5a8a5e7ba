"""Instances that join a cluster get a part of this machine, and never more than there is."""

import asyncio

import pytest
from ec2_kit import ACCOUNT, ARM_IMAGE, ECS_IMAGE, PLAIN_IMAGE, REGION, World, user_data
from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.companions.guards import Call
from cumulo.engines.engine import Capability, ContainerSpec, Limits, PodSpec
from cumulo.engines.images import Config


@pytest.fixture
def run(tmp_path):
    """Run an async test with a world of its own."""

    def go(test, **more):
        async def whole():
            world = World(tmp_path, **more)
            try:
                await test(world)
            finally:
                await world.store.close()

        asyncio.run(whole())

    return go


def test_an_instance_that_names_a_cluster_gets_a_slice_and_joins(run):
    async def test(world):
        (id_,) = await world.run(kind="t3.small")
        host = world.heard.here[id_]
        assert (host.vcpus, host.memory_mib, host.kind) == (2, 2048, "t3.small")
        assert host.agent.cluster == "web"
        assert host.zone == f"{REGION}a"
        assert world.slices() == [id_]
        assert world.host.slices[("fake", id_)] == Limits(vcpus=2.0, memory_mib=2048)
        assert host.slice == id_
        assert world.house.address_of(id_) == host.address

    run(test)


def test_a_burstable_type_is_promised_its_baseline_and_all_its_memory(run):
    async def test(world):
        await world.run(kind="t3.micro")
        assert world.carriage.room() == pytest.approx((8 - 0.2, 16384 - 1024))
        await world.run(kind="m5.large")
        assert world.carriage.room() == pytest.approx((8 - 2.2, 16384 - 1024 - 8192))

    run(test)


def test_an_instance_without_an_agent_holds_nothing_of_this_machine(run):
    async def test(world):
        await world.run(kind="m5.4xlarge", image=PLAIN_IMAGE, data="")
        assert world.carriage.room() == (8.0, 16384)
        assert world.heard.said == []
        assert world.slices() == []

    run(test)


def test_more_than_the_machine_carries_is_refused_before_ec2_hears_of_it(run):
    async def test(world):
        with pytest.raises(AwsError) as caught:
            await world.run(kind="m5.4xlarge")
        assert caught.value.code == "InsufficientInstanceCapacity"
        assert caught.value.status == 500
        assert "We currently do not have sufficient m5.4xlarge capacity" in caught.value.message
        assert world.ec2.all == {}
        assert world.carriage.room() == (8.0, 16384)

    run(test)


def test_run_instances_gives_as_many_as_fit_between_least_and_most(run):
    async def test(world):
        assert len(await world.run(count=5, least=1, kind="m5.large")) == 2
        with pytest.raises(AwsError):
            await world.run(count=2, least=1, kind="m5.large")

    run(test)


def test_an_instance_without_an_agent_comes_in_the_greatest_number_asked_for(run):
    async def test(world):
        assert len(await world.run(count=3, least=1, image=PLAIN_IMAGE, data="")) == 3

    run(test)


def test_two_calls_at_once_are_not_promised_the_same_room(run):
    async def test(world):
        first = await world.run(count=1, kind="m5.xlarge", settle=False)
        with pytest.raises(AwsError):
            await world.run(count=1, kind="m5.xlarge", settle=False)
        await world.house.step()
        assert list(world.heard.here) == first
        assert world.carriage.room() == (4.0, 0)

    run(test)


def test_a_failed_call_gives_its_room_back(run):
    async def test(world):
        form = {
            "Action": "RunInstances",
            "MinCount": "1",
            "MaxCount": "1",
            "ImageId": ECS_IMAGE,
            "InstanceType": "m5.large",
            "UserData": user_data(),
        }
        asked = Call(ACCOUNT, REGION, "RunInstances", form)
        await world.guards["ec2"].before(asked)
        assert world.carriage.room() == (6.0, 8192)
        world.guards["ec2"].after(asked, done=False)
        assert world.carriage.room() == (8.0, 16384)

    run(test)


def test_terminating_gives_everything_back(run):
    async def test(world):
        (id_,) = await world.run(kind="m5.large")
        await world.change("TerminateInstances", id_, "terminated")
        assert world.heard.said[-1] == ("left", id_)
        assert world.slices() == []
        assert world.carriage.room() == (8.0, 16384)
        assert world.house.host(id_) is None

    run(test)


def test_a_stopped_instance_keeps_nothing_and_comes_back(run):
    async def test(world):
        (id_,) = await world.run(kind="m5.large")
        await world.change("StopInstances", id_, "stopped")
        assert world.heard.said[-1] == ("stopped", id_)
        assert world.slices() == []
        assert world.carriage.room() == (8.0, 16384)
        await world.change("StartInstances", id_, "running")
        assert world.heard.said[-1] == ("joined", id_)
        assert world.slices() == [id_]
        assert world.carriage.room() == (6.0, 8192)

    run(test)


def test_room_is_free_when_the_last_task_of_an_ended_instance_is_gone(run):
    async def test(world):
        (id_,) = await world.run(kind="m5.xlarge")
        image = world.engine.add_image("i", Config())
        pod = PodSpec(name="p", owner="ecs", containers=(ContainerSpec(name="c", image=image.id),), slice=id_)
        await world.engine.create(pod)
        await world.change("TerminateInstances", id_, "terminated")
        assert world.heard.said[-1] == ("left", id_)
        assert world.carriage.room() == (4.0, 0)
        assert world.slices() == [id_]
        waiting = asyncio.create_task(world.run(kind="m5.xlarge", settle=False))
        await asyncio.sleep(0)
        assert not waiting.done()  # it waits: the room will be free soon
        await world.engine.remove("p")
        await world.house.step()
        assert world.slices() == []
        assert len(await waiting) == 1

    run(test)


def test_what_takes_the_place_of_an_ended_instance_waits_for_its_room(run):
    async def test(world):
        def grow(_form):
            world.groups.add("g", desired=1, kind="m5.xlarge")

        await world.call("CreateAutoScalingGroup", service="autoscaling", effect=grow)
        await world.house.step()
        (old,) = world.slices()
        image = world.engine.add_image("i", Config())
        pod = PodSpec(name="p", owner="ecs", containers=(ContainerSpec(name="c", image=image.id),), slice=old)
        await world.engine.create(pod)

        def replaced(_form):
            world.ec2.put(old, "terminated")
            return world.ec2.run("m5.xlarge", group="g")

        new = await world.call("TerminateInstances", effect=replaced)
        assert not await world.house.step()
        assert world.ec2.all[new].state == "running"
        assert world.slices() == [old]
        await world.engine.remove("p")
        await world.house.step()
        assert await world.house.step()
        assert world.slices() == [new]
        assert world.groups.all["g"].desired == 1

    run(test)


def test_starting_what_no_longer_fits_is_refused(run):
    async def test(world):
        (first,) = await world.run(kind="m5.xlarge")
        await world.change("StopInstances", first, "stopped")
        await world.run(kind="m5.xlarge")
        with pytest.raises(AwsError) as caught:
            await world.change("StartInstances", first, "running")
        assert caught.value.code == "InsufficientInstanceCapacity"
        assert world.ec2.all[first].state == "stopped"

    run(test)


def test_what_a_group_brings_and_does_not_fit_is_ended_with_one_less_wanted(run):
    async def test(world):
        def grow(_form):
            world.groups.add("g", desired=3, kind="m5.large")

        await world.call("CreateAutoScalingGroup", service="autoscaling", effect=grow)
        await world.house.step()
        assert len(world.heard.here) == 2
        assert world.groups.all["g"].desired == 2
        assert [call[0] for call in world.groups.calls] == ["terminate"]
        assert world.carriage.room()[1] == 0

    run(test)


def test_what_else_does_not_fit_is_ended(run):
    async def test(world):
        def fleet(_form):
            return world.ec2.run("m5.4xlarge")

        id_ = await world.call("CreateFleet", effect=fleet)
        await world.house.step()
        assert world.ec2.all[id_].state == "terminated"
        assert world.carriage.room() == (8.0, 16384)

    run(test)


def test_an_optimised_image_without_a_name_joins_default_when_there_is_one(run):
    async def test(world):
        (id_,) = await world.run(data="")
        assert world.heard.said == []
        assert world.carriage.room() == (8.0, 16384)
        world.heard.clusters.add("default")
        world.house.wake()
        await world.house.step()
        assert world.heard.said == [("joined", id_)]
        assert world.carriage.room()[1] == 16384 - 1024

    run(test)


def test_an_unknown_type_is_refused_as_ec2_does(run):
    async def test(world):
        with pytest.raises(AwsError) as caught:
            await world.run(kind="t9.nope")
        assert (caught.value.code, caught.value.message) == (
            "InvalidParameterValue",
            "Invalid value 't9.nope' for InstanceType.",
        )

    run(test)


def test_a_type_that_only_ec2_knows_is_asked_for(run):
    async def test(world):
        (id_,) = await world.run(kind="x9.odd")
        assert world.heard.here[id_].memory_mib == 4096

    run(test)


@pytest.mark.parametrize(
    ("kind", "code"), [("t3.micro", "InvalidParameterValue"), ("t4g.micro", "Unsupported")]
)
def test_an_architecture_that_cannot_run_here_is_refused(run, kind, code):
    async def test(world):
        with pytest.raises(AwsError) as caught:
            await world.run(kind=kind, image=ARM_IMAGE)
        assert caught.value.code == code

    run(test)


def test_an_engine_without_slices_is_noted_once_and_the_instance_joins(run):
    async def test(world):
        ids = [*(await world.run()), *(await world.run())]
        assert sorted(world.heard.here) == sorted(ids)
        assert all(host.slice == "" for host in world.heard.here.values())
        assert len(world.notes) == 1

    run(test, capabilities={Capability.ADDRESS})


def test_after_a_kill_everything_is_as_it_was(run):
    async def test(world):
        (one,) = await world.run(kind="m5.large")
        (two,) = await world.run()
        before = world.carriage.room()
        world.ec2.put(two, "terminated")  # and the server was killed before it was told
        await world.again()
        assert world.carriage.room() == before
        await world.house.step()
        assert world.slices() == [one]
        assert world.heard.said[-2:] == [("left", two), ("joined", one)] or world.heard.said[-2:] == [
            ("joined", one),
            ("left", two),
        ]

    run(test)


def test_an_instance_that_came_just_before_a_kill_is_found(run):
    async def test(world):
        (id_,) = await world.run(settle=False)  # killed before anybody looked
        await world.again()
        await world.house.step()
        assert list(world.heard.here) == [id_]

    run(test)


def test_stacks_without_instances_are_not_looked_after(run):
    async def test(world):
        buckets = '{"Resources": {"b": {"Type": "AWS::S3::Bucket"}}}'
        await world.call("CreateStack", service="cloudformation", TemplateBody=buckets)
        await world.house.step()
        assert world.ec2.looks == 0
        instances = '{"Resources": {"b": {"Type": "AWS::EC2::Instance"}}}'
        (id_,) = await world.call(
            "CreateStack",
            service="cloudformation",
            effect=lambda _f: [world.ec2.run()],
            TemplateBody=instances,
        )
        await world.house.step()
        assert list(world.heard.here) == [id_]
        await world.call(
            "DeleteStack", service="cloudformation", effect=lambda _f: world.ec2.put(id_, "terminated")
        )
        await world.house.step()
        assert world.heard.here == {}

    run(test)


def test_an_instance_of_a_template_for_spot_is_spot(run):
    async def test(world):
        id_ = await world.call("CreateFleet", effect=lambda _f: world.ec2.run())
        tags = {"aws:ec2launchtemplate:id": "lt-spot", "aws:ec2launchtemplate:version": "1"}
        world.ec2.all[id_] = replace(world.ec2.all[id_], tags=tags)
        await world.house.step()
        assert world.heard.here[id_].spot
        await world.house.interrupt(id_)

    run(test)


def test_a_mixed_group_has_spot_instances_beyond_its_base(run):
    async def test(world):
        def grow(_form):
            world.groups.add("g", desired=5, on_demand_base=1, on_demand_percent=25)

        await world.call("CreateAutoScalingGroup", service="autoscaling", effect=grow)
        await world.house.step()
        assert sum(host.spot for host in world.heard.here.values()) == 3  # of four beyond the base

    run(test)


def test_ec2_is_not_asked_where_nothing_was_ever_started(run):
    async def test(world):
        await world.call("DescribeInstances")
        await world.call("CreateVpc")
        await world.again()
        await world.house.step()
        assert world.ec2.looks == 0

    run(test)


def test_a_place_without_living_instances_is_not_looked_at_after_a_restart(run):
    async def test(world):
        (id_,) = await world.run()
        await world.change("TerminateInstances", id_, "terminated")
        looks = world.ec2.looks
        await world.again()
        await world.house.step()
        assert world.ec2.looks == looks

    run(test)


def test_what_ec2_has_forgotten_is_gone(run):
    async def test(world):
        (id_,) = await world.run()
        world.known = False
        await world.again()
        await world.house.step()
        assert world.heard.said[-1] == ("left", id_)
        assert world.slices() == []

    run(test)


def test_an_ec2_that_does_not_answer_is_asked_again(run):
    async def test(world):
        (id_,) = await world.run(settle=False)
        world.ec2.down = True
        assert not await world.house.step()
        world.ec2.down = False
        assert await world.house.step()
        assert list(world.heard.here) == [id_]

    run(test)


def test_running_is_metered_by_the_second_a_minute_at_least(run):
    async def test(world):
        (short,) = await world.run()
        world.clock.advance(10)
        await world.change("TerminateInstances", short, "terminated")
        (long,) = await world.run(kind="m5.large")
        world.clock.advance(4000)
        await world.house.step()
        world.clock.advance(500.5)
        await world.change("StopInstances", long, "stopped")
        seconds = {}
        for one in world.used:
            assert one.service == "ec2"
            seconds[one.resource, one.kind] = seconds.get((one.resource, one.kind), 0) + one.quantity
        assert seconds == {(short, "t3.micro"): 60.0, (long, "m5.large"): pytest.approx(4500.5)}
        assert len(world.used) == 3

    run(test)


def test_a_spot_instance_is_metered_at_its_own_price(run):
    async def test(world):
        id_ = await world.call("RequestSpotInstances", effect=lambda _form: world.ec2.run(spot=True))
        await world.house.step()
        world.clock.advance(100)
        await world.change("TerminateInstances", id_, "terminated")
        assert [(one.kind, one.quantity) for one in world.used] == [("t3.micro:spot", 100.0)]

    run(test)


def test_an_interruption_warns_drains_and_ends(run):
    async def test(world):
        data = user_data(more="echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config")
        id_ = await world.call("RequestSpotInstances", effect=lambda _f: world.ec2.run(spot=True, data=data))
        await world.house.step()
        at = await world.house.interrupt(id_)
        assert at == world.clock.now() + 120
        assert world.told[0][1:3] == (
            "EC2 Instance State-change Notification",
            {"instance-id": id_, "state": "running"},
        )
        assert world.told[1][:3] == (
            "aws.ec2",
            "EC2 Spot Instance Interruption Warning",
            {"instance-id": id_, "instance-action": "terminate"},
        )
        assert world.heard.said[-1] == ("leaving", id_)
        world.clock.advance(119)
        await world.house.step()
        assert world.ec2.all[id_].state == "running"
        assert await world.house.interrupt(id_) == at  # a second one changes nothing
        await world.again()  # a kill does not save it
        world.clock.advance(1)
        await world.house.step()
        assert world.ec2.all[id_].state == "terminated"

    run(test)


def test_an_interrupted_instance_of_a_group_is_replaced(run):
    async def test(world):
        await world.call(
            "CreateAutoScalingGroup",
            service="autoscaling",
            effect=lambda _f: world.groups.add("g", desired=1),
        )
        (id_,) = world.ec2.all
        world.ec2.all[id_] = replace(world.ec2.all[id_], spot=True)
        await world.house.step()
        await world.house.interrupt(id_, 0.0)
        await world.house.step()
        assert ("replace", id_) in world.groups.calls

    run(test)


def test_only_running_spot_instances_can_be_interrupted(run):
    async def test(world):
        (id_,) = await world.run()
        with pytest.raises(AwsError) as caught:
            await world.house.interrupt(id_)
        assert caught.value.code == "UnsupportedOperation"
        with pytest.raises(AwsError) as caught:
            await world.house.interrupt("i-none")
        assert caught.value.code == "InvalidInstanceID.NotFound"

    run(test)


def test_what_a_kill_has_left_of_instances_is_reaped(run):
    async def test(world):
        (id_,) = await world.run()
        await world.engine.make_slice("i-stray", Limits())
        await world.engine.make_slice("batch-1", Limits())
        await world.again()
        await world.house.reap()
        assert world.slices() == ["batch-1", id_]

    run(test)


def test_what_is_left_is_reaped_although_no_instance_is(run):
    async def test(world):
        await world.engine.make_slice("i-stray", Limits())
        await world.house.reap()
        assert world.slices() == []

    run(test)


def test_reset_takes_every_body(run):
    async def test(world):
        await world.run()
        await world.house.reset()
        assert world.slices() == []
        assert world.carriage.room() == (8.0, 16384)
        assert world.house.hosts() == []

    run(test)


def test_a_plain_instance_that_is_registered_by_hand_gets_a_body(run):
    async def test(world):
        (id_,) = await world.run(kind="t3.small", image=PLAIN_IMAGE, data="")
        asked = asyncio.ensure_future(world.house.embody(ACCOUNT, REGION, id_, "other"))
        await asyncio.sleep(0)
        await world.house.step()
        host = await asked
        assert (host.id, host.memory_mib, host.agent.cluster) == (id_, 2048, "other")
        assert world.slices() == [id_]
        assert world.heard.here[id_].slice == id_
        assert world.carriage.room() == pytest.approx((8 - 0.4, 16384 - 2048))

    run(test)


@pytest.mark.parametrize("kind", ["m5.4xlarge", "x9.nothing"])
def test_what_does_not_fit_or_is_no_type_gets_none_and_lives_on(run, kind):
    async def test(world):
        (id_,) = await world.run(kind=kind, image=PLAIN_IMAGE, data="")
        asked = asyncio.ensure_future(world.house.embody(ACCOUNT, REGION, id_, "web"))
        await asyncio.sleep(0)
        await world.house.step()
        assert await asked is None
        assert world.carriage.room() == (8.0, 16384)
        assert world.ec2.all[id_].state == "running"

    run(test)


def test_an_instance_that_nobody_knows_gets_none(run):
    async def test(world):
        asked = asyncio.ensure_future(world.house.embody(ACCOUNT, REGION, "i-0", "web"))
        await asyncio.sleep(0)
        await world.house.step()
        assert await asked is None

    run(test)
