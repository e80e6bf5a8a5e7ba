"""The control plane of HTTP and WebSocket APIs behind a real door, with a clock that stands still and a data plane that notes."""

import asyncio
import contextlib

from botocore.exceptions import ClientError
from tests.door_kit import a_door, client_of
from tests.elb_kit import Subnets

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.gateway.stages import Stages
from cumulo.services.apigatewayv2.house import ApiGatewayV2House
from cumulo.state.store import Store

ACCOUNT, REGION = "123456789012", "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello"
INVOKE = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/gateway"
LOG_GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:access"


class Compiled:
    """What a stage was compiled from."""

    def __init__(self, kind, definition, stage):
        self.kind = kind
        self.definition = definition
        self.stage = stage


class Cloud:
    """The service on a temporary store."""

    def __init__(self, path):
        self.path = path
        self.clock = VirtualClock()
        self.roles = {ACCOUNT}
        self.open()
        self.client = self.client_of(ACCOUNT)

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.stages = Stages()
        self.house = ApiGatewayV2House(
            store=self.store,
            clock=self.clock,
            ids=Ids(),
            stages=self.stages,
            compilers={
                kind: lambda definition, stage, kind=kind: Compiled(kind, definition, stage)
                for kind in ("HTTP", "WEBSOCKET")
            },
            network=Subnets(),
            may_log=lambda account, _region: account in self.roles,
            link_seconds=2.0,
        )
        self.door = a_door(
            {"apigatewayv2": self.house.service()},
            store=self.store,
            clock=self.clock,
            account=ACCOUNT,
            region=REGION,
        )
        asyncio.run(self.house.start())

    def close(self):
        asyncio.run(self.store.close())

    def reopen(self):
        self.close()
        self.open()
        self.client = self.client_of(ACCOUNT)

    def client_of(self, account, region=REGION):
        return client_of("apigatewayv2", self.door, account, region)

    def compiled(self, api_id, stage="$default"):
        """What answers for a stage, or None."""
        found = self.stages.find(api_id, stage)
        return None if found is None else found.compiled

    # -- things to begin with ----------------------------------------------------------------------------

    def http(self, **more):
        return self.client.create_api(Name="web", ProtocolType="HTTP", **more)["ApiId"]

    def websocket(self, **more):
        return self.client.create_api(
            Name="chat",
            ProtocolType="WEBSOCKET",
            **({"RouteSelectionExpression": "$request.body.action"} | more),
        )["ApiId"]

    def function(self, api_id, **more):
        """The id of an integration that calls a function."""
        settings = {"IntegrationType": "AWS_PROXY", "IntegrationUri": INVOKE} | more
        if self.client.get_api(ApiId=api_id)["ProtocolType"] == "HTTP":
            settings.setdefault("PayloadFormatVersion", "2.0")
        return self.client.create_integration(ApiId=api_id, **settings)["IntegrationId"]

    def route(self, api_id, key, **more):
        return self.client.create_route(ApiId=api_id, RouteKey=key, **more)["RouteId"]

    def jwt(self, api_id, name="tokens"):
        return self.client.create_authorizer(
            ApiId=api_id,
            Name=name,
            AuthorizerType="JWT",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration={"Audience": ["me"], "Issuer": "https://issuer.example.com"},
        )["AuthorizerId"]

    def lambda_authorizer(self, api_id, **more):
        settings = {
            "Name": "asks",
            "AuthorizerType": "REQUEST",
            "AuthorizerUri": INVOKE,
            "AuthorizerPayloadFormatVersion": "2.0",
            "IdentitySource": ["$request.header.X-Who"],
        } | more
        settings = {name: value for name, value in settings.items() if value is not None}
        return self.client.create_authorizer(ApiId=api_id, **settings)["AuthorizerId"]


class Refusal:
    """The error that was answered."""

    code = message = ""
    status = 0

    def __eq__(self, other):
        return (self.code, self.message) == other

    def __hash__(self):
        return hash((self.code, self.message))

    def __repr__(self):
        return f"{self.status} {self.code}: {self.message}"


@contextlib.contextmanager
def refused():
    """Expect an error of AWS's, and say which."""
    found = Refusal()
    try:
        yield found
    except ClientError as error:
        found.code = error.response["Error"]["Code"]
        found.message = error.response["Error"]["Message"]
        found.status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    else:
        raise AssertionError("nothing was refused")


def shown(answer):
    """An answer without what every answer has."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
