"""Container instances: they join, go, drain and show what is left of them."""

import json

import pytest
from capacity_kit import ACCOUNT, REGION
from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.base.instances import AgentSettings
from cumulo.services.ecs.model import TaskStatus


async def shown(world, instance, **more):
    answer = await world.call(
        "DescribeContainerInstances", cluster="web", containerInstances=[instance.id], **more
    )
    (one,) = answer["containerInstances"]
    return one


def numbers(resources):
    return {one["name"]: one.get("stringSetValue", one["integerValue"]) for one in resources}


def test_an_instance_registers_with_what_aws_shows(run):
    async def test(world):
        agent = AgentSettings(cluster="web", attributes={"rack": "a"}, tags={"team": "x"}, reserved_mib=100)
        host, instance = await world.join(agent=agent)
        one = await shown(world, instance, include=["TAGS", "CONTAINER_INSTANCE_HEALTH"])
        assert one["containerInstanceArn"] == (
            f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/web/{instance.id}"
        )
        assert one["ec2InstanceId"] == host.id
        assert one["status"] == "ACTIVE"
        assert one["agentConnected"] is True
        assert one["version"] == 1
        assert numbers(one["registeredResources"]) == {
            "CPU": 2048,
            "MEMORY": 2048 - 2048 // 18 - 100,
            "PORTS": ["22", "2375", "2376", "51678", "51679"],
            "PORTS_UDP": [],
        }
        assert one["remainingResources"] == one["registeredResources"]
        attributes = {each["name"]: each.get("value") for each in one["attributes"]}
        assert attributes["ecs.instance-type"] == "t3.small"
        assert attributes["ecs.availability-zone"] == f"{REGION}a"
        assert attributes["ecs.ami-id"] == "ami-1"
        assert attributes["ecs.os-type"] == "linux"
        assert attributes["ecs.cpu-architecture"] == "x86_64"
        assert attributes["ecs.subnet-id"] == "subnet-1"
        assert attributes["ecs.vpc-id"] == "vpc-1"
        assert attributes["rack"] == "a"
        assert attributes["com.amazonaws.ecs.capability.docker-remote-api.1.44"] is None
        assert one["tags"] == [{"key": "team", "value": "x"}]
        assert one["healthStatus"]["overallStatus"] == "OK"
        assert world.launches.placed == 1

    run(test)


def test_joining_twice_is_joining_once(run):
    async def test(world):
        host, instance = await world.join()
        await world.joining.joined(host)
        assert world.records.instances.by("ec2", host.id) == [instance]

    run(test)


def test_an_instance_waits_for_its_cluster(run):
    async def test(world):
        host = world.host(cluster="later")
        await world.joining.joined(host)
        assert len(world.records.instances) == 0
        assert not world.joining.wanted(ACCOUNT, REGION, "later")
        woken = world.hosts.woken
        world.cluster("later")
        assert world.hosts.woken == woken + 1
        assert world.joining.wanted(ACCOUNT, REGION, "later")
        await world.joining.joined(host)
        assert len(world.records.instances) == 1

    run(test)


def test_a_terminated_instance_takes_its_tasks_with_it(run):
    async def test(world):
        host, instance = await world.join()
        task = world.task(instance)
        other = world.task()
        await world.joining.left(host)
        assert world.runner.stopped == [
            (task.arn, "TerminationNotice", f"Host EC2 (instance {host.id}) terminated.")
        ]
        assert world.records.tasks.get(other.arn).is_live
        one = await shown(world, instance)
        assert (one["status"], one["agentConnected"]) == ("INACTIVE", False)
        listed = await world.call("ListContainerInstances", cluster="web")
        assert listed["containerInstanceArns"] == []

    run(test)


def test_a_stopped_instance_is_not_connected_and_comes_back_as_the_same(run):
    async def test(world):
        host, instance = await world.join()
        task = world.task(instance)
        await world.joining.stopped(host)
        assert world.runner.stopped[0][0] == task.arn
        one = await shown(world, instance)
        assert (one["status"], one["agentConnected"]) == ("ACTIVE", False)
        await world.joining.joined(host)
        assert (await shown(world, instance))["agentConnected"] is True

    run(test)


