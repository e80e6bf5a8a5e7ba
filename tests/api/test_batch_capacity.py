"""Compute environments of a real cloud: real instances come, join the environment's cluster, and go again."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import a_cloud, needs_local
from tests.ecs_faults_kit import post
from tests.support import Process, until

pytestmark = needs_local
SECONDS = 60


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Process]:
    with a_cloud(tmp_path / "data", "--pace", "60") as made:
        made.client("iam").create_instance_profile(InstanceProfileName="ecsInstanceRole")
        yield made


def resources(cloud: Process, **more: Any) -> dict[str, Any]:
    ec2 = cloud.client("ec2")
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]
    groups = [one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]][:1]
    return {
        "type": "EC2",
        "allocationStrategy": "BEST_FIT_PROGRESSIVE",
        "minvCpus": 2,
        "maxvCpus": 4,
        "instanceTypes": ["t3.micro"],
        "subnets": subnets,
        "securityGroupIds": groups,
        "instanceRole": "ecsInstanceRole",
        **more,
    }


def shown(cloud: Process) -> dict[str, Any]:
    (found,) = cloud.client("batch").describe_compute_environments(computeEnvironments=["env"])[
        "computeEnvironments"
    ]
    return dict(found)


def becomes(cloud: Process, status: str = "VALID") -> dict[str, Any]:
    def ready() -> dict[str, Any] | None:
        found = shown(cloud)
        assert found["status"] != "INVALID", found
        return found if found["status"] == status else None

    found: dict[str, Any] = until(ready, f"it is {status}", SECONDS)
    return found


def members(cloud: Process, cluster: str) -> list[dict[str, Any]]:
    """The container instances of a cluster whose agents answer."""
    ecs = cloud.client("ecs")
    arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    if not arns:
        return []
    found = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)["containerInstances"]
    return [one for one in found if one["agentConnected"]]


def alive(cloud: Process) -> list[dict[str, Any]]:
    asked = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = cloud.client("ec2").describe_instances(Filters=asked)["Reservations"]
    return [one for reservation in found for one in reservation["Instances"]]


def delete(cloud: Process) -> None:
    batch = cloud.client("batch")
    batch.update_compute_environment(computeEnvironment="env", state="DISABLED")
    becomes(cloud)
    batch.delete_compute_environment(computeEnvironment="env")
    gone = "it is deleted"
    until(lambda: not batch.describe_compute_environments()["computeEnvironments"], gone, SECONDS)
    assert alive(cloud) == []


def test_an_environment_gets_its_instances_and_loses_them_again_also_after_a_kill(cloud: Process) -> None:
    batch = cloud.client("batch")
    batch.create_compute_environment(
        computeEnvironmentName="env",
        type="MANAGED",
        computeResources=resources(cloud, tags={"Name": "worker"}),
    )
    cluster = becomes(cloud)["ecsClusterArn"]
    (member,) = until(lambda: members(cloud, cluster), "an instance joins", SECONDS)
    (instance,) = alive(cloud)
    assert member["ec2InstanceId"] == instance["InstanceId"]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert (tags["Name"], tags["AWSBatchServiceTag"]) == ("worker", "batch")
    assert instance["IamInstanceProfile"]["Arn"].endswith("instance-profile/ecsInstanceRole")
    assert shown(cloud)["computeResources"]["desiredvCpus"] == 2

    cloud.kill()
    cloud.start()
    batch = cloud.client("batch")
    (again,) = until(lambda: members(cloud, cluster), "it is there again", SECONDS)
    assert again["containerInstanceArn"] == member["containerInstanceArn"]

    batch.update_compute_environment(computeEnvironment="env", computeResources={"minvCpus": 0})
    becomes(cloud)
    until(lambda: not alive(cloud), "the idle instance is terminated", SECONDS)
    until(lambda: not members(cloud, cluster), "it leaves the cluster", SECONDS)
    assert shown(cloud)["computeResources"]["desiredvCpus"] == 0
    assert len(cloud.client("ec2").describe_instances()["Reservations"]) == 1

    batch.update_compute_environment(computeEnvironment="env", computeResources={"minvCpus": 2})
    becomes(cloud)
    until(lambda: members(cloud, cluster), "another one joins", SECONDS)
    delete(cloud)
    (described,) = cloud.client("ecs").describe_clusters(clusters=[cluster])["clusters"]
    assert described["status"] == "INACTIVE"


def test_an_update_replaces_the_instances(cloud: Process) -> None:
    batch = cloud.client("batch")
    batch.create_compute_environment(
        computeEnvironmentName="env", type="MANAGED", computeResources=resources(cloud)
    )
    cluster = becomes(cloud)["ecsClusterArn"]
    (old,) = until(lambda: members(cloud, cluster), "an instance joins", SECONDS)
    batch.update_compute_environment(computeEnvironment="env", computeResources={"ec2KeyPair": "mine"})
    becomes(cloud)

    def new() -> dict[str, Any] | None:
        found = members(cloud, cluster)
        return found[0] if len(found) == 1 and found[0]["ec2InstanceId"] != old["ec2InstanceId"] else None

    fresh = until(new, "another instance takes over", SECONDS)
    (instance,) = alive(cloud)
    assert (instance["InstanceId"], instance["KeyName"]) == (fresh["ec2InstanceId"], "mine")
    delete(cloud)


def test_what_cannot_be_launched_is_told_in_the_status(cloud: Process) -> None:
    batch = cloud.client("batch")
    batch.create_compute_environment(
        computeEnvironmentName="env", type="MANAGED", computeResources=resources(cloud, instanceRole="nobody")
    )
    until(lambda: shown(cloud)["status"] == "INVALID", "it is INVALID", SECONDS)
    assert shown(cloud)["statusReason"] == "CLIENT_ERROR - Instance profile nobody not found"


def test_a_spot_instance_that_is_taken_away_is_replaced(cloud: Process) -> None:
    batch = cloud.client("batch")
    spot = {"type": "SPOT", "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED"}
    script = b"#!/bin/bash\necho ECS_RESERVED_MEMORY=100 >> /etc/ecs/ecs.config\n"
    archive = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/x-shellscript\n\n"
    data = base64.b64encode(archive + script + b"\n--x--\n").decode()
    cloud.client("ec2").create_launch_template(
        LaunchTemplateName="mine",
        LaunchTemplateData={
            "UserData": data,
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}
            ],
        },
    )
    batch.create_compute_environment(
        computeEnvironmentName="env",
        type="MANAGED",
        computeResources=resources(cloud, **spot, launchTemplate={"launchTemplateName": "mine"}),
    )
    cluster = becomes(cloud)["ecsClusterArn"]
    (member,) = until(lambda: members(cloud, cluster), "an instance joins", SECONDS)
    (instance,) = alive(cloud)
    assert instance["InstanceLifecycle"] == "spot"
    assert {"Key": "from", "Value": "template"} in instance["Tags"]
    has = {one["name"]: one.get("integerValue") for one in member["registeredResources"]}
    assert has["MEMORY"] == 1024 - 72 - 100
    taken = instance["InstanceId"]
    assert post(cloud, "interrupt", json.dumps({"target": taken}).encode()) == 200

    def other() -> bool:
        found = members(cloud, cluster)
        return [one["ec2InstanceId"] for one in found if one["status"] == "ACTIVE"] not in ([], [taken])

    until(other, "another instance takes its place", SECONDS)
    until(lambda: taken not in [one["InstanceId"] for one in alive(cloud)], "it is gone", SECONDS)
    delete(cloud)


def test_an_environment_on_fargate_spot_has_a_cluster_that_can_run_its_tasks(cloud: Process) -> None:
    batch = cloud.client("batch")
    asked = resources(cloud)
    fargate = {"type": "FARGATE_SPOT", "maxvCpus": 2} | {
        name: asked[name] for name in ("subnets", "securityGroupIds")
    }
    batch.create_compute_environment(computeEnvironmentName="env", type="MANAGED", computeResources=fargate)
    cluster = becomes(cloud)["ecsClusterArn"]
    (found,) = cloud.client("ecs").describe_clusters(clusters=[cluster], include=["TAGS"])["clusters"]
    assert "FARGATE_SPOT" in found["capacityProviders"]
    assert {"key": "AWSBatchServiceTag", "value": "batch"} in found["tags"]
    order = [{"order": 1, "computeEnvironment": "env"}]
    made = batch.create_job_queue(jobQueueName="queue", priority=1, computeEnvironmentOrder=order)
    batch.tag_resource(resourceArn=made["jobQueueArn"], tags={"team": "a"})
    (queue,) = batch.describe_job_queues(jobQueues=["queue"])["jobQueues"]
    assert (queue["jobQueueType"], queue["tags"]) == ("ECS_FARGATE", {"team": "a"})
    assert batch.get_job_queue_snapshot(jobQueue="queue")["frontOfQueue"]["jobs"] == []
