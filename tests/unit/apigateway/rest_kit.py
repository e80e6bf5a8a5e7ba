"""The operations of REST APIs behind a real door; what is published is seen, and nothing answers."""

import asyncio

from botocore.exceptions import ClientError
from tests.door_kit import a_door, client_of

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.gateway.stages import Stages
from cumulo.services.apigateway.house import RestHouse
from cumulo.state.store import Store

ACCOUNT, REGION = "123456789012", "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello"
FUNCTION_URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"


class Compiled:
    """What was handed to the compiler."""

    def __init__(self, definition, stage, canary):
        self.definition, self.stage, self.canary = definition, stage, canary


class Cloud:
    """The service on a temporary store."""

    def __init__(self, path, **house):
        self.path = path
        self.more = house
        self.clock = VirtualClock()
        self.mapped = set()
        self.open()
        self.client = self.client_of(ACCOUNT)

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.published = Stages()
        self.house = RestHouse(
            store=self.store,
            clock=self.clock,
            ids=Ids(),
            stages=self.published,
            make=Compiled,
            mapped=lambda api_id, stage: ["api.example.com"] if (api_id, stage) in self.mapped else [],
            **self.more,
        )
        self.house.start()
        self.door = a_door(
            {"apigateway": self.house.service()},
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
        self.client = self.client_of(ACCOUNT)

    def client_of(self, account, region=REGION):
        return client_of("apigateway", self.door, account, region)

    def compiled(self, api_id, stage):
        """What answers for a stage."""
        return self.published.find(api_id, stage).compiled

    # -- short ways --------------------------------------------------------------------------------------

    def api(self, name="pets", **more):
        made = self.client.create_rest_api(name=name, **more)
        return made["id"], made["rootResourceId"]

    def method(self, api_id, resource_id, name="GET", **more):
        wanted = {"authorizationType": "NONE"} | more
        return self.client.put_method(restApiId=api_id, resourceId=resource_id, httpMethod=name, **wanted)

    def mock(self, api_id, resource_id, name="GET", **more):
        """A method that calls nobody."""
        self.method(api_id, resource_id, name, **more)
        self.client.put_integration(restApiId=api_id, resourceId=resource_id, httpMethod=name, type="MOCK")

    def deployed(self, stage="dev", **more):
        """An API with a method and a stage: its id, its root's, and the deployment's."""
        api_id, root = self.api()
        self.mock(api_id, root)
        made = self.client.create_deployment(restApiId=api_id, stageName=stage, **more)
        return api_id, root, made["id"]


def patch(op, path, value=None, **more):
    """A patch operation."""
    wanted = {"op": op, "path": path} | ({"value": value} if value is not None else {})
    return wanted | {"from" if key == "source" else key: one for key, one in more.items()}


def refused(call, **values):
    """Code and message of what is refused."""
    try:
        call(**values)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    raise AssertionError("it was not refused")


def plain(answer):
    """An answer without its metadata."""
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}
