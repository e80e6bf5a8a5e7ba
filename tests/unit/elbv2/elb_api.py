"""The operations of load balancing behind a real door, with a clock that stands still and nothing that listens."""

import asyncio

from botocore.exceptions import ClientError
from tests.door_kit import a_door, client_of
from tests.elb_kit import NETWORK, Addresses, Functions, Instances, Keeper, Subnets

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.services.elbv2.house import ElbHouse, Surroundings
from cumulo.state.store import Store
from cumulo.wire.http import Response

ACCOUNT, REGION = "123456789012", "us-east-1"


class Cloud:
    """The service on a temporary store."""

    def __init__(self, path, *, loopback=True, owns=None):
        self.path = path
        self.loopback = loopback
        self.owns = owns
        self.clock = VirtualClock()
        self.instances = Instances()
        self.ec2 = Subnets()
        self.open()
        self.client = self.client_of(ACCOUNT)

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.house = ElbHouse(
            Surroundings(
                subnets=self.ec2,
                certificates=Keeper(),
                instances=self.instances,
                invoker=Functions(),
                machine=Addresses().machine(),
            ),
            store=self.store,
            clock=self.clock,
            ids=Ids(),
            loopback_targets=self.loopback,
            owns=self.owns,
        )
        self.door = a_door(
            {"elbv2": self.house.service()},
            store=self.store,
            clock=self.clock,
            account=ACCOUNT,
            region=REGION,
        )

    def close(self):
        asyncio.run(self.store.close())

    def reopen(self):
        self.close()
        self.open()

    def client_of(self, account, region=REGION):
        return client_of("elbv2", self.door, account, region)

    # -- short ways --------------------------------------------------------------------------------------

    def balancer(self, name="web", **more):
        wanted = {"Subnets": ["subnet-a", "subnet-b"]} | more
        return self.client.create_load_balancer(Name=name, **wanted)["LoadBalancers"][0]

    def group(self, name="app", **more):
        wanted = {"Protocol": "HTTP", "Port": 80, "VpcId": NETWORK, "TargetType": "ip"} | more
        wanted = {key: value for key, value in wanted.items() if value is not None}
        return self.client.create_target_group(Name=name, **wanted)["TargetGroups"][0]

    def listener(self, balancer, group, **more):
        wanted = {
            "Protocol": "HTTP",
            "Port": 80,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
        } | more
        made = self.client.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], **wanted)
        return made["Listeners"][0]

    def rule(self, listener, group, priority=10, path="/x"):
        made = self.client.create_rule(
            ListenerArn=listener["ListenerArn"],
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [path]}],
            Actions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
        )
        return made["Rules"][0]


def refused(call, **values):
    """Code and message of what is refused."""
    try:
        call(**values)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    raise AssertionError("it was not refused")


async def nobody(_request):
    return Response(299, [], b"")
