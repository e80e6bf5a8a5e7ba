"""Capacity providers, and the groups that managed scaling grows and shrinks."""

import pytest
from capacity_kit import ACCOUNT, REGION
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.services.ecs.capacity.resources import registered, remaining
from cumulo.services.ecs.model import ContainerInstance, Task, TaskStatus

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:capacity-provider/cp"


async def made(world, name="cp", group="g", scaling=None, **more):
    arn = world.groups.all[group].arn if group in world.groups.all else world.groups.add(group)
    provider = {"autoScalingGroupArn": arn, "managedScaling": scaling or {"status": "ENABLED"}, **more}
    answer = await world.call("CreateCapacityProvider", name=name, autoScalingGroupProvider=provider)
    cluster = world.records.clusters.get(f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web")
    world.records.clusters.put(replace(cluster, capacity_providers=(*cluster.capacity_providers, name)))
    return answer["capacityProvider"]


async def refused(world, operation, **values):
    with pytest.raises(AwsError) as caught:
        await world.call(operation, **values)
    return caught.value


def test_a_provider_is_shown_with_aws_defaults(run):
    async def test(world):
        arn = world.groups.add("g")
        answer = await world.call(
            "CreateCapacityProvider",
            name="cp",
            autoScalingGroupProvider={"autoScalingGroupArn": arn},
            tags=[{"key": "k", "value": "v"}],
        )
        assert answer["capacityProvider"] == {
            "capacityProviderArn": ARN,
            "name": "cp",
            "status": "ACTIVE",
            "type": "EC2_AUTOSCALING",
            "tags": [{"key": "k", "value": "v"}],
            "autoScalingGroupProvider": {
                "autoScalingGroupArn": arn,
                "managedScaling": {
                    "status": "DISABLED",
                    "targetCapacity": 100,
                    "minimumScalingStepSize": 1,
                    "maximumScalingStepSize": 10000,
                    "instanceWarmupPeriod": 300,
                },
                "managedTerminationProtection": "DISABLED",
                "managedDraining": "ENABLED",
            },
        }
        assert world.groups.all["g"].tags == {"AmazonECSManaged": ""}

    run(test)


@pytest.mark.parametrize("name", ["aws-x", "ecs", "Fargate1", "a b", "", "x" * 256])
def test_names_follow_aws_rule(run, name):
    async def test(world):
        arn = world.groups.add("g")
        error = await refused(
            world, "CreateCapacityProvider", name=name, autoScalingGroupProvider={"autoScalingGroupArn": arn}
        )
        assert error.code == "ClientException"
        assert error.message.startswith(
            "The specified capacity provider name is invalid. Up to 255 characters"
        )

    run(test)


def test_a_group_must_be_there_and_nobody_elses(run):
    async def test(world):
        provider = {"autoScalingGroupArn": "none"}
        error = await refused(world, "CreateCapacityProvider", name="a", autoScalingGroupProvider=provider)
        assert "Auto Scaling group was not found" in error.message
        await made(world)
        provider = {"autoScalingGroupArn": "g"}  # its name will do
        error = await refused(world, "CreateCapacityProvider", name="b", autoScalingGroupProvider=provider)
        assert "already being used by another capacity provider" in error.message
        error = await refused(world, "CreateCapacityProvider", name="cp", autoScalingGroupProvider=provider)
        assert error.message.startswith("The specified capacity provider already exists.")

    run(test)


def test_termination_protection_needs_managed_scaling_and_a_protecting_group(run):
    async def test(world):
        world.groups.add("plain")
        world.groups.add("g", new_protected=True)
        asked = {"autoScalingGroupArn": "plain", "managedTerminationProtection": "ENABLED"}
        error = await refused(world, "CreateCapacityProvider", name="a", autoScalingGroupProvider=asked)
        assert error.message.endswith("managed scaling must be enabled.")
        asked["managedScaling"] = {"status": "ENABLED"}
        error = await refused(world, "CreateCapacityProvider", name="a", autoScalingGroupProvider=asked)
        assert error.message.endswith(
            "the Auto Scaling group must have instance protection from scale in enabled."
        )
        await made(world, managedTerminationProtection="ENABLED")

    run(test)


def test_managed_instances_are_refused_by_name(run):
    async def test(world):
        error = await refused(world, "CreateCapacityProvider", name="a", managedInstancesProvider={})
        assert (error.code, error.status) == ("NotImplemented", 501)

    run(test)


def test_an_update_changes_what_it_names(run):
    async def test(world):
        await made(world)
        answer = await world.call(
            "UpdateCapacityProvider",
            name="cp",
            autoScalingGroupProvider={
                "managedScaling": {"targetCapacity": 80},
                "managedDraining": "DISABLED",
            },
        )
        shown = answer["capacityProvider"]
        assert shown["updateStatus"] == "UPDATE_COMPLETE"
        assert shown["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"] == 80
        assert shown["autoScalingGroupProvider"]["managedScaling"]["status"] == "ENABLED"
        assert shown["autoScalingGroupProvider"]["managedDraining"] == "DISABLED"
        error = await refused(world, "UpdateCapacityProvider", name="none", autoScalingGroupProvider={})
        assert error.code == "ClientException"

    run(test)


def test_a_provider_that_a_cluster_has_is_not_deleted(run):
    async def test(world):
        await made(world)
        answer = await world.call("DeleteCapacityProvider", capacityProvider="cp")
        assert answer["capacityProvider"]["status"] == "ACTIVE"
        assert answer["capacityProvider"]["updateStatus"] == "DELETE_FAILED"
        assert "associated with cluster: web" in answer["capacityProvider"]["updateStatusReason"]
        cluster = world.records.clusters.get(f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web")
        world.records.clusters.put(replace(cluster, capacity_providers=()))
        answer = await world.call("DeleteCapacityProvider", capacityProvider=ARN)
        assert answer["capacityProvider"]["status"] == "INACTIVE"
        answer = await world.call("DescribeCapacityProviders", capacityProviders=["cp"])
        assert answer["failures"] == [{"arn": ARN, "reason": "MISSING"}]
        error = await refused(world, "DeleteCapacityProvider", capacityProvider="FARGATE")
        assert error.code == "ClientException"

    run(test)


def test_fargates_are_always_there_and_lists_come_in_pages(run):
    async def test(world):
        for number in range(9):
            await made(world, name=f"p{number}", group=f"g{number}")
        first = await world.call("DescribeCapacityProviders")
        assert len(first["capacityProviders"]) == 10
        rest = await world.call("DescribeCapacityProviders", nextToken=first["nextToken"])
        names = [one["name"] for one in (*first["capacityProviders"], *rest["capacityProviders"])]
        assert names == ["FARGATE", "FARGATE_SPOT", *(f"p{number}" for number in range(9))]
        types = {one["name"]: one["type"] for one in first["capacityProviders"]}
        assert types["FARGATE_SPOT"] == "FARGATE_SPOT"
        assert rest["nextToken"] is None

    run(test)


# -- managed scaling -----------------------------------------------------------------------------------------


def wait(world, count, **more):
    return [
        world.task(status=TaskStatus.PROVISIONING, waits="capacity", capacity_provider="cp", **more)
        for _ in range(count)
    ]


def test_tasks_that_wait_bring_instances(run):
    async def test(world):
        await made(world)
        wait(world, 3, cpu=2048)
        await world.capacity.scaling.step()
        assert ("desired", "g", 1) in world.groups.calls  # nobody knows yet how large one is
        assert world.metrics.data[-1] == (
            "AWS/ECS/ManagedScaling",
            "CapacityProviderReservation",
            {"CapacityProviderName": "cp", "ClusterName": "web"},
            200.0,
        )
        await world.groups.settle()
        await world.capacity.scaling.step()
        assert world.groups.all["g"].desired == 3
        await world.groups.settle()
        await world.capacity.scaling.step()
        assert world.groups.all["g"].desired == 3

    run(test)


def test_a_group_does_not_grow_beyond_the_machine(run):
    async def test(world):
        world.groups.add("g", desired=1)
        await made(world)
        await world.groups.settle()
        world.hosts.room = 2
        wait(world, 9, cpu=2048)
        await world.capacity.scaling.step()
        assert world.groups.all["g"].desired == 3

    run(test)


def test_a_provider_without_a_cluster_or_without_management_is_left_alone(run):
    async def test(world):
        await made(world, scaling={"status": "DISABLED"})
        wait(world, 3)
        await world.capacity.scaling.step()
        assert world.groups.calls == []

    run(test)


def test_empty_instances_go_after_a_while_and_those_with_tasks_stay(run):
    async def test(world):
        world.groups.add("g", desired=3)
        await made(world)
        await world.groups.settle()
        busy = world.records.instances.all()[0]
        assert busy.capacity_provider == "cp"
        world.task(busy)
        assert await world.capacity.scaling.step() == 900.0
        world.clock.advance(900)
        await world.capacity.scaling.step()
        assert world.groups.all["g"].desired == 1
        alive = [one for one in world.records.instances.all() if one.status == "ACTIVE"]
        assert alive == [busy]
        assert world.runner.stopped == []

    run(test)


def test_daemons_do_not_keep_an_instance(run):
    async def test(world):
        from cumulo.services.ecs.model import Service

        world.groups.add("g", desired=1)
        await made(world)
        await world.groups.settle()
        cluster = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web"
        world.records.services.put(
            Service(
                account=ACCOUNT, region=REGION, name="d", arn="s", cluster_arn=cluster, scheduling="DAEMON"
            )
        )
        world.task(world.records.instances.all()[0], service="d")
        await world.capacity.scaling.step()
        world.clock.advance(900)
        await world.capacity.scaling.step()
        assert world.groups.all["g"].desired == 0

    run(test)


def test_instances_with_tasks_are_protected(run):
    async def test(world):
        world.groups.add("g", desired=2, new_protected=True)
        await made(world, managedTerminationProtection="ENABLED")
        await world.groups.settle()
        first = world.records.instances.all()[0]
        world.task(first)
        await world.capacity.scaling.step()
        protected = {one.id for one in world.groups.all["g"].members if one.protected}
        assert protected == {first.ec2_id}

    run(test)


def test_an_auto_scaling_that_does_not_answer_is_asked_again(run):
    async def test(world):
        await made(world)
        wait(world, 1)
        world.groups.down = True
        assert await world.capacity.scaling.step() == 5.0
        world.groups.down = False
        world.clock.advance(5)
        await world.capacity.scaling.step()
        assert world.groups.all["g"].desired == 1

    run(test)


# -- the rest ------------------------------------------------------------------------------------------------


def test_only_tasks_on_fargate_spot_can_be_interrupted(run):
    async def test(world):
        spot = world.task(capacity_provider="FARGATE_SPOT", launch_type="FARGATE")
        await world.capacity.interrupt_task(spot.arn)
        assert world.runner.stopped == [(spot.arn, "SpotInterruption", "Your Spot Task was interrupted.")]
        for arn in (spot.arn, world.task().arn, "none"):
            with pytest.raises(AwsError):
                await world.capacity.interrupt_task(arn)

    run(test)


def test_inactive_instances_are_forgotten_after_an_hour(run):
    async def test(world):
        host, instance = await world.join()
        world.hosts.all.pop(host.id)
        await world.joining.left(host)
        world.clock.advance(3600)
        await world.capacity.sweep()
        assert world.records.instances.get(instance.arn) is not None
        world.clock.advance(1)
        await world.capacity.sweep()
        assert world.records.instances.get(instance.arn) is None

    run(test)


TASKS = st.lists(
    st.tuples(
        st.integers(0, 4096),
        st.integers(0, 4096),
        st.sampled_from(list(TaskStatus)),
        st.lists(st.tuples(st.integers(1, 65535), st.sampled_from(["tcp", "udp"])), max_size=3),
        st.booleans(),
    ),
    max_size=20,
)


@given(TASKS)
@settings(deadline=None)
def test_remaining_is_registered_without_what_live_tasks_hold(tasks):
    instance = ContainerInstance(
        account="a", region="r", id="i", arn="arn", cluster_arn="c", cpu_units=2048, memory_mib=1900
    )
    held = [
        Task(
            account="a",
            region="r",
            id=str(number),
            arn=str(number),
            cluster_arn="c",
            definition_arn="d",
            instance_arn="arn" if own else "other",
            cpu_units=cpu,
            memory_mib=memory,
            last_status=status,
            host_ports=tuple(ports),
        )
        for number, (cpu, memory, status, ports, own) in enumerate(tasks)
    ]
    has = {one["name"]: one for one in registered(instance)}
    left = {one["name"]: one for one in remaining(instance, held)}
    live = [one for one in held if one.is_live and one.instance_arn == "arn"]
    assert left["CPU"]["integerValue"] + sum(one.cpu_units for one in live) == has["CPU"]["integerValue"]
    assert (
        left["MEMORY"]["integerValue"] + sum(one.memory_mib for one in live) == has["MEMORY"]["integerValue"]
    )
    for name, protocol in (("PORTS", "tcp"), ("PORTS_UDP", "udp")):
        wanted = set(has[name]["stringSetValue"])
        wanted |= {str(port) for one in live for port, kind in one.host_ports if kind == protocol}
        assert set(left[name]["stringSetValue"]) == wanted