def test_a_spot_instance_that_is_leaving_drains(run):
    async def test(world):
        host, instance = await world.join(spot=True)
        await world.joining.leaving(host)
        assert (await shown(world, instance))["status"] == "DRAINING"

    run(test)


def test_what_is_left_is_what_the_tasks_leave(run):
    async def test(world):
        _, instance = await world.join()
        world.task(instance, cpu=512, memory=300, ports=[(80, "tcp"), (53, "udp")], given=[32768])
        world.task(instance, cpu=128, memory=100, status=TaskStatus.PENDING)
        world.task(instance, cpu=999, memory=999, status=TaskStatus.STOPPED)
        one = await shown(world, instance)
        left = numbers(one["remainingResources"])
        registered = numbers(one["registeredResources"])
        assert left["CPU"] == 2048 - 640
        assert left["MEMORY"] == registered["MEMORY"] - 400
        assert left["PORTS"] == ["22", "80", "2375", "2376", "32768", "51678", "51679"]
        assert left["PORTS_UDP"] == ["53"]
        assert (one["runningTasksCount"], one["pendingTasksCount"]) == (1, 1)

    run(test)


def test_describing_what_is_not_there_is_a_failure(run):
    async def test(world):
        answer = await world.call("DescribeContainerInstances", cluster="web", containerInstances=["nope"])
        assert answer["failures"] == [
            {"arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/web/nope", "reason": "MISSING"}
        ]

    run(test)


@pytest.mark.parametrize(
    ("operation", "more", "message"),
    [
        ("DescribeContainerInstances", {"containerInstances": []}, "Container instance cannot be empty."),
        (
            "DescribeContainerInstances",
            {"containerInstances": ["a"] * 101},
            "instanceIds can have at most 100 items.",
        ),
        (
            "UpdateContainerInstancesState",
            {"containerInstances": ["a"] * 11, "status": "DRAINING"},
            "instanceIds can have at most 10 items.",
        ),
        (
            "UpdateContainerInstancesState",
            {"containerInstances": ["a"], "status": "REGISTERING"},
            "Container instances status should be one of [ACTIVE,DRAINING]",
        ),
        (
            "DeregisterContainerInstance",
            {"containerInstance": "a"},
            "Referenced container instance was not found.",
        ),
        ("ListContainerInstances", {"maxResults": 101}, "maxResults must be between 1 and 100."),
        ("ListContainerInstances", {"filter": "???"}, "Invalid expression."),
        ("ListContainerInstances", {"nextToken": "???"}, "Invalid pagination token"),
    ],
)
def test_what_cannot_be_accepted_is_refused(run, operation, more, message):
    async def test(world):
        with pytest.raises(AwsError) as caught:
            await world.call(operation, cluster="web", **more)
        assert caught.value.code == "InvalidParameterException"
        assert caught.value.message == message

    run(test)


def test_a_cluster_that_is_not_there_is_said(run):
    async def test(world):
        with pytest.raises(AwsError) as caught:
            await world.call("ListContainerInstances", cluster="none")
        assert caught.value.code == "ClusterNotFoundException"

    run(test)


def test_draining_and_back(run):
    async def test(world):
        _, instance = await world.join()
        placed = world.launches.placed
        answer = await world.call(
            "UpdateContainerInstancesState",
            cluster="web",
            containerInstances=[instance.arn, "nope"],
            status="DRAINING",
        )
        assert [one["status"] for one in answer["containerInstances"]] == ["DRAINING"]
        assert [one["reason"] for one in answer["failures"]] == ["MISSING"]
        listed = await world.call("ListContainerInstances", cluster="web", status="DRAINING")
        assert listed["containerInstanceArns"] == [instance.arn]
        assert world.launches.placed == placed
        await world.call(
            "UpdateContainerInstancesState", cluster="web", containerInstances=[instance.id], status="ACTIVE"
        )
        assert (await shown(world, instance))["version"] == 3
        assert world.launches.placed == placed + 1

    run(test)


