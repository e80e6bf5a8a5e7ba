"""The life of tasks as clients see it: states, stop codes and reasons, exit codes, times, interfaces, events."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.containers_kit import needs_local
from tests.ecs_kit import (
    ROLE,
    WAITER,
    a_region,
    fargate,
    network,
    push_tools,
    run,
    running,
    shell,
    stopped,
    task,
)
from tests.support import Process, until

pytestmark = needs_local
TIMES = ("createdAt", "connectivityAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt")  # fmt: skip
STATES = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")  # fmt: skip
EXITED = ("EssentialContainerExited", "Essential container in task exited")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with a_region(tmp_path_factory.mktemp("lifecycle") / "data") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


@pytest.fixture(scope="module")
def aws(cloud: Process) -> Any:
    client = cloud.client("ecs")
    client.create_cluster()
    return client


@pytest.fixture(scope="module")
def events(cloud: Process) -> Callable[[str], list[dict[str, Any]]]:
    """The events of a task (its ARN) so far, through a rule and a queue."""
    queues, rules = cloud.client("sqs"), cloud.client("events")
    url = queues.create_queue(QueueName="events")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rules.put_rule(Name="all", EventPattern=json.dumps({"source": ["aws.ecs"]}))
    rules.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": arn}])
    seen: list[dict[str, Any]] = []

    def about(resource: str) -> list[dict[str, Any]]:
        while messages := queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                seen.append(json.loads(message["Body"]))
                queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        mine = [one for one in seen if one["resources"] == [resource]]
        return sorted(mine, key=lambda one: one["detail"]["version"])

    return about


class Watch:
    """Everything that DescribeTasks ever showed of a task, asked as quickly as it answers."""

    def __init__(self, cloud: Process, arn: str) -> None:
        self.seen: list[dict[str, Any]] = []
        self._client = cloud.client("ecs")
        self._arn = arn
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            one = task(self._client, self._arn)
            if not self.seen or self.seen[-1] != one:
                self.seen.append(one)
            if one["lastStatus"] == "STOPPED":
                return

    def done(self) -> list[dict[str, Any]]:
        self._thread.join(60)
        assert self.seen[-1]["lastStatus"] == "STOPPED"
        return self.seen


def ended(one: dict[str, Any]) -> tuple[str, str]:
    return one["stopCode"], one["stoppedReason"]


def in_order(one: dict[str, Any]) -> None:
    moments = [one[name] for name in TIMES if name in one]
    assert moments == sorted(moments), one


def test_a_task_on_fargate_through_all_its_states(cloud: Process, aws: Any, image: str, events: Any) -> None:
    of = fargate(
        aws, "whole", shell(image, "trap 'exit 5' TERM; while true; do sleep 0.1; done"), taskRoleArn=ROLE
    )
    given = {"containerOverrides": [{"name": "main", "environment": [{"name": "A", "value": "b"}]}]}
    first = run(aws, cloud, of, startedBy="me", group="mine", enableExecuteCommand=True, overrides=given)
    assert (first["lastStatus"], first["desiredStatus"], first["version"]) == ("PROVISIONING", "RUNNING", 1)
    [attachment] = first["attachments"]
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "PRECREATED")
    assert [one["name"] for one in attachment["details"]] == ["subnetId"]
    assert first["containers"][0]["managedAgents"] == [
        {"name": "ExecuteCommandAgent", "lastStatus": "PENDING"}
    ]
    arn = first["taskArn"]
    watch = Watch(cloud, arn)
    up = running(aws, arn)
    answer = aws.stop_task(cluster=arn.split("/")[1], task=arn, reason="enough")["task"]
    assert (answer["lastStatus"], answer["desiredStatus"]) == ("RUNNING", "STOPPED")
    assert ended(answer) == ("UserInitiated", "enough")
    seen = watch.done()
    states = [one["lastStatus"] for one in seen]
    assert [STATES.index(one) for one in states] == sorted(STATES.index(one) for one in states)
    versions = [one["version"] for one in seen]
    assert versions == sorted(versions)
    last = seen[-1]
    in_order(last)
    assert set(TIMES) <= set(last)
    assert ended(last) == ("UserInitiated", "enough")
    [container] = last["containers"]
    assert (container["exitCode"], container["lastStatus"]) == (5, "STOPPED"), "it has handled SIGTERM"
    assert "reason" not in container
    assert [one["lastStatus"] for one in container["managedAgents"]] == ["STOPPED"]
    assert (last["startedBy"], last["group"], last["overrides"]["containerOverrides"]) == (
        "me",
        "mine",
        given["containerOverrides"],
    )
    assert (last["cpu"], last["memory"], last["ephemeralStorage"]) == ("256", "512", {"sizeInGiB": 20})
    assert (last["platformVersion"], last["platformFamily"]) == ("1.4.0", "Linux")
    assert up["attachments"][0]["status"] == "ATTACHED"
    assert last["attachments"][0]["status"] == "DELETED"
    assert len(last["attachments"][0]["details"]) == 5
    until(lambda: any(one["detail"]["lastStatus"] == "STOPPED" for one in events(arn)), "the last event", 20)
    told = events(arn)
    assert [one["detail"]["version"] for one in told] == list(range(1, last["version"] + 1))
    assert list(dict.fromkeys(one["detail"]["lastStatus"] for one in told)) == list(STATES)
    detail = told[-1]["detail"]
    assert detail["attachments"][0]["type"] == "eni"
    assert detail["containers"][0]["managedAgents"] == [{"name": "ExecuteCommandAgent", "status": "STOPPED"}]
    assert (detail["stopCode"], detail["containers"][0]["exitCode"]) == ("UserInitiated", 5)
    assert "tags" not in detail


SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:none-abcdef"
LOGS = {"awslogs-group": "/none", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "s"}
FAILED = ("TaskFailedToStart", "Task failed to start")
ENDS: dict[str, tuple[dict[str, Any], str, str, int | None, str]] = {
    # what the container has more; stop code; stopped reason; exit code; how its reason begins
    "exit 0": ({"command": ["true"]}, *EXITED, 0, ""),
    "exit 7": ({"command": ["sh", "-c", "exit 7"]}, *EXITED, 7, ""),
    "no command": ({"command": ["/none"]}, *FAILED, None, "CannotStartContainerError: "),
    "no program": ({"command": ["/etc/passwd"]}, *FAILED, None, "CannotStartContainerError: "),
    "no image": ({"image": "NONE"}, FAILED[0], "CannotPullContainerError: ", None, "CannotPullContainerError: "),
    "memory": (
        {"command": ["sh", "-c", "x=a; while true; do x=$x$x; done"], "memory": 32},
        *EXITED,
        137,
        "OutOfMemoryError: Container killed due to memory usage",
    ),
    "no secret": (
        {"secrets": [{"name": "A", "valueFrom": SECRET}]},
        FAILED[0],
        "ResourceInitializationError: unable to pull secrets or registry auth: ",
        None,
        "",
    ),
    "no log group": (
        {"logConfiguration": {"logDriver": "awslogs", "options": LOGS}},
        FAILED[0],
        "ResourceInitializationError: failed to validate logger args: ",
        None,
        "ResourceInitializationError: failed to validate logger args: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_how_tasks_end_by_themselves(cloud: Process, aws: Any, image: str, name: str) -> None:
    more, code, reason, exit_code, said = ENDS[name]
    container = {"name": "main", "image": image, "command": ["true"]} | more
    if container["image"] == "NONE":
        container["image"] = image.rpartition(":")[0] + ":none"
    one = stopped(aws, run(aws, cloud, fargate(aws, "ends", container))["taskArn"])
    in_order(one)
    assert one["stopCode"] == code
    assert one["stoppedReason"].startswith(reason)
    [shown] = one["containers"]
    assert shown.get("exitCode") == exit_code
    assert shown.get("reason", "").startswith(said)
    assert bool(shown.get("reason")) is bool(said)
    assert ("startedAt" in one) is (exit_code is not None), "what has not started has no such time"


def test_containers_that_end_with_others_or_without(cloud: Process, aws: Any, image: str) -> None:
    needs = [{"containerName": "first", "condition": "SUCCESS"}]
    of = fargate(
        aws,
        "first",
        shell(image, "sleep 60", dependsOn=needs),
        shell(image, "exit 9", "first", essential=False),
    )
    one = stopped(aws, run(aws, cloud, of)["taskArn"])
    by_name = {it["name"]: it for it in one["containers"]}
    assert ended(one) == FAILED
    assert "exitCode" not in by_name["main"]
    assert "dependency did not exit successfully" in by_name["main"]["reason"]
    assert by_name["first"]["exitCode"] == 9
    of = fargate(
        aws,
        "deaf",
        shell(image, "sleep 0.5; exit 3"),
        shell(image, "trap '' TERM; while true; do sleep 1; done", "deaf", essential=False, stopTimeout=2),
        shell(image, "exit 4", "short", essential=False),
    )
    one = stopped(aws, run(aws, cloud, of)["taskArn"])
    assert ended(one) == EXITED
    assert {it["name"]: it["exitCode"] for it in one["containers"]} == {"main": 3, "deaf": 137, "short": 4}


def test_tasks_on_an_instance_in_every_network(cloud: Process, aws: Any, image: str, events: Any) -> None:
    aws.create_cluster(clusterName="own")
    script = "#!/bin/bash\necho ECS_CLUSTER=own >> /etc/ecs/ecs.config\n"
    cloud.client("ec2").run_instances(
        ImageId="ami-ecs", MinCount=1, MaxCount=1, InstanceType="t3.micro", UserData=script
    )
    [instance] = until(
        lambda: aws.list_container_instances(cluster="own")["containerInstanceArns"], "it joins", 30
    )
    # Networks, and the networkBindings (None: a port of the instance's choice) of a container's port 80.
    modes: dict[str, list[tuple[str, int, int | None]]] = {
        "bridge": [("0.0.0.0", 80, None)],
        "host": [("0.0.0.0", 80, 80)],
        "none": [],
        "awsvpc": [],
    }
    for mode, bindings in modes.items():
        ports = [{"containerPort": 80}] if mode != "none" else []
        served = shell(
            image, "sleep 60", cpu=10, memoryReservation=64, memory=100, stopTimeout=2, portMappings=ports
        )
        aws.register_task_definition(family=mode, networkMode=mode, containerDefinitions=[served])
        subnets = network(cloud)["awsvpcConfiguration"]["subnets"]
        more = (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": subnets}}}
            if mode == "awsvpc"
            else {}
        )
        answer = aws.run_task(cluster="own", taskDefinition=mode, launchType="EC2", **more)
        assert not answer["failures"]
        one = running(aws, answer["tasks"][0]["taskArn"])
        assert (one["cpu"], one["memory"]) == ("10", "64"), "what its containers come to"
        assert (one["containerInstanceArn"], one["launchType"]) == (instance, "EC2")
        assert not {"platformVersion", "ephemeralStorage"} & set(one)
        [container] = one["containers"]
        shown = [(it["bindIP"], it["containerPort"], it["hostPort"]) for it in container["networkBindings"]]
        assert [(ip, port, host if wanted[2] else None) for (ip, port, host), wanted in zip(shown, bindings, strict=True)] == bindings  # fmt: skip
        assert len(container["networkInterfaces"]) == len(one["attachments"]) == (mode == "awsvpc")
        aws.stop_task(cluster="own", task=one["taskArn"])
        done = stopped(aws, one["taskArn"])
        in_order(done)
        assert ended(done) == ("UserInitiated", "Task stopped by user")
        assert done["containers"][0]["exitCode"] == 137, "nobody handles SIGTERM"
    [described] = aws.describe_container_instances(cluster="own", containerInstances=[instance])[
        "containerInstances"
    ]
    told = until(lambda: len(found := events(instance)) >= described["version"] and found, "its events", 20)
    versions = [one["detail"]["version"] for one in told]
    assert versions == sorted(set(versions)), "whoever sees events twice, or late, knows by their version"
    assert versions[-1] == described["version"]
    left = {one["name"]: one.get("integerValue") for one in told[-1]["detail"]["remainingResources"]}
    assert left["CPU"] == 2048


def test_tasks_of_a_service_say_whose_they_are(cloud: Process, aws: Any, image: str) -> None:
    of = fargate(aws, "kept", shell(image, "sleep 60", stopTimeout=2))
    made = aws.create_service(
        serviceName="kept",
        taskDefinition=of,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network(cloud),
        propagateTags="SERVICE",
        enableECSManagedTags=True,
        tags=[{"key": "team", "value": "shop"}],
    )["service"]
    aws.get_waiter("services_stable").wait(services=["kept"], WaiterConfig=WAITER)
    [arn] = aws.list_tasks(serviceName="kept")["taskArns"]
    one = task(aws, arn)
    assert one["startedBy"] == made["deployments"][0]["id"]
    assert one["group"] == "service:kept"
    assert {it["key"]: it["value"] for it in one["tags"]} == {
        "team": "shop",
        "aws:ecs:clusterName": "default",
        "aws:ecs:serviceName": "kept",
    }
    aws.delete_service(service="kept", force=True)
    code, reason = ended(stopped(aws, arn))
    assert code == "ServiceSchedulerInitiated"
    assert reason == f"Scaling activity initiated by (deployment {one['startedBy']})"
