"""What is started early, and what is loaded late."""

import asyncio
import subprocess
import sys

import pytest

from cumulo.companions.subnets import SubnetBook
from cumulo.wire.http import Response

HEAVY = ("aiohttp", "cryptography", "moto", "boto3", "jsonschema")


class Companions:
    """Answers each call when it may; `started` from the first on."""

    def __init__(self, status=200):
        self.started = False
        self.calls = []
        self.may = asyncio.Event()
        self.status = status

    async def call(self, service, method, path, *, caller, headers, body):
        self.calls.append((service, caller.account, caller.region, body))
        await self.may.wait()
        self.started = True
        return Response(self.status, [], b"<r><Code>Unavailable</Code><subnetSet/></r>")


@pytest.mark.parametrize("status", [200, 503])
def test_ec2_is_started_once_by_whoever_expects_to_ask_it(status):
    async def story():
        companions = Companions(status)
        book = SubnetBook(companions)
        for _ in range(3):
            book.expect("111122223333", "eu-west-1")
            await asyncio.sleep(0)
        assert len(companions.calls) == 1
        service, account, region, body = companions.calls[0]
        assert (service, account, region) == ("ec2", "111122223333", "eu-west-1")
        assert b"Action=DescribeSubnets" in body
        others = asyncio.all_tasks() - {asyncio.current_task()}
        companions.may.set()
        await asyncio.gather(*others)  # nobody is told of a refusal: who asks in earnest will be
        book.expect("111122223333", "eu-west-1")
        await asyncio.sleep(0)
        assert len(companions.calls) == 1

    asyncio.run(story())


def test_a_cloud_that_has_used_ecs_starts_without_what_few_need():
    script = f"import sys, cumulo.app, cumulo.compute; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
