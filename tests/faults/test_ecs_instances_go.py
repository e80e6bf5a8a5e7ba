"""Instances come and go under tasks, and the server is killed meanwhile: services converge, nothing is left behind."""

import base64
import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import GONE, needs_local
from tests.ecs_faults_kit import SLEEPS, post
from tests.ecs_kit import a_region, push_tools, shell
from tests.support import Process, until

ROUNDS = int(os.environ.get("CUMULO_KILL_ROUNDS", "3"))
pytestmark = needs_local
RECOMMENDED = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"


class Region:
    """A cloud whose cluster `main` has instances."""

    def __init__(self, cloud: Process) -> None:
        self.cloud = cloud
        self.aws.create_cluster(clusterName="main")
        self.image = push_tools(cloud)
        self.ami = cloud.client("ssm").get_parameter(Name=RECOMMENDED)["Parameter"]["Value"]

    @property
    def aws(self) -> Any:
        return self.cloud.client("ecs")

    @property
    def ec2(self) -> Any:
        return self.cloud.client("ec2")

    def order(self, cluster: str = "main", **more: Any) -> dict[str, Any]:
        return {
            "ImageId": self.ami,
            "InstanceType": "t3.small",
            "MinCount": 1,
            "MaxCount": 1,
            "UserData": f"#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n",
        } | more

    def joined(self, cluster: str = "main") -> dict[str, str]:
        """The instances of a cluster that are not gone: by EC2's id, their ARNs."""
        arns = self.aws.list_container_instances(cluster=cluster)["containerInstanceArns"]
        if not arns:
            return {}
        found = self.aws.describe_container_instances(cluster=cluster, containerInstances=arns)
        return {one["ec2InstanceId"]: one["containerInstanceArn"] for one in found["containerInstances"]}

    def alive(self, cluster: str = "main") -> set[str]:
        """EC2's instances that run or come up."""
        states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        return {
            one["InstanceId"]
            for page in self.ec2.describe_instances(Filters=states)["Reservations"]
            for one in page["Instances"]
        }

    def start(self, count: int, **more: Any) -> set[str]:
        """Run instances, and wait until they have joined."""
        answer = self.ec2.run_instances(**self.order(MinCount=count, MaxCount=count, **more))
        ids = {one["InstanceId"] for one in answer["Instances"]}
        until(lambda: ids <= self.joined().keys(), "they join", 60)
        return ids

    def end(self) -> None:
        """Terminate every instance, and wait until nothing of them is left."""
        alive = sorted(self.alive())
        if alive:
            self.ec2.terminate_instances(InstanceIds=alive)
        until(lambda: not self.joined(), "all have left", 60)
        until(lambda: not self.slices(), "their slices are gone", 30)

    def slices(self) -> list[str]:
        place = self.cloud.data / "engine" / "slices"
        return [one.name for one in place.iterdir()] if place.is_dir() else []

    def definition(self, family: str, script: str = SLEEPS) -> str:
        container = shell(self.image, script, memory=64, cpu=64, stopTimeout=2)
        made = self.aws.register_task_definition(family=family, containerDefinitions=[container])
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def service(self, name: str, count: int, **more: Any) -> None:
        self.aws.create_service(
            cluster="main", serviceName=name, taskDefinition=self.definition(name), desiredCount=count, **more
        )

    def shown(self, name: str) -> dict[str, Any]:
        return dict(self.aws.describe_services(cluster="main", services=[name])["services"][0])

    def tasks(self, name: str, desired: str = "RUNNING") -> list[dict[str, Any]]:
        arns = self.aws.list_tasks(cluster="main", serviceName=name, desiredStatus=desired)["taskArns"]
        return list(self.aws.describe_tasks(cluster="main", tasks=arns)["tasks"]) if arns else []

    def stable(self, name: str, seconds: float = 60) -> list[dict[str, Any]]:
        def is_stable() -> bool:
            view = self.shown(name)
            (first, *others) = view["deployments"]
            done = not others and first["rolloutState"] == "COMPLETED"
            return done and view["runningCount"] == view["desiredCount"] and not view["pendingCount"]

        until(is_stable, Message(lambda: f"{name} is stable: {self.shown(name)['deployments']}, {events_of(self, name)}"), seconds)  # fmt: skip
        return self.tasks(name)

    def delete(self, name: str) -> None:
        self.aws.delete_service(cluster="main", service=name, force=True)
        until(lambda: not self.tasks(name), f"{name} is gone", 60)
        until(
            lambda: all(one["lastStatus"] == "STOPPED" for one in self.tasks(name, "STOPPED")),
            f"the tasks of {name} have stopped",
            60,
        )

    def free(self, arn: str) -> dict[str, int]:
        """What an instance has left."""
        found = self.aws.describe_container_instances(cluster="main", containerInstances=[arn])
        return {
            one["name"]: one["integerValue"]
            for one in found["containerInstances"][0]["remainingResources"]
            if one["type"] == "INTEGER"
        }


