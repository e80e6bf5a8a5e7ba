"""Tasks on EC2 instances: real containers in an instance's part of the machine, from `run-instances` to the end."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import (
    a_cloud,
    base_layer,
    image_of,
    make_repository,
    needs_local,
    push_all,
    registry,
)
from tests.support import Process, until

from cumulo.base.folders import instance_of
from cumulo.engines.local.building import NETWORKS

pytestmark = needs_local
RECOMMENDED = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
USER_DATA = "#!/bin/bash\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\n"
SECONDS = 60


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Process]:
    with a_cloud(tmp_path / "data") as made:
        made.client("ecs").create_cluster(clusterName="web")
        yield made


def image(cloud: Process) -> str:
    uri = make_repository(cloud, "app")
    files, layers = image_of([base_layer()], Entrypoint=["/bin/busybox"])
    with registry(cloud) as client:
        push_all(client, "app", "1", files, layers)
    return f"{uri}:1"


def started(cloud: Process, **more: Any) -> str:
    ami = cloud.client("ssm").get_parameter(Name=RECOMMENDED)["Parameter"]["Value"]
    wanted = {
        "ImageId": ami,
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": USER_DATA,
    }
    return str(cloud.client("ec2").run_instances(**(wanted | more))["Instances"][0]["InstanceId"])


def instances(cloud: Process) -> list[dict[str, Any]]:
    ecs = cloud.client("ecs")
    arns = ecs.list_container_instances(cluster="web")["containerInstanceArns"]
    if not arns:
        return []
    found = ecs.describe_container_instances(cluster="web", containerInstances=arns)
    return list(found["containerInstances"])


def joined(cloud: Process, count: int = 1) -> list[dict[str, Any]]:
    def ready() -> list[dict[str, Any]] | None:
        found = [one for one in instances(cloud) if one["agentConnected"]]
        return found if len(found) == count else None

    found: list[dict[str, Any]] = until(ready, f"{count} instances join", SECONDS)
    return found


def defined(cloud: Process, uri: str, script: str, **more: Any) -> str:
    container = {
        "name": "main",
        "image": uri,
        "cpu": 128,
        "memory": 128,
        "command": ["sh", "-c", script],
        **more.pop("container", {}),
    }
    wanted = {"family": "app", "networkMode": "bridge", "containerDefinitions": [container]} | more
    answer = cloud.client("ecs").register_task_definition(**wanted)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def task(cloud: Process, arn: str) -> dict[str, Any]:
    (found,) = cloud.client("ecs").describe_tasks(cluster="web", tasks=[arn])["tasks"]
    return dict(found)


def becomes(cloud: Process, arn: str, status: str) -> dict[str, Any]:
    def ready() -> dict[str, Any] | None:
        found = task(cloud, arn)
        assert status == "STOPPED" or found["lastStatus"] != "STOPPED", found
        return found if found["lastStatus"] == status else None

    found: dict[str, Any] = until(ready, f"it is {status}", SECONDS)
    return found


def given_back(cloud: Process) -> bool:
    """Whether no instance has an address of this machine, which goes last, and no task a network."""
    folder = NETWORKS / instance_of(cloud.data)
    record = folder / "hosts"
    return not any(folder.glob("*.net")) and (not record.exists() or "i-" not in record.read_text())


def left(instance: dict[str, Any]) -> dict[str, Any]:
    return {
        one["name"]: one.get("stringSetValue") or one["integerValue"]
        for one in instance["remainingResources"]
    }


def test_from_an_instance_to_a_task_through_a_kill_to_the_end(cloud: Process) -> None:
    ecs, ec2 = cloud.client("ecs"), cloud.client("ec2")
    definition = defined(
        cloud,
        image(cloud),
        "while true; do echo hi | /bin/busybox nc -l -p 80; done",
        container={"portMappings": [{"containerPort": 80, "hostPort": 8080}]},
    )
    instance = started(cloud)
    (before,) = joined(cloud)
    assert before["ec2InstanceId"] == instance
    launched = ecs.run_task(cluster="web", taskDefinition=definition, launchType="EC2")
    assert launched["failures"] == []
    arn = launched["tasks"][0]["taskArn"]
    running = becomes(cloud, arn, "RUNNING")
    assert running["containerInstanceArn"] == before["containerInstanceArn"]
    (after,) = joined(cloud)
    assert left(after)["CPU"] == left(before)["CPU"] - 128
    assert left(after)["MEMORY"] == left(before)["MEMORY"] - 128
    assert "8080" in left(after)["PORTS"]
    assert after["runningTasksCount"] == 1
    second = ecs.run_task(cluster="web", taskDefinition=definition, launchType="EC2")
    assert [one["reason"] for one in second["failures"]] == ["RESOURCE:PORTS"]

    cloud.kill()
    cloud.start()
    ecs, ec2 = cloud.client("ecs"), cloud.client("ec2")
    (again,) = joined(cloud)
    assert again["containerInstanceArn"] == before["containerInstanceArn"]
    assert left(again) == left(after)
    assert task(cloud, arn)["lastStatus"] == "RUNNING"

    ec2.terminate_instances(InstanceIds=[instance])
    stopped = becomes(cloud, arn, "STOPPED")
    assert stopped["stopCode"] == "TerminationNotice"
    assert stopped["stoppedReason"] == f"Host EC2 (instance {instance}) terminated."
    until(lambda: not instances(cloud), "the instance leaves", SECONDS)
    until(lambda: given_back(cloud), "its part of the machine is free", SECONDS)


def a_group(cloud: Process, instances: int = 0, **provider: Any) -> Any:
    """An Auto Scaling group `g` whose instances join `web`, and its capacity provider `cp`; the client of groups."""
    ecs, ec2, groups = cloud.client("ecs"), cloud.client("ec2"), cloud.client("autoscaling")
    ami = cloud.client("ssm").get_parameter(Name=RECOMMENDED)["Parameter"]["Value"]
    ec2.create_launch_template(
        LaunchTemplateName="ecs",
        LaunchTemplateData={
            "ImageId": ami,
            "InstanceType": "t3.nano",
            "UserData": base64.b64encode(USER_DATA.encode()).decode(),
        },
    )
    groups.create_auto_scaling_group(
        AutoScalingGroupName="g",
        LaunchTemplate={"LaunchTemplateName": "ecs", "Version": "$Latest"},
        MinSize=0,
        MaxSize=3,
        DesiredCapacity=instances,
        AvailabilityZones=["us-east-1a"],
    )
    (group,) = groups.describe_auto_scaling_groups()["AutoScalingGroups"]
    ecs.create_capacity_provider(
        name="cp",
        autoScalingGroupProvider={
            "autoScalingGroupArn": group["AutoScalingGroupARN"],
            **provider,
        },
    )
    ecs.put_cluster_capacity_providers(
        cluster="web",
        capacityProviders=["cp"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
    )
    return groups


def test_a_capacity_provider_brings_the_instances_that_tasks_wait_for(cloud: Process) -> None:
    ecs = cloud.client("ecs")
    groups = a_group(cloud, managedScaling={"status": "ENABLED"})
    definition = defined(cloud, image(cloud), "sleep 600", container={"memory": 300})
    launched = ecs.run_task(cluster="web", taskDefinition=definition, count=2)
    assert launched["failures"] == [], json.dumps(launched["failures"])
    assert {one["lastStatus"] for one in launched["tasks"]} == {"PROVISIONING"}
    for one in launched["tasks"]:
        assert becomes(cloud, one["taskArn"], "RUNNING")["capacityProviderName"] == "cp"
    assert {one["capacityProviderName"] for one in joined(cloud, 2)} == {"cp"}
    for one in launched["tasks"]:
        ecs.stop_task(cluster="web", task=one["taskArn"])
    for one in launched["tasks"]:
        becomes(cloud, one["taskArn"], "STOPPED")
    groups.delete_auto_scaling_group(AutoScalingGroupName="g", ForceDelete=True)
    until(lambda: not instances(cloud), "the instances leave with their group", SECONDS)
    until(lambda: given_back(cloud), "their part of the machine is free", SECONDS)


def test_a_group_that_shrinks_is_drained_first(cloud: Process) -> None:
    """The service's task is replaced, and then ends in peace, before its instance does."""
    ecs = cloud.client("ecs")
    groups = a_group(cloud, 2, managedScaling={"status": "DISABLED"})
    before = joined(cloud, 2)
    definition = defined(cloud, image(cloud), "trap 'exit 7' TERM; while true; do sleep 0.1; done")
    ecs.create_service(
        cluster="web",
        serviceName="s",
        taskDefinition=definition,
        desiredCount=2,
        placementStrategy=[{"type": "spread", "field": "instanceId"}],
    )
    ecs.get_waiter("services_stable").wait(cluster="web", services=["s"])
    first = ecs.list_tasks(cluster="web", serviceName="s")["taskArns"]
    groups.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=1)
    (stays,) = joined(cloud)
    assert stays["containerInstanceArn"] in {one["containerInstanceArn"] for one in before}
    now = ecs.list_tasks(cluster="web", serviceName="s")["taskArns"]
    found = ecs.describe_tasks(cluster="web", tasks=now)["tasks"]
    assert {one["containerInstanceArn"] for one in found} == {stays["containerInstanceArn"]}
    assert [one["lastStatus"] for one in found] == ["RUNNING"] * 2
    (gone,) = set(first) - set(now)
    ended = task(cloud, gone)
    assert (ended["stopCode"], ended["containers"][0]["exitCode"]) == ("ServiceSchedulerInitiated", 7)
    ecs.delete_service(cluster="web", service="s", force=True)
    groups.delete_auto_scaling_group(AutoScalingGroupName="g", ForceDelete=True)
    until(lambda: not instances(cloud), "the instances leave with their group", SECONDS)
    until(lambda: given_back(cloud), "their part of the machine is free", SECONDS)
