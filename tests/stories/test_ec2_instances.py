"""Instances that real clients start in EC2 become container instances, whatever way they come; and a kill changes nothing."""

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.api.test_companions import Cloud

from cumulo.base.carriage import Carriage
from cumulo.base.clock import SystemClock
from cumulo.base.ids import Ids
from cumulo.companions.autoscaling import ScalingGroups
from cumulo.companions.ec2 import Ec2Machines
from cumulo.companions.events import EventBridge
from cumulo.engines.fake import FakeEngine, FakeHost
from cumulo.services.ec2.house import Ec2House
from cumulo.services.ecs.capacity.house import Capacity
from cumulo.services.ecs.model import Cluster
from cumulo.services.ecs.records import Records
from cumulo.state.store import Store

ACCOUNT, REGION = "111122223333", "eu-west-1"
RECOMMENDED = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"


class Nobody:
    """A Runner, Launches, and UsageLedger for which there is nothing to do."""

    def __init__(self) -> None:
        self.used: list = []

    async def stop(self, *_):
        return None

    async def place_waiting(self):
        return None

    def keep(self, *records):
        self.used += records


class Region:
    """Companions, EC2's bodies and ECS's capacity, on a loop in a thread, with a data folder that outlives them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.host = FakeHost()
        self.open()

    def open(self) -> None:
        self.cloud = Cloud(self.data)
        self.cloud.do(self._build())
        self.ec2 = self.cloud.client("ec2", ACCOUNT, REGION)
        self.groups = self.cloud.client("autoscaling", ACCOUNT, REGION)

    async def _build(self) -> None:
        companions = self.cloud.companions
        clock, ids, nobody = SystemClock(), Ids(), Nobody()
        self.nobody = nobody
        self.store = Store(self.data / "store.db", synchronous="OFF")
        self.records = Records(self.store)
        self.carriage = Carriage(8.0, 16384)
        engine = FakeEngine(clock, host=self.host)

        async def opened():
            return engine

        self.house = Ec2House(
            store=self.store,
            clock=clock,
            carriage=self.carriage,
            machines=Ec2Machines(companions),
            groups=ScalingGroups(companions),
            usages=nobody,
            bus=EventBridge(companions),
            knows=lambda: companions.knows("ec2"),
            engine=opened,
            note=lambda _text: None,
            machine="x86_64",
        )
        self.capacity = Capacity(
            self.records,
            hosts=lambda: self.house,
            groups=ScalingGroups(companions),
            metrics=nobody,
            runner=nobody,
            launches=nobody,
            clock=clock,
            ids=ids,
            matches=lambda _text: lambda _one: True,
            capabilities=(),
        )
        self.house.connect(self.capacity.joining)
        for service, guard in self.house.guards().items():
            companions.guard(service, guard)
        await self.house.start()
        self.running = self.cloud.loop.create_task(self.house.run())

    async def _stop(self) -> None:
        self.running.cancel()
        await self.store.close()

    def close(self) -> None:
        self.cloud.do(self._stop())
        self.cloud.close()

    def again(self) -> None:
        """As after a kill: nobody says goodbye, and moto starts anew from its journal."""
        self.close()
        self.open()

    def cluster(self, name: str) -> None:
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}"

        async def make():
            self.records.clusters.put(Cluster(account=ACCOUNT, region=REGION, name=name, arn=arn))
            await self.store.commit()

        self.cloud.do(make())

    def joined(self) -> dict[str, str]:
        """EC2 id and type of the active container instances."""

        async def look():
            return {
                one.ec2_id: one.instance_type
                for one in self.records.instances.all()
                if one.status == "ACTIVE"
            }

        return self.cloud.do(look())

    def wait(self, condition, what: str):
        waiting = threading.Event()
        for _ in range(400):
            found = condition()
            if found:
                return found
            waiting.wait(0.025)
        raise AssertionError(f"{what}: {self.joined()}")

    def room(self) -> int:
        async def look():
            return self.carriage.room()[1]

        return self.cloud.do(look())

    def image(self) -> str:
        ssm = self.cloud.client("ssm", ACCOUNT, REGION)
        return ssm.get_parameter(Name=RECOMMENDED)["Parameter"]["Value"]

    def alive(self) -> set[str]:
        found = self.ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        return {one["InstanceId"] for each in found["Reservations"] for one in each["Instances"]}


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    made = Region(tmp_path)
    made.cluster("web")
    yield made
    made.close()


def user_data(cluster: str = "web") -> str:
    return f"#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n"


def started(region: Region, **more) -> list[str]:
    wanted = {
        "ImageId": region.image(),
        "MinCount": 1,
        "MaxCount": 1,
        "InstanceType": "t3.small",
        "UserData": user_data(),
    }
    return [one["InstanceId"] for one in region.ec2.run_instances(**(wanted | more))["Instances"]]


def test_run_instances_gives_container_instances_and_terminate_takes_them(region: Region):
    ids = started(region, MinCount=1, MaxCount=3)
    assert len(ids) == 3
    region.wait(lambda: region.joined() == dict.fromkeys(ids, "t3.small"), "they join")
    assert region.room() == 16384 - 3 * 2048
    assert len(region.host.slices) == 3
    region.ec2.terminate_instances(InstanceIds=ids[:2])
    region.wait(lambda: list(region.joined()) == ids[2:], "two leave")
    region.wait(lambda: len(region.host.slices) == 1, "their slices are gone")
    assert region.room() == 16384 - 2048


def test_more_than_the_machine_has_is_refused_with_ec2s_error(region: Region):
    with pytest.raises(ClientError) as caught:
        started(region, InstanceType="m5.4xlarge")
    assert caught.value.response["Error"]["Code"] == "InsufficientInstanceCapacity"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert region.alive() == set()
    # What joins no cluster is EC2's alone, whatever its size.
    assert len(started(region, InstanceType="m5.4xlarge", ImageId="ami-12c6146b", UserData="")) == 1


def test_stopping_and_starting(region: Region):
    (id_,) = started(region)
    region.wait(region.joined, "it joins")
    region.ec2.stop_instances(InstanceIds=[id_])
    region.wait(lambda: not region.host.slices, "its slice is gone")
    assert region.room() == 16384
    region.ec2.start_instances(InstanceIds=[id_])
    region.wait(lambda: region.host.slices, "its slice is back")
    assert list(region.joined()) == [id_]


def test_a_launch_template_a_group_and_its_scaling(region: Region):
    data = {
        "ImageId": region.image(),
        "InstanceType": "t3.medium",
        "UserData": base64.b64encode(user_data().encode()).decode(),
    }
    region.ec2.create_launch_template(LaunchTemplateName="ecs", LaunchTemplateData=data)
    template = {"LaunchTemplateName": "ecs", "Version": "$Latest"}
    (own,) = (
        one["InstanceId"]
        for one in region.ec2.run_instances(MinCount=1, MaxCount=1, LaunchTemplate=template)["Instances"]
    )
    region.wait(lambda: region.joined() == {own: "t3.medium"}, "the one from a template joins")
    region.groups.create_auto_scaling_group(
        AutoScalingGroupName="g",
        LaunchTemplate=template,
        MinSize=0,
        MaxSize=9,
        DesiredCapacity=2,
        AvailabilityZones=[f"{REGION}a"],
    )
    region.wait(lambda: len(region.joined()) == 3, "the group's join")
    region.groups.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=1)
    region.wait(lambda: len(region.joined()) == 2, "one leaves")

    def desired() -> int:
        (group,) = region.groups.describe_auto_scaling_groups()["AutoScalingGroups"]
        return group["DesiredCapacity"]

    # The machine carries four of these: what a group wants beyond is ended, and wanted no more.
    region.groups.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=6)
    region.wait(lambda: desired() == 3, "the group wants what fits")
    region.wait(lambda: len(region.joined()) == 4, "four run")
    assert region.room() == 0
    assert len(region.alive()) == 4


def test_instances_of_a_stack_join_too(region: Region):
    instance = {
        "Type": "AWS::EC2::Instance",
        "Properties": {
            "ImageId": region.image(),
            "InstanceType": "t3.small",
            "UserData": {"Fn::Base64": user_data()},
        },
    }
    stacks = region.cloud.client("cloudformation", ACCOUNT, REGION)
    stacks.create_stack(StackName="s", TemplateBody=json.dumps({"Resources": {"i": instance}}))
    region.wait(lambda: list(region.joined().values()) == ["t3.small"], "it joins")


def test_a_spot_instance_is_warned_and_taken(region: Region):
    (id_,) = started(region, InstanceMarketOptions={"MarketType": "spot"})
    region.wait(region.joined, "it joins")
    region.cloud.do(region.house.interrupt(id_, 0.2))
    region.wait(lambda: not region.joined(), "it is taken away")
    assert region.alive() == set()
    assert {one.kind for one in region.nobody.used} == {"t3.small:spot"}


def test_after_a_kill_the_same_instances_are_there(region: Region):
    networks = {
        one["VpcId"] for one in region.ec2.describe_vpcs()["Vpcs"]
    }  # which comes into being by a look
    (id_,) = started(region)
    region.wait(region.joined, "it joins")

    async def arn():
        return region.records.instances.by("ec2", id_)[0].arn

    before = region.cloud.do(arn())
    region.again()
    assert region.room() == 16384 - 2048  # before anybody was asked
    region.wait(lambda: region.cloud.companions.started, "EC2 is asked")
    assert region.alive() == {id_}
    assert {one["VpcId"] for one in region.ec2.describe_vpcs()["Vpcs"]} == networks
    assert region.cloud.do(arn()) == before
    region.ec2.terminate_instances(InstanceIds=[id_])
    region.wait(lambda: not region.joined(), "it leaves")
    region.wait(lambda: region.room() == 16384, "its room is free")
    region.again()
    threading.Event().wait(0.3)
    assert not region.cloud.companions.started  # nothing lives there: EC2 is not started for it


def test_no_process_is_started_for_an_empty_cloud(region: Region):
    assert not region.cloud.companions.started


def test_an_answer_of_ec2_names_no_instance_twice(region: Region):
    first, second = started(region), started(region)
    assert set(first).isdisjoint(second)
    region.wait(lambda: set(region.joined()) == {*first, *second}, "both join")