def test_deregistering_needs_force_while_tasks_run_and_is_final(run):
    async def test(world):
        host, instance = await world.join()
        task = world.task(instance)
        with pytest.raises(AwsError) as caught:
            await world.call("DeregisterContainerInstance", cluster="web", containerInstance=instance.id)
        assert caught.value.message == "Found running tasks on the instance."
        answer = await world.call(
            "DeregisterContainerInstance", cluster="web", containerInstance=instance.id, force=True
        )
        assert answer["containerInstance"]["status"] == "INACTIVE"
        assert world.runner.stopped == [
            (task.arn, "UserInitiated", "Container instance deregistration forced by user")
        ]
        await world.joining.joined(host)
        assert [one.status for one in world.records.instances.by("ec2", host.id)] == ["INACTIVE"]
        await world.joining.stopped(host)
        await world.joining.joined(host)  # its agent starts anew with the instance
        assert [one.status for one in world.records.instances.by("ec2", host.id)] == ["INACTIVE", "ACTIVE"]

    run(test)


def test_lists_come_in_pages_and_are_filtered(run):
    async def test(world):
        instances = [(await world.join(zone=f"{REGION}{'ab'[n % 2]}"))[1] for n in range(5)]
        seen, token = [], None
        while True:
            more = {"nextToken": token} if token else {}
            answer = await world.call("ListContainerInstances", cluster="web", maxResults=2, **more)
            seen += answer["containerInstanceArns"]
            token = answer["nextToken"]
            if token is None:
                break
        assert sorted(seen) == sorted(one.arn for one in instances)
        answer = await world.call("ListContainerInstances", cluster="web", filter=f"zone=={REGION}b")
        assert len(answer["containerInstanceArns"]) == 2

    run(test)


def test_registering_by_hand_connects_only_instances_of_ours(run):
    async def test(world):
        host = world.host()
        document = json.dumps({"instanceId": host.id, "region": REGION})
        answer = await world.call(
            "RegisterContainerInstance",
            cluster="web",
            instanceIdentityDocument=document,
            totalResources=[{"name": "CPU", "type": "INTEGER", "integerValue": 999999}],
            attributes=[{"name": "rack", "value": "b"}],
            tags=[{"key": "k", "value": "v"}],
        )
        one = answer["containerInstance"]
        assert one["agentConnected"] is True
        assert numbers(one["registeredResources"])["CPU"] == 2048
        assert {"name": "rack", "value": "b"} in one["attributes"]
        again = await world.call(
            "RegisterContainerInstance", cluster="web", instanceIdentityDocument=document
        )
        assert again["containerInstance"]["containerInstanceArn"] == one["containerInstanceArn"]
        other = await world.call(
            "RegisterContainerInstance",
            cluster="web",
            instanceIdentityDocument=json.dumps({"instanceId": "i-elsewhere"}),
            totalResources=[{"name": "MEMORY", "type": "INTEGER", "integerValue": 512}],
        )
        assert other["containerInstance"]["agentConnected"] is False
        assert numbers(other["containerInstance"]["registeredResources"])["MEMORY"] == 512
        with pytest.raises(AwsError):
            await world.call("RegisterContainerInstance", cluster="web", instanceIdentityDocument="{")

    run(test)