class Message:
    """Made when it is needed."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __str__(self) -> str:
        return str(self.make())


def events_of(region: Region, name: str) -> str:
    return " | ".join(one["message"] for one in region.shown(name)["events"][:6])


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    folder: Path = tmp_path_factory.mktemp("instances")
    # Spot's two minutes pass in two seconds.
    with a_region(folder / "data", "--overcommit", "16", "--pace", "60", log=folder / "log") as cloud:
        yield Region(cloud)
        assert "Traceback" not in cloud.log.read_text(), cloud.log.read_text()[-5000:]


@pytest.fixture
def dice() -> random.Random:
    return random.Random(int(os.environ.get("CUMULO_SEED", "9")))


def test_instances_that_join_while_the_server_is_killed_join_once(
    region: Region, dice: random.Random
) -> None:
    for _ in range(ROUNDS):
        told: list[str] = []

        def ask(told: list[str] = told) -> None:
            with contextlib.suppress(*GONE):
                answer = region.ec2.run_instances(**region.order(MinCount=2, MaxCount=2))
                told += [one["InstanceId"] for one in answer["Instances"]]

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(dice.uniform(0.02, 0.8))
        region.cloud.kill()
        thread.join()
        region.cloud.start()
        until(lambda told=told: set(told) <= region.joined().keys(), Message(lambda told=told: f"{told} have joined {region.joined()}, alive {region.alive()}"), 40)  # fmt: skip
        until(lambda: region.alive() == set(region.joined()), "EC2 and ECS agree", 40)
        arns = region.aws.list_container_instances(cluster="main")["containerInstanceArns"]
        assert len(arns) == len(region.joined())
        until(lambda: len(region.slices()) == len(region.joined()), "each has a slice", 20)
        region.end()


@pytest.mark.parametrize("killed", [False, True])
def test_tasks_of_an_instance_that_is_terminated_move(region: Region, killed: bool) -> None:
    ids = region.start(2)
    empty = {arn: region.free(arn) for arn in region.joined().values()}
    region.service("moves", 4, placementStrategy=[{"type": "spread", "field": "instanceId"}])
    before = region.stable("moves")
    arns = region.joined()
    gone, kept = sorted(ids)
    lost = {one["taskArn"] for one in before if one["containerInstanceArn"] == arns[gone]}
    assert len(lost) == 2
    region.ec2.terminate_instances(InstanceIds=[gone])
    if killed:
        region.cloud.kill()
        region.cloud.start()
    until(lambda: region.joined().keys() == {kept}, "it has left", 40)
    until(lambda: not lost & {one["taskArn"] for one in region.tasks("moves")}, "its tasks are lost", 40)
    now = region.stable("moves")
    assert {one["containerInstanceArn"] for one in now} == {arns[kept]}
    assert {one["taskArn"] for one in before} - lost <= {one["taskArn"] for one in now}, (
        "the others were let be"
    )
    ended = region.aws.describe_tasks(cluster="main", tasks=sorted(lost))["tasks"]
    assert {one["stopCode"] for one in ended} == {"TerminationNotice"}, ended
    assert all(gone in one["stoppedReason"] for one in ended)
    until(lambda: len(region.slices()) == 1, "its slice is gone", 20)
    region.delete("moves")
    until(lambda: region.free(arns[kept]) == empty[arns[kept]], "what is left has everything back", 20)
    region.end()


def test_a_spot_interruption_in_the_middle_of_a_deployment(region: Region) -> None:
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    draining = "#!/bin/bash\necho ECS_CLUSTER=main >> /etc/ecs/ecs.config\necho ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config\n"  # fmt: skip
    (taken,) = region.start(1, UserData=draining, **spot)
    region.start(1)
    region.service("spotted", 4, placementStrategy=[{"type": "spread", "field": "instanceId"}])
    region.stable("spotted")
    definition = region.definition("spotted")
    region.aws.update_service(cluster="main", service="spotted", taskDefinition=definition)
    until(lambda: len(region.shown("spotted")["deployments"]) == 2, "it rolls")
    assert post(region.cloud, "interrupt", json.dumps({"target": taken}).encode()) == 200
    until(lambda: taken not in region.joined(), "the instance is taken", 60)
    now = region.stable("spotted", 90)
    assert {one["taskDefinitionArn"] for one in now} == {definition}
    assert {one["containerInstanceArn"] for one in now} == set(region.joined().values())
    until(lambda: all(one["lastStatus"] == "STOPPED" for one in region.tasks("spotted", "STOPPED")), "all others have stopped", 30)  # fmt: skip
    assert taken not in region.alive()
    region.delete("spotted")
    region.end()


@pytest.mark.parametrize("killed", [False, True])
def test_a_group_that_is_scaled_in(region: Region, killed: bool) -> None:
    groups = region.cloud.client("autoscaling")
    name = f"group-{int(killed)}"
    order = region.order()
    data = {
        "ImageId": order["ImageId"],
        "InstanceType": order["InstanceType"],
        "UserData": base64.b64encode(order["UserData"].encode()).decode(),
    }
    region.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    groups.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
        MinSize=0,
        MaxSize=3,
        DesiredCapacity=3,
        AvailabilityZones=["us-east-1a"],
    )
    until(lambda: len(region.joined()) == 3, "three have joined", 60)
    region.service(name, 3, placementStrategy=[{"type": "spread", "field": "instanceId"}])
    region.stable(name)
    groups.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    if killed:
        region.cloud.kill()
        region.cloud.start()
        groups = region.cloud.client("autoscaling")
    until(lambda: len(region.joined()) == 1, Message(lambda: f"one is left: {region.joined()}, alive {region.alive()}"), 60)  # fmt: skip
    now = region.stable(name)
    assert len(now) == 3
    assert {one["containerInstanceArn"] for one in now} == set(region.joined().values())
    region.delete(name)
    groups.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, DesiredCapacity=0)
    until(lambda: not region.joined(), "the last has left", 60)
    groups.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
    until(lambda: not region.slices(), "no slice is left", 20)
    assert not region.alive()
