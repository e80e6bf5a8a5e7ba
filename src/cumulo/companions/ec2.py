"""Asks EC2, wherever it lives: for subnets, for instances, images and launch templates."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.instances import SeenImage, SeenInstance, Template
from cumulo.companions.companions import Companions
from cumulo.companions.forms import PAGES_MAX, Node, call_form

_VERSION: Final = "2016-11-15"
_GROUP_TAG: Final = "aws:autoscaling:groupName"


class SubnetReader:
    """The Networks of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def network_of(self, caller: Caller, subnets: Sequence[str]) -> str:
        """The id of the subnets' network.  AwsError as EC2 says it when one of them is not there."""
        return next((one.text("vpcId") for one in await self._describe(caller, subnets)), "")

    async def zones_of(self, caller: Caller, subnets: Sequence[str]) -> Mapping[str, str]:
        """The availability zone of each subnet.  AwsError as EC2 says it when one of them is not there."""
        found = await self._describe(caller, subnets)
        zones = {one.text("subnetId"): one.text("availabilityZone") for one in found}
        for subnet in subnets:
            if subnet not in zones:
                raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
        return zones

    async def _describe(self, caller: Caller, subnets: Sequence[str]) -> list[Node]:
        asked = {"Action": "DescribeSubnets"}
        asked |= {f"SubnetId.{number}": subnet for number, subnet in enumerate(subnets, start=1)}
        answer = await call_form(
            self._companions,
            "ec2",
            _VERSION,
            account=caller.account,
            region=caller.region,
            values=asked,
        )
        return answer.all("subnetSet")


class Ec2Machines:
    """The Machines of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def instances(self, account: str, region: str) -> list[SeenInstance]:
        """All instances, also terminated ones that EC2 still shows."""
        found: list[SeenInstance] = []
        token = ""
        for _ in range(PAGES_MAX):
            more = {"NextToken": token} if token else {}
            answer = await self._call(account, region, "DescribeInstances", {"MaxResults": "1000", **more})
            for reservation in answer.all("reservationSet"):
                found += [_instance(account, region, one) for one in reservation.all("instancesSet")]
            token = answer.text("nextToken")
            if not token:
                break
        return found

    async def user_data(self, account: str, region: str, instance_id: str) -> str:
        """An instance's user data in base64; empty without."""
        asked = {"InstanceId": instance_id, "Attribute": "userData"}
        answer = await self._call(account, region, "DescribeInstanceAttribute", asked)
        return answer.text("userData", "value")

    async def image(self, account: str, region: str, image_id: str) -> SeenImage | None:
        """A machine image, or None when EC2 does not know it."""
        try:
            answer = await self._call(account, region, "DescribeImages", {"ImageId.1": image_id})
        except AwsError as error:
            if error.code.startswith("InvalidAMIID"):
                return None
            raise
        found = answer.all("imagesSet")
        if not found:
            return None
        one = found[0]
        return SeenImage(
            image_id, one.text("name"), one.text("architecture") or "x86_64", one.text("platform").lower()
        )

    async def kind(self, account: str, region: str, name: str) -> tuple[int, int, str] | None:
        """vCPUs, MiB of memory and architecture (x86_64, arm64) of an instance type, or None when there is none."""
        try:
            answer = await self._call(account, region, "DescribeInstanceTypes", {"InstanceType.1": name})
        except AwsError as error:
            if error.code.startswith("InvalidInstanceType"):
                return None
            raise
        for one in answer.all("instanceTypeSet"):
            vcpus, memory = one.text("vCpuInfo", "defaultVCpus"), one.text("memoryInfo", "sizeInMiB")
            architectures = [item.text() for item in one.all("processorInfo", "supportedArchitectures")]
            if vcpus.isdigit() and memory.isdigit():
                return int(vcpus), int(memory), "arm64" if "arm64" in architectures else "x86_64"
        return None

    async def template(self, account: str, region: str, *, id_: str, name: str, version: str) -> Template:
        """A version ($Default, $Latest or a number) of a launch template, by its id or its name."""
        asked = {"LaunchTemplateId": id_} if id_ else {"LaunchTemplateName": name}
        asked["LaunchTemplateVersion.1"] = version or "$Default"
        answer = await self._call(account, region, "DescribeLaunchTemplateVersions", asked)
        found = answer.all("launchTemplateVersionSet")
        data = found[0].at("launchTemplateData") if found else Node(None)
        return Template(
            data.text("imageId"),
            data.text("instanceType"),
            data.text("userData"),
            data.text("instanceMarketOptions", "marketType") == "spot",
        )

    async def terminate(self, account: str, region: str, instance_id: str) -> None:
        """End an instance."""
        await self._call(account, region, "TerminateInstances", {"InstanceId.1": instance_id})

    async def stop(self, account: str, region: str, instance_id: str) -> None:
        """Stop an instance, which can be started again."""
        await self._call(account, region, "StopInstances", {"InstanceId.1": instance_id})

    async def _call(self, account: str, region: str, action: str, values: Mapping[str, str]) -> Node:
        asked = {"Action": action, **values}
        return await call_form(
            self._companions, "ec2", _VERSION, account=account, region=region, values=asked
        )


def _instance(account: str, region: str, one: Node) -> SeenInstance:
    tags = {tag.text("key"): tag.text("value") for tag in one.all("tagSet")}
    return SeenInstance(
        account=account,
        region=region,
        id=one.text("instanceId"),
        state=one.text("instanceState", "name"),
        kind=one.text("instanceType"),
        image=one.text("imageId"),
        zone=one.text("placement", "availabilityZone"),
        subnet=one.text("subnetId"),
        network=one.text("vpcId"),
        private_ip=one.text("privateIpAddress"),
        architecture=one.text("architecture") or "x86_64",
        platform=one.text("platform").lower(),
        spot=one.text("instanceLifecycle") == "spot",
        group=tags.get(_GROUP_TAG, ""),
        launched_at=_time(one.text("launchTime")),
        tags=tags,
    )


def _time(text: str) -> float:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text).timestamp()
    return 0.0
