"""StopTask, DescribeTasks, ListTasks, protection, agents' reports, and the sweep."""

import pytest
from msgspec.structs import replace
from placing_kit import (
    CALLER,
    NETWORK,
    a_cluster,
    a_definition,
    a_service,
    an_ec2_definition,
    an_instance,
    cluster_arn,
    run,
)

from cumulo.base.errors import AwsError
from cumulo.services.ecs import task_sweep
from cumulo.services.ecs.agent_calls import AgentCalls
from cumulo.services.ecs.model import Health, StopCode, TaskStatus
from cumulo.services.ecs.task_protection import OwnProtection, TaskProtection
from cumulo.services.ecs.task_sweep import TaskSweep
from cumulo.services.ecs.task_views import task_view

FARGATE = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": NETWORK}


async def started(it, **values):
    it.define(a_definition())
    answer = await it.tasks.run(CALLER, FARGATE | values)
    return [it.records.tasks.get(task["taskArn"]) for task in answer["tasks"]]


async def of_a_service(it, count=1):
    it.records.services.put(a_service())
    launched = await it.launch(
        it.define(a_definition()),
        launch_type="FARGATE",
        network=NETWORK,
        count=count,
        service="shop",
        group="service:shop",
        deployment="ecs-svc/1",
        started_by="ecs-svc/1",
    )
    return list(launched.tasks)


def test_stopping_says_who_wanted_it_and_why(tmp_path):
    async def body(it):
        first, second = await started(it, count=2)
        answer = await it.tasks.stop(CALLER, {"task": first.id})
        assert answer["task"]["desiredStatus"] == "STOPPED"
        assert (answer["task"]["stopCode"], answer["task"]["stoppedReason"]) == (
            "UserInitiated",
            "Task stopped by user",
        )
        await it.tasks.stop(CALLER, {"task": second.arn, "reason": "enough"})
        assert it.runner.stopped[1] == (second.arn, StopCode.USER_INITIATED, "enough")

    run(tmp_path, body)


@pytest.mark.parametrize("name", ["f" * 32, "arn:aws:ecs:eu-west-1:123456789012:task/other/" + "f" * 32])
def test_a_task_that_is_not_there_cannot_be_stopped(tmp_path, name):
    async def body(it):
        with pytest.raises(AwsError) as caught:
            await it.tasks.stop(CALLER, {"task": name})
        assert (caught.value.code, caught.value.message) == (
            "InvalidParameterException",
            "The referenced task was not found.",
        )

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("None", "taskId length should be one of [32,36]"),
        ("", "taskId length should be one of [32,36]"),
        ("main/" + "f" * 32, "Invalid identifier: Unexpected number of separators"),
    ],
)
def test_what_can_be_no_tasks_name_is_refused(tmp_path, name, sentence):
    async def body(it):
        for operation, values in ((it.tasks.stop, {"task": name}), (it.tasks.describe, {"tasks": [name]})):
            with pytest.raises(AwsError) as caught:
                await operation(CALLER, values)
            assert (caught.value.code, caught.value.message) == ("InvalidParameterException", sentence)

    run(tmp_path, body)


def test_a_task_of_another_cluster_is_not_found(tmp_path):
    async def body(it):
        it.records.clusters.put(a_cluster("other"))
        (task,) = await started(it)
        answer = await it.tasks.describe(CALLER, {"cluster": "other", "tasks": [task.arn]})
        assert answer == {"tasks": [], "failures": [{"reason": "MISSING", "arn": task.arn}]}

    run(tmp_path, body)


def test_describing_shows_tags_only_when_asked_and_names_what_is_missing(tmp_path):
    async def body(it):
        (task,) = await started(it, tags=[{"key": "a", "value": "b"}])
        plain = await it.tasks.describe(CALLER, {"tasks": [task.id, task.arn, "0" * 32]})
        assert [one["tags"] for one in plain["tasks"]] == [[], []]
        assert plain["failures"] == [
            {"reason": "MISSING", "arn": cluster_arn().replace(":cluster/", ":task/") + f"/{0:032}"}
        ]
        tagged = await it.tasks.describe(CALLER, {"tasks": [task.id], "include": ["TAGS"]})
        assert tagged["tasks"][0]["tags"] == [{"key": "a", "value": "b"}]
        for tasks in ([], ["x"] * 101):
            with pytest.raises(AwsError):
                await it.tasks.describe(CALLER, {"tasks": tasks})

    run(tmp_path, body)


