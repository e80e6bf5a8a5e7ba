"""RunTask on Fargate: within the machine, idempotent, every derived field of a task."""

import asyncio

import pytest
from placing_kit import ACCOUNT, CALLER, NETWORK, REGION, a_cluster, a_definition, cluster_arn, run

from cumulo.base.errors import AwsError
from cumulo.services.ecs.launching import NO_CAPACITY
from cumulo.state.store import StoreError


def fargate(**fields):
    return {
        "taskDefinition": "web",
        "launchType": "FARGATE",
        "networkConfiguration": NETWORK,
    } | fields


def refused(tmp_path, code, sentence, *, definition=None, **fields):
    async def body(it):
        it.define(definition or a_definition())
        with pytest.raises(AwsError) as caught:
            await it.tasks.run(CALLER, fargate(**fields))
        assert (caught.value.code, sentence in caught.value.message) == (code, True), caught.value
        assert len(it.records.tasks) == 0
        assert it.runner.taken_up == []

    run(tmp_path, body)


def test_a_task_has_every_field_that_aws_derives(tmp_path):
    async def body(it):
        containers = [
            {"name": "app", "image": "nginx", "essential": True, "cpu": 128, "memory": 256},
            {"name": "side", "image": "busybox", "essential": False, "cpu": 0, "memoryReservation": 64},
        ]
        it.define(a_definition(containers=containers, ephemeralStorage={"sizeInGiB": 30}))
        with pytest.raises(AwsError, match="a valid task role is not being used"):
            await it.tasks.run(CALLER, fargate(enableExecuteCommand=True))
        role = {"taskRoleArn": f"arn:aws:iam::{ACCOUNT}:role/app"}
        answer = await it.tasks.run(
            CALLER, fargate(startedBy="me", enableExecuteCommand=True, overrides=role)
        )
        assert answer["failures"] == []
        (task,) = answer["tasks"]
        prefix = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
        id_ = task["taskArn"].removeprefix(f"{prefix}:task/main/")
        assert len(id_) == 32
        (attachment,) = task["attachments"]
        assert attachment["type"] == "ElasticNetworkInterface"
        (subnet,) = attachment["details"]
        assert subnet["name"] == "subnetId"
        zone = {"subnet-a": "eu-west-1a", "subnet-b": "eu-west-1b"}[subnet["value"]]
        first, second = task.pop("containers")
        for one in (first, second):
            assert one["containerArn"].startswith(f"{prefix}:container/main/{id_}/")
            assert one["managedAgents"] == [{"name": "ExecuteCommandAgent", "lastStatus": "PENDING"}]
            assert one["networkInterfaces"] == []
            assert not {"networkBindings", "healthStatus"} & set(one)  # nobody has said anything of them yet
        assert (first["name"], first["cpu"], first["memory"]) == ("app", "128", "256")
        assert (second["cpu"], second["memoryReservation"], "memory" in second) == ("0", "64", False)
        assert task == {
            "attachments": [attachment],
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
            "availabilityZone": zone,
            "clusterArn": cluster_arn(),
            "cpu": "256",
            "createdAt": it.clock.now(),
            "desiredStatus": "RUNNING",
            "enableExecuteCommand": True,
            "ephemeralStorage": {"sizeInGiB": 30},
            "fargateEphemeralStorage": {"sizeInGiB": 30},
            "group": "family:web",
            "lastStatus": "PROVISIONING",
            "launchType": "FARGATE",
            "memory": "512",
            "overrides": {
                "containerOverrides": [{"name": "app"}, {"name": "side"}],
                "inferenceAcceleratorOverrides": [],
                **role,
            },
            "platformFamily": "Linux",
            "platformVersion": "1.4.0",
            "startedBy": "me",
            "tags": [],
            "taskArn": f"{prefix}:task/main/{id_}",
            "taskDefinitionArn": f"{prefix}:task-definition/web:1",
            "version": 1,
        }
        kept = it.records.tasks.get(task["taskArn"])
        assert kept.eni.startswith("eni-")
        assert it.runner.taken_up == [kept.arn]

    run(tmp_path, body)


def test_what_was_answered_is_there_after_a_restart_and_still_holds_its_room(tmp_path):
    async def body(it):
        it.define(a_definition(cpu="2048", memory="4096"))
        await it.tasks.run(CALLER, fargate(count=2))
        await it.reopen()
        assert len(it.records.tasks) == 2
        answer = await it.tasks.run(CALLER, fargate())
        assert answer["failures"] == [{"reason": NO_CAPACITY}]

    run(tmp_path, body)


