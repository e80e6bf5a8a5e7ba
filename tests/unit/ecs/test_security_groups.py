"""The security groups of a launch: EC2 is asked, and remembered for a while."""

import asyncio

import pytest

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.services.ecs.subnets import REMEMBERED_SECONDS, SubnetZones

PLACE = ("000000000000", "eu-west-1")


class Groups:
    """An EC2 with one group."""

    def __init__(self, status=400):
        self.asked = []
        self.status = status

    async def check_security_groups(self, caller, groups):
        self.asked.append((caller.account, caller.region, tuple(groups)))
        if list(groups) != ["sg-1"]:
            raise AwsError(
                "InvalidGroup.NotFound", "The security group 'sg-2' does not exist", status=self.status
            )


def test_a_group_that_is_not_there_is_told_of_as_aws_does():
    zones = SubnetZones(None, VirtualClock(), Groups())
    with pytest.raises(AwsError) as caught:
        asyncio.run(zones.check_groups(*PLACE, ["sg-1", "sg-2"]))
    assert (caught.value.code, caught.value.message) == (
        "InvalidParameterException",
        "Error retrieving security group information for [sg-1, sg-2]: The security group 'sg-2' does not exist "
        "(ErrorCode: InvalidGroup.NotFound)",
    )


def test_a_fault_of_ec2_stays_a_fault():
    zones = SubnetZones(None, VirtualClock(), Groups(status=500))
    with pytest.raises(AwsError) as caught:
        asyncio.run(zones.check_groups(*PLACE, ["sg-2"]))
    assert caught.value.status == 500


def test_it_is_asked_once_a_minute_and_not_at_all_for_no_groups():
    async def body():
        clock, groups = VirtualClock(), Groups()
        zones = SubnetZones(None, clock, groups)
        await zones.check_groups(*PLACE, [])
        for _ in range(3):
            await zones.check_groups(*PLACE, ["sg-1"])
        assert groups.asked == [(*PLACE, ("sg-1",))]
        clock.advance(REMEMBERED_SECONDS)
        await zones.check_groups(*PLACE, ["sg-1"])
        assert len(groups.asked) == 2
        await SubnetZones(None, clock).check_groups(*PLACE, ["sg-2"])

    asyncio.run(body())