def test_listing_filters_and_pages(tmp_path):
    async def body(it):
        it.instances(an_instance(1))
        it.define(an_ec2_definition())
        on_instance = (await it.launch(it.records.definitions.all()[0])).tasks[0]
        fargate = await started(it, count=3, startedBy="me")
        service = await of_a_service(it)
        ended = it.end(fargate[0])

        async def listed(**values):
            return (await it.tasks.list_(CALLER, values))["taskArns"]

        live = sorted(one.arn for one in [on_instance, *fargate[1:], *service])
        assert await listed() == live
        assert await listed(desiredStatus="STOPPED") == [ended.arn]
        assert await listed(desiredStatus="PENDING") == []
        assert await listed(family="job") == [on_instance.arn]
        assert await listed(launchType="EC2") == [on_instance.arn]
        assert await listed(containerInstance=an_instance(1).id) == [on_instance.arn]
        assert await listed(serviceName="shop") == [service[0].arn]
        assert await listed(serviceName=a_service().arn) == [service[0].arn]
        assert await listed(startedBy="me") == sorted(one.arn for one in fargate[1:])
        pages, token = [], None
        while True:
            values = {"maxResults": 3} | ({"nextToken": token} if token else {})
            answer = await it.tasks.list_(CALLER, values)
            pages.append(answer["taskArns"])
            token = answer["nextToken"]
            if not token:
                break
        assert [len(one) for one in pages] == [3, 1]
        assert pages[0] + pages[1] == live

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"serviceName": "nope"}, "ServiceNotFoundException"),
        ({"maxResults": 101}, "InvalidParameterException"),
        ({"nextToken": "zzz"}, "InvalidParameterException"),
        ({"cluster": "nope"}, "ClusterNotFoundException"),
        ({"startedBy": "me", "family": "web"}, "InvalidParameterException"),
    ],
)
def test_lists_that_cannot_be_are_refused(tmp_path, values, code):
    async def body(it):
        with pytest.raises(AwsError) as caught:
            await it.tasks.list_(CALLER, values)
        assert caught.value.code == code

    run(tmp_path, body)


def test_a_running_task_shows_its_network_its_containers_and_its_times(tmp_path):
    async def body(it):
        (task,) = await started(it)
        container = replace(
            task.containers[0],
            status="RESOURCES_PROVISIONED",
            health=Health.HEALTHY,
            runtime_id="r-1",
            image_digest="sha256:1",
            interfaces=({"attachmentId": task.attachment_id, "privateIpv4Address": "10.0.0.5"},),
        )
        shown = task_view(
            replace(
                task,
                last_status=TaskStatus.RUNNING,
                private_ip="10.0.0.5",
                mac="02:00:00:00:00:01",
                containers=(container,),
                started_at=5.0,
            ),
            tags=False,
        )
        details = {one["name"]: one["value"] for one in shown["attachments"][0]["details"]}
        assert details == {
            "subnetId": task.subnet,
            "networkInterfaceId": task.eni,
            "macAddress": "02:00:00:00:00:01",
            "privateDnsName": "ip-10-0-0-5.eu-west-1.compute.internal",
            "privateIPv4Address": "10.0.0.5",
        }
        assert shown["attachments"][0]["status"] == "ATTACHED"
        assert shown["startedAt"] == 5.0
        assert "stoppedAt" not in shown
        only = shown["containers"][0]
        assert (only["lastStatus"], only["healthStatus"], only["runtimeId"]) == ("RUNNING", "HEALTHY", "r-1")
        assert only["networkInterfaces"][0]["privateIpv4Address"] == "10.0.0.5"
        assert "exitCode" not in only

    run(tmp_path, body)


def test_an_exit_code_of_zero_is_shown(tmp_path):
    async def body(it):
        (task,) = await started(it)
        stopped = replace(
            task,
            last_status=TaskStatus.STOPPED,
            stop_code="EssentialContainerExited",
            stopped_reason="Essential container in task exited",
            containers=(replace(task.containers[0], status="STOPPED", exit_code=0),),
        )
        shown = task_view(stopped, tags=False)
        assert shown["containers"][0]["exitCode"] == 0
        assert shown["stopCode"] == "EssentialContainerExited"
        assert shown["attachments"][0]["status"] == "DELETED"

    run(tmp_path, body)


def test_protection_is_for_tasks_of_services_and_ends_by_itself(tmp_path):
    async def body(it):
        (alone,) = await started(it)
        (task,) = await of_a_service(it)
        asked = {"cluster": "main", "tasks": [task.id, alone.id, "0" * 32], "protectionEnabled": True}
        answer = await it.protection.update(CALLER, asked)
        until = it.clock.now() + 120 * 60
        assert answer["protectedTasks"] == [
            {"taskArn": task.arn, "protectionEnabled": True, "expirationDate": until}
        ]
        assert [one["reason"] for one in answer["failures"]] == ["TASK_NOT_VALID", "MISSING"]
        await it.reopen()
        get = {"cluster": "main", "tasks": [task.arn]}
        assert (await it.protection.get(CALLER, get))["protectedTasks"] == answer["protectedTasks"]
        it.clock.advance(120 * 60)
        ended = await it.protection.get(CALLER, get)
        assert ended["protectedTasks"] == [{"taskArn": task.arn, "protectionEnabled": False}]

    run(tmp_path, body)


def test_a_task_protects_itself_from_inside(tmp_path):
    async def body(it):
        (alone,) = await started(it)
        (task,) = await of_a_service(it)
        own = OwnProtection(it.protection)
        assert await own.get(task) == {"taskArn": task.arn, "protectionEnabled": False}
        shown = await own.update(task, enabled=True, minutes=5)
        assert shown["expirationDate"] == it.clock.now() + 300
        assert await own.get(task) == shown
        with pytest.raises(AwsError) as caught:
            await own.update(alone, enabled=True, minutes=None)
        assert caught.value.code == "TASK_NOT_VALID"

    run(tmp_path, body)