def test_beyond_the_machine_there_is_awss_capacity_failure_and_room_again_when_a_task_ends(tmp_path):
    async def body(it):
        it.define(a_definition(cpu="1024", memory="2048"))
        answer = await it.tasks.run(CALLER, fargate(count=6))
        assert len(answer["tasks"]) == 4
        assert answer["failures"] == [{"reason": NO_CAPACITY}] * 2
        assert it.machine.room() == (0.0, 0)
        it.end(it.records.tasks.get(answer["tasks"][0]["taskArn"]))
        assert it.machine.room() == (1.0, 2048)
        again = await it.tasks.run(CALLER, fargate())
        assert len(again["tasks"]) == 1

    run(tmp_path, body)


def test_tasks_of_a_group_are_spread_over_the_zones_of_their_subnets(tmp_path):
    async def body(it):
        it.define(a_definition())
        answer = await it.tasks.run(CALLER, fargate(count=6))
        zones = [task["availabilityZone"] for task in answer["tasks"]]
        assert sorted(zones) == ["eu-west-1a"] * 3 + ["eu-west-1b"] * 3

    run(tmp_path, body)


def test_subnets_are_asked_for_once_a_minute(tmp_path):
    async def body(it):
        it.define(a_definition())
        await it.tasks.run(CALLER, fargate())
        await it.tasks.run(CALLER, fargate())
        assert it.subnets.asked == 1
        it.clock.advance(61)
        await it.tasks.run(CALLER, fargate())
        assert it.subnets.asked == 2

    run(tmp_path, body)


def test_a_client_token_gives_the_same_tasks_again_and_refuses_another_request(tmp_path):
    async def body(it):
        it.define(a_definition())
        first = await it.tasks.run(CALLER, fargate(clientToken="t1", count=2))
        again = await it.tasks.run(CALLER, fargate(clientToken="t1", count=2))
        arns = [task["taskArn"] for task in first["tasks"]]
        assert sorted(task["taskArn"] for task in again["tasks"]) == sorted(arns)
        assert len(it.records.tasks) == 2
        with pytest.raises(AwsError) as caught:
            await it.tasks.run(CALLER, fargate(clientToken="t1", count=1))
        assert caught.value.code == "ConflictException"
        assert sorted(caught.value.fields["resourceIds"]) == sorted(arns)

    run(tmp_path, body)


def test_requests_at_the_same_time_never_share_room(tmp_path):
    async def body(it):
        it.define(a_definition(cpu="1024", memory="2048"))
        answers = await asyncio.gather(*(it.tasks.run(CALLER, fargate(count=2)) for _ in range(10)))
        assert sum(len(one["tasks"]) for one in answers) == 4
        assert sum(len(one["failures"]) for one in answers) == 16
        assert it.machine.room() == (0.0, 0)
        assert sorted(it.runner.taken_up) == sorted(task.arn for task in it.records.tasks.all())

    run(tmp_path, body)


def test_a_client_token_that_comes_twice_at_the_same_time_starts_its_tasks_once(tmp_path):
    async def body(it):
        it.define(a_definition())
        answers = await asyncio.gather(
            *(it.tasks.run(CALLER, fargate(clientToken="t", count=2)) for _ in range(5))
        )
        found = [sorted(task["taskArn"] for task in one["tasks"]) for one in answers]
        assert found == found[:1] * 5
        assert len(it.records.tasks) == 2
        assert sorted(it.runner.taken_up) == found[0]

    run(tmp_path, body)


def test_fargate_spot_is_a_provider_whose_tasks_have_the_launch_type_fargate(tmp_path):
    async def body(it):
        it.define(a_definition())
        strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        values = fargate(capacityProviderStrategy=strategy)
        del values["launchType"]
        (task,) = (await it.tasks.run(CALLER, values))["tasks"]
        assert (task["capacityProviderName"], task["launchType"]) == ("FARGATE_SPOT", "FARGATE")

    run(tmp_path, body)


