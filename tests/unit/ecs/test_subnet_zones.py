"""The zones of subnets: EC2 is asked once for however many launches, and again when that is a minute ago."""

import asyncio

import pytest

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ports.networks import Subnet
from cumulo.services.ecs.subnets import REMEMBERED_SECONDS, SubnetZones

PLACE = ("1", "eu-west-1")


class Ec2:
    """Answers when it may."""

    def __init__(self):
        self.asked = []
        self.may = asyncio.Event()

    async def subnets(self, caller, ids):
        self.asked.append(tuple(ids))
        await self.may.wait()
        if "subnet-none" in ids:
            raise AwsError("InvalidSubnetID.NotFound", "no such subnet")
        return [Subnet(one, "vpc-1", f"{caller.region}{one[-1]}") for one in ids]


def test_many_at_once_are_one_question_and_one_answer():
    async def story():
        ec2, clock = Ec2(), VirtualClock()
        zones = SubnetZones(ec2, clock)
        launches = [asyncio.create_task(zones.zones(*PLACE, ["subnet-a", "subnet-b"])) for _ in range(50)]
        other = asyncio.create_task(zones.zones(*PLACE, ["subnet-b"]))
        await asyncio.sleep(0)
        launches.pop(0).cancel()  # who has come first goes away
        await asyncio.sleep(0)
        ec2.may.set()
        expected = {"subnet-a": "eu-west-1a", "subnet-b": "eu-west-1b"}
        assert await asyncio.gather(*launches) == [expected] * 49
        assert await other == {"subnet-b": "eu-west-1b"}
        assert ec2.asked == [("subnet-a", "subnet-b"), ("subnet-b",)]
        await zones.zones(*PLACE, ["subnet-a"])
        assert len(ec2.asked) == 2
        clock.advance(REMEMBERED_SECONDS)
        await zones.zones(*PLACE, ["subnet-a"])
        assert len(ec2.asked) == 3

    asyncio.run(story())


def test_a_refusal_is_for_everybody_who_asked_and_is_not_remembered():
    async def story():
        ec2 = Ec2()
        zones = SubnetZones(ec2, VirtualClock())
        launches = [asyncio.create_task(zones.zones(*PLACE, ["subnet-none"])) for _ in range(3)]
        await asyncio.sleep(0)
        ec2.may.set()
        for one in launches:
            with pytest.raises(AwsError, match="no such subnet"):
                await one
        with pytest.raises(AwsError):
            await zones.zones(*PLACE, ["subnet-none"])
        assert len(ec2.asked) == 2

    asyncio.run(story())