@pytest.mark.parametrize("minutes", [0, 2881])
def test_protection_has_its_bounds(tmp_path, minutes):
    async def body(it):
        (task,) = await of_a_service(it)
        values = {"cluster": "main", "tasks": [task.id], "protectionEnabled": True}
        with pytest.raises(AwsError) as caught:
            await it.protection.update(CALLER, values | {"expiresInMinutes": minutes})
        assert caught.value.code == "InvalidParameterException"
        off = await it.protection.update(CALLER, values | {"protectionEnabled": False})
        assert off["protectedTasks"] == [{"taskArn": task.arn, "protectionEnabled": False}]

    run(tmp_path, body)


def test_stopped_tasks_are_kept_an_hour_and_then_forgotten(tmp_path):
    async def body(it):
        first, second, third = await started(it, count=3)
        it.end(first)
        it.clock.advance(1800)
        it.end(second)
        sweep = TaskSweep(it.records, it.clock)
        it.clock.advance(1799)
        await sweep.sweep()
        assert len(it.records.tasks) == 3
        it.clock.advance(1)
        await sweep.sweep()
        assert sorted(one.arn for one in it.records.tasks.all()) == sorted([second.arn, third.arn])
        await it.reopen()
        assert len(it.records.tasks) == 2

    run(tmp_path, body)


def test_a_cluster_keeps_only_so_many_stopped_tasks(tmp_path, monkeypatch):
    monkeypatch.setattr(task_sweep, "KEPT_MAX", 2)

    async def body(it):
        tasks = await started(it, count=4)
        for task in tasks:
            it.end(task)
            it.clock.advance(1)
        await TaskSweep(it.records, it.clock).sweep()
        assert sorted(one.arn for one in it.records.tasks.all()) == sorted(one.arn for one in tasks[2:])

    run(tmp_path, body)


def test_an_agents_report_of_what_is_known_is_acknowledged_and_news_are_refused(tmp_path):
    async def body(it):
        (task,) = await started(it)
        it.records.tasks.put(replace(task, last_status=TaskStatus.RUNNING))
        agents = AgentCalls(it.records, find_cluster=it.find_cluster)
        for status in ("RUNNING", "CREATED"):
            assert await agents.task(CALLER, {"task": task.arn, "status": status}) == {
                "acknowledgment": "ACK"
            }
        for values in ({"status": "STOPPED"}, {"containers": [{"containerName": "app", "exitCode": 1}]}):
            with pytest.raises(AwsError) as caught:
                await agents.task(CALLER, {"task": task.arn} | values)
            assert caught.value.code == "NotImplemented"
        with pytest.raises(AwsError, match="The referenced task was not found"):
            await agents.container(CALLER, {"task": "0" * 32, "containerName": "app"})
        assert await agents.container(
            CALLER, {"task": task.arn, "containerName": "app", "status": "PENDING"}
        ) == {"acknowledgment": "ACK"}
        attachment = f"arn:aws:ecs:eu-west-1:123456789012:attachment/main/{task.attachment_id}"
        report = {"attachments": [{"attachmentArn": attachment, "status": "PRECREATED"}]}
        assert await agents.attachments(CALLER, report) == {"acknowledgment": "ACK"}
        report["attachments"][0]["status"] = "ATTACHED"
        with pytest.raises(AwsError) as caught:
            await agents.attachments(CALLER, report)
        assert caught.value.code == "NotImplemented"

    run(tmp_path, body)


def test_one_more_protected_task_may_not_hold_up_a_deployment(tmp_path):
    async def body(it):
        first, second = await of_a_service(it, count=2)
        it.protection = TaskProtection(
            it.records, it.clock, find_cluster=it.find_cluster, replaced=lambda task: True
        )
        asked = {"cluster": "main", "protectionEnabled": True}
        answer = await it.protection.update(CALLER, asked | {"tasks": [first.arn]})
        assert answer["failures"] == []
        answer = await it.protection.update(CALLER, asked | {"tasks": [second.arn]})
        assert answer == {
            "protectedTasks": [],
            "failures": [{"arn": second.arn, "reason": "DEPLOYMENT_BLOCKED"}],
        }
        assert it.records.tasks.get(second.arn).protected_until == 0.0
        released = asked | {"protectionEnabled": False, "tasks": [first.arn]}
        assert (await it.protection.update(CALLER, released))["failures"] == []

    run(tmp_path, body)


def test_a_task_that_waits_for_capacity_has_no_containers_yet(tmp_path):
    async def body(it):
        (task,) = await started(it)
        shown = task_view(replace(task, waits="capacity"), tags=False)
        assert shown["containers"] == shown["overrides"]["containerOverrides"] == []
        assert "healthStatus" not in shown

    run(tmp_path, body)