def test_without_launch_type_and_strategy_the_clusters_default_decides(tmp_path):
    async def body(it):
        default = ({"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0},)
        it.records.clusters.put(
            a_cluster(capacity_providers=("FARGATE", "FARGATE_SPOT"), default_strategy=default)
        )
        it.define(a_definition())
        values = fargate()
        del values["launchType"]
        (task,) = (await it.tasks.run(CALLER, values))["tasks"]
        assert task["capacityProviderName"] == "FARGATE_SPOT"

    run(tmp_path, body)


def test_overrides_change_the_size_that_is_promised(tmp_path):
    async def body(it):
        it.define(a_definition())
        overrides = {
            "cpu": "1 vCPU",
            "memory": "2 GB",
            "containerOverrides": [{"name": "app", "command": ["true"]}],
        }
        (task,) = (await it.tasks.run(CALLER, fargate(overrides=overrides)))["tasks"]
        assert (task["cpu"], task["memory"]) == ("1024", "2048")
        assert (task["overrides"]["cpu"], task["overrides"]["memory"]) == ("1024", "2048")
        assert task["overrides"]["containerOverrides"] == [{"name": "app", "command": ["true"]}]
        assert it.machine.room() == (3.0, 8192 - 2048)

    run(tmp_path, body)


def test_tags_come_from_the_request_over_the_definition_over_ecs_itself(tmp_path):
    async def body(it):
        it.define(a_definition(tags={"team": "a", "kind": "definition"}))
        values = fargate(
            tags=[{"key": "kind", "value": "request"}],
            propagateTags="TASK_DEFINITION",
            enableECSManagedTags=True,
        )
        (task,) = (await it.tasks.run(CALLER, values))["tasks"]
        assert {one["key"]: one["value"] for one in task["tags"]} == {
            "aws:ecs:clusterName": "main",
            "team": "a",
            "kind": "request",
        }

    run(tmp_path, body)


def test_when_the_disk_refuses_no_task_keeps_its_room(tmp_path):
    async def body(it):
        it.define(a_definition())
        await it.store.commit()

        async def full():
            raise StoreError("full")

        commit, it.store.commit = it.store.commit, full
        with pytest.raises(StoreError):
            await it.tasks.run(CALLER, fargate())
        it.store.commit = commit
        assert it.machine.room() == (4.0, 8192)
        assert it.runner.taken_up == []
        await it.reopen()
        assert len(it.records.tasks) == 0

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("code", "sentence", "fields"),
    [
        ("InvalidParameterException", "between 1 and 10", {"count": 11}),
        ("InvalidParameterException", "between 1 and 10", {"count": 0}),
        (
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            {"networkConfiguration": {}},
        ),
        (
            "InvalidParameterException",
            (
                "Error retrieving subnet information for [subnet-x]: The subnet ID 'subnet-x' does not exist"
                " (ErrorCode: InvalidSubnetID.NotFound)"
            ),
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-x"]}}},
        ),
        (
            "InvalidParameterException",
            "Override for container named other is not a container in the TaskDefinition.",
            {"overrides": {"containerOverrides": [{"name": "other"}]}},
        ),
        (
            "InvalidParameterException",
            "Specifying both a launch type and capacity provider strategy is not supported.",
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
        ),
        (
            "InvalidParameterException",
            "Container Overrides length must be at most 8192",
            {"overrides": {"containerOverrides": [{"name": "app", "command": ["x" * 8192]}]}},
        ),
        ("PlatformUnknownException", "9.9.9", {"platformVersion": "9.9.9"}),
        ("InvalidParameterException", "service:", {"group": "service:web"}),
        ("InvalidParameterException", "startedBy", {"startedBy": "x" * 129}),
        ("InvalidParameterException", "aws:", {"tags": [{"key": "aws:x", "value": "y"}]}),
        ("InvalidParameterException", "SERVICE", {"propagateTags": "SERVICE"}),
        ("NotImplemented", "volumeConfigurations", {"volumeConfigurations": [{"name": "v"}]}),
        ("NotImplemented", "EXTERNAL", {"launchType": "EXTERNAL"}),
        ("ClientException", "No Fargate configuration exists", {"overrides": {"memory": "100"}}),
        ("ClusterNotFoundException", "Cluster not found.", {"cluster": "other"}),
        ("ClientException", "TaskDefinition not found.", {"taskDefinition": "other"}),
        (
            "InvalidParameterException",
            "not supported with FARGATE",
            {"placementStrategy": [{"type": "random"}]},
        ),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, code, sentence, fields):
    refused(tmp_path, code, sentence, **fields)


def test_a_definition_that_is_not_for_fargate_is_refused(tmp_path):
    definition = a_definition(compatibilities=["EC2"])
    sentence = "Task definition does not support launch_type FARGATE."
    refused(tmp_path, "InvalidParameterException", sentence, definition=definition)


def test_an_inactive_definition_is_refused(tmp_path):
    definition = a_definition(status="INACTIVE")
    refused(tmp_path, "ClientException", "TaskDefinition is inactive", definition=definition)
