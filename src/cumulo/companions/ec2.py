"""Asks EC2, wherever it lives: for instances, images and launch templates."""

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cumulo.base.errors import AwsError
from cumulo.base.instances import InstanceKind, InstanceOrder, SeenImage, SeenInstance, Template
from cumulo.companions.companions import Companions
from cumulo.companions.forms import PAGES_MAX, Node, call_form

_VERSION: Final = "2016-11-15"
_ALIVE: Final = ("pending", "running", "shutting-down", "stopping", "stopped")
_GROUP_TAG: Final = "aws:autoscaling:groupName"


class Ec2Machines:
    """The Machines of the house, and the Fleet."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def instances(self, account: str, region: str) -> list[SeenInstance]:
        """All instances but terminated ones, of which a companion may show every one that ever was."""
        found: list[SeenInstance] = []
        asked = {"MaxResults": "1000", "Filter.1.Name": "instance-state-name"}
        asked |= {f"Filter.1.Value.{number}": state for number, state in enumerate(_ALIVE, start=1)}
        token = ""
        for _ in range(PAGES_MAX):
            more = {"NextToken": token} if token else {}
            answer = await self._call(account, region, "DescribeInstances", {**asked, **more})
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
        found = [_kind(one) for one in answer.all("instanceTypeSet")]
        return next(((one.vcpus, one.memory_mib, one.architecture) for one in found if one is not None), None)

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

    async def launch(self, order: InstanceOrder) -> list[str]:
        """The ids of the instances that were launched: one at least."""
        answer = await self._call(order.account, order.region, "RunInstances", _run_form(order))
        return [one.text("instanceId") for one in answer.all("instancesSet")]

    async def sizes(self, account: str, region: str, name: str) -> list[InstanceKind]:
        """An instance type (m5.large), or all of a family (m5); none when EC2 knows no such."""
        asked = {
            "Filter.1.Name": "instance-type",
            "Filter.1.Value.1": name if "." in name else f"{name}.*",
        }
        answer = await self._call(account, region, "DescribeInstanceTypes", asked)
        found = [_kind(one) for one in answer.all("instanceTypeSet")]
        return [one for one in found if one is not None]

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


def _kind(one: Node) -> InstanceKind | None:
    """An instance type as EC2 describes it; None when it says too little."""
    vcpus, memory = one.text("vCpuInfo", "defaultVCpus"), one.text("memoryInfo", "sizeInMiB")
    if not (vcpus.isdigit() and memory.isdigit()):
        return None
    architectures = [item.text() for item in one.all("processorInfo", "supportedArchitectures")]
    gpus = [gpu.text("count") for gpu in one.all("gpuInfo", "gpus")]
    return InstanceKind(
        one.text("instanceType"),
        int(vcpus),
        int(memory),
        "arm64" if "arm64" in architectures else "x86_64",
        sum(int(count) for count in gpus if count.isdigit()),
    )


def _run_form(order: InstanceOrder) -> dict[str, str]:
    """The parameters of RunInstances; what is empty is left out."""
    form = {
        "InstanceType": order.kind,
        "MinCount": "1",
        "MaxCount": str(order.count),
        "ImageId": order.image,
        "SubnetId": order.subnet,
        "KeyName": order.key,
        "Placement.GroupName": order.placement_group,
        "UserData": order.user_data,
        "IamInstanceProfile.Arn"
        if order.profile.startswith("arn:")
        else "IamInstanceProfile.Name": order.profile,
    }
    form |= {f"SecurityGroupId.{number}": one for number, one in enumerate(order.security_groups, start=1)}
    if order.spot:
        form["InstanceMarketOptions.MarketType"] = "spot"
        form["InstanceMarketOptions.SpotOptions.MaxPrice"] = order.max_price
    if order.template is not None:
        form["LaunchTemplate.LaunchTemplateId"] = order.template.id
        form["LaunchTemplate.LaunchTemplateName"] = order.template.name
        form["LaunchTemplate.Version"] = order.template.version
    if order.tags:
        form["TagSpecification.1.ResourceType"] = "instance"
    for number, (key, value) in enumerate(order.tags.items(), start=1):
        form[f"TagSpecification.1.Tag.{number}.Key"] = key
        form[f"TagSpecification.1.Tag.{number}.Value"] = value
    return {name: value for name, value in form.items() if value or ".Tag." in name}


def _time(text: str) -> float:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text).timestamp()
    return 0.0