def test_attributes_are_put_listed_and_deleted(run):
    async def test(world):
        _, instance = await world.join()
        _, other = await world.join()
        await world.call(
            "PutAttributes",
            cluster="web",
            attributes=[
                {"name": "stack", "value": "prod", "targetId": instance.arn},
                {"name": "stack", "value": "test", "targetId": other.id, "targetType": "container-instance"},
            ],
        )
        found = await world.call(
            "ListAttributes", cluster="web", targetType="container-instance", attributeName="stack"
        )
        assert {(one["targetId"], one["value"]) for one in found["attributes"]} == {
            (instance.arn, "prod"),
            (other.arn, "test"),
        }
        found = await world.call(
            "ListAttributes",
            cluster="web",
            targetType="container-instance",
            attributeName="stack",
            attributeValue="prod",
        )
        assert [one["targetId"] for one in found["attributes"]] == [instance.arn]
        gone = await world.call(
            "DeleteAttributes", cluster="web", attributes=[{"name": "stack", "targetId": instance.id}]
        )
        assert gone["attributes"] == [{"name": "stack", "targetId": instance.arn}]
        found = await world.call(
            "ListAttributes", cluster="web", targetType="container-instance", attributeName="stack"
        )
        assert [one["targetId"] for one in found["attributes"]] == [other.arn]

    run(test)


def test_at_most_ten_attributes_are_a_users_own(run):
    async def test(world):
        _, instance = await world.join()
        for number in range(10):
            one = {"name": f"a{number}", "targetId": instance.id}
            await world.call("PutAttributes", cluster="web", attributes=[one])
        await world.call(
            "PutAttributes", cluster="web", attributes=[{"name": "a0", "value": "x", "targetId": instance.id}]
        )
        with pytest.raises(AwsError) as caught:
            await world.call(
                "PutAttributes", cluster="web", attributes=[{"name": "b", "targetId": instance.id}]
            )
        assert caught.value.code == "AttributeLimitExceededException"
        with pytest.raises(AwsError) as caught:
            await world.call("PutAttributes", cluster="web", attributes=[{"name": "b", "targetId": "nope"}])
        assert caught.value.code == "TargetNotFoundException"

    run(test)


def test_an_instance_of_a_known_address_is_updated_when_its_slice_changes(run):
    async def test(world):
        host, instance = await world.join()
        await world.joining.joined(replace(host, address="10.9.9.9"))
        assert world.records.instances.get(instance.arn).address == "10.9.9.9"

    run(test)


async def in_a_group(world, draining="ENABLED"):
    """An instance of a capacity provider that drains, or does not."""
    world.groups.add("g")
    provider = {"autoScalingGroupArn": world.groups.all["g"].arn, "managedDraining": draining}
    await world.call("CreateCapacityProvider", name="cp", autoScalingGroupProvider=provider)
    cluster = world.records.clusters.all()[0]
    world.records.clusters.put(replace(cluster, capacity_providers=("cp",)))
    return await world.join(group="g")


def test_managed_draining_waits_for_tasks_but_not_for_daemons(run):
    async def test(world):
        host, instance = await in_a_group(world)
        task = world.task(instance)
        assert await world.joining.retiring([host.id])
        found = world.records.instances.get(instance.arn)
        assert (found.capacity_provider, found.status) == ("cp", "DRAINING")
        await world.joining.joined(host)  # it is looked at meanwhile
        assert world.records.instances.get(instance.arn).status == "DRAINING"
        world.records.tasks.put(replace(task, last_status=TaskStatus.STOPPED))
        assert not await world.joining.retiring([host.id])
        world.joining.retired([host.id])
        await world.joining.joined(host)  # it was not ended after all
        assert world.records.instances.get(instance.arn).status == "ACTIVE"

    run(test)


def test_who_was_drained_by_hand_stays_so(run):
    async def test(world):
        host, instance = await in_a_group(world)
        await world.joining.retiring([host.id])
        for status in ("ACTIVE", "DRAINING"):
            await world.call(
                "UpdateContainerInstancesState",
                cluster="web",
                containerInstances=[instance.id],
                status=status,
            )
        world.joining.retired([host.id])
        await world.joining.joined(host)
        assert world.records.instances.get(instance.arn).status == "DRAINING"

    run(test)


def test_without_managed_draining_nobody_is_waited_for(run):
    async def test(world):
        host, instance = await in_a_group(world, "DISABLED")
        world.task(instance)
        assert not await world.joining.retiring([host.id])
        assert world.records.instances.get(instance.arn).status == "ACTIVE"

    run(test)
