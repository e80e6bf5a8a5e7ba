"""Every operation of HTTP and WebSocket APIs, once, with boto3 and over a socket."""

import asyncio
import json
import threading

import pytest
from tests.door_kit import a_door
from tests.elb_kit import Subnets
from tests.support import client

from cumulo.base.clock import SystemClock
from cumulo.base.ids import Ids
from cumulo.gateway.stages import Stages
from cumulo.services.apigatewayv2.house import ApiGatewayV2House
from cumulo.state.store import Store
from cumulo.wire.server import Server

ACCOUNT, REGION = "123456789012", "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello"
LOG_GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:access"


class Running:
    """The control plane alone, behind a server in a thread of its own."""

    def __init__(self, path):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.do(self._start(path))

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    async def _start(self, path):
        clock = SystemClock()
        self.store = Store(path / "store.db", synchronous="OFF")
        self.stages = Stages()
        self.house = ApiGatewayV2House(
            store=self.store,
            clock=clock,
            ids=Ids(),
            stages=self.stages,
            compilers={"HTTP": None, "WEBSOCKET": None},
            network=Subnets(),
            link_seconds=0.0,
        )
        door = a_door(
            {"apigatewayv2": self.house.service()},
            store=self.store,
            clock=clock,
            account=ACCOUNT,
            region=REGION,
        )
        self.server = Server(door, clock=clock)
        self.port = await self.server.listen("127.0.0.1", 0)

    async def _stop(self):
        await self.server.stop(1.0)
        await self.store.close()

    def close(self):
        self.do(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def running(tmp_path):
    made = Running(tmp_path)
    yield made
    made.close()


class Noting:
    """A boto3 client that notes which operations it was asked for."""

    def __init__(self, aws):
        self._aws = aws
        self.asked = set()
        aws.meta.events.register("before-call.*", self._note)

    def _note(self, model, **_):
        self.asked.add(model.name)

    def __getattr__(self, name):
        return getattr(self._aws, name)


def of_an_http_api(aws, port):
    api_id = aws.create_api(
        Name="web", ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["*"]}, Tags={"a": "b"}
    )["ApiId"]
    api = {"ApiId": api_id}
    assert aws.get_api(**api)["ApiEndpoint"] == f"http://{api_id}.execute-api.localhost:{port}"
    assert [one["Name"] for one in aws.get_apis()["Items"]] == ["web"]
    aws.update_api(**api, Description="pets")
    aws.delete_cors_configuration(**api)

    link = {"VpcLinkId": aws.create_vpc_link(Name="inside", SubnetIds=["subnet-a"])["VpcLinkId"]}
    assert aws.get_vpc_link(**link)["VpcLinkStatus"] == "AVAILABLE"
    aws.update_vpc_link(**link, Name="within")
    assert [one["Name"] for one in aws.get_vpc_links()["Items"]] == ["within"]

    integration = api | {
        "IntegrationId": aws.create_integration(
            **api, IntegrationType="AWS_PROXY", IntegrationUri=FUNCTION, PayloadFormatVersion="2.0"
        )["IntegrationId"]
    }
    aws.update_integration(**integration, TimeoutInMillis=5000)
    assert aws.get_integration(**integration)["TimeoutInMillis"] == 5000
    assert len(aws.get_integrations(**api)["Items"]) == 1

    authorizer = api | {
        "AuthorizerId": aws.create_authorizer(
            **api,
            Name="asks",
            AuthorizerType="REQUEST",
            AuthorizerUri=FUNCTION,
            AuthorizerPayloadFormatVersion="2.0",
            IdentitySource=["$request.header.X-Who"],
        )["AuthorizerId"]
    }
    aws.update_authorizer(**authorizer, EnableSimpleResponses=True)
    assert aws.get_authorizer(**authorizer)["EnableSimpleResponses"] is True
    assert len(aws.get_authorizers(**api)["Items"]) == 1

    route = api | {
        "RouteId": aws.create_route(
            **api,
            RouteKey="GET /pets/{id}",
            Target=f"integrations/{integration['IntegrationId']}",
            AuthorizationType="CUSTOM",
            AuthorizerId=authorizer["AuthorizerId"],
        )["RouteId"]
    }
    aws.update_route(**route, OperationName="pet")
    assert aws.get_route(**route)["OperationName"] == "pet"
    assert len(aws.get_routes(**api)["Items"]) == 1

    deployment = api | {"DeploymentId": aws.create_deployment(**api)["DeploymentId"]}
    aws.update_deployment(**deployment, Description="first")
    assert aws.get_deployment(**deployment)["Description"] == "first"
    stage = api | {"StageName": "$default"}
    aws.create_stage(
        **stage,
        DeploymentId=deployment["DeploymentId"],
        RouteSettings={"GET /pets/{id}": {"ThrottlingBurstLimit": 5}},
        AccessLogSettings={"DestinationArn": LOG_GROUP, "Format": "$context.requestId"},
    )
    aws.delete_route_settings(**stage, RouteKey="GET /pets/{id}")
    aws.delete_access_log_settings(**stage)
    aws.reset_authorizers_cache(**stage)
    aws.update_stage(**stage, AutoDeploy=True)
    seen = aws.get_stage(**stage)
    assert seen["RouteSettings"] == {}
    assert seen["DeploymentId"] != deployment["DeploymentId"]
    assert len(aws.get_stages(**api)["Items"]) == 1
    assert len(aws.get_deployments(**api)["Items"]) == 2

    arn = {"ResourceArn": f"arn:aws:apigateway:{REGION}::/apis/{api_id}/stages/$default"}
    aws.tag_resource(**arn, Tags={"x": "y", "z": ""})
    aws.untag_resource(**arn, TagKeys=["z"])
    assert aws.get_tags(**arn)["Tags"] == {"x": "y"}

    aws.delete_stage(**stage)
    aws.delete_deployment(**deployment)
    aws.delete_route(**route)
    aws.delete_authorizer(**authorizer)
    aws.delete_integration(**integration)
    aws.delete_vpc_link(**link)
    aws.delete_api(**api)
    assert aws.get_apis()["Items"] == []


def of_a_websocket_api(aws):
    api = {
        "ApiId": aws.create_api(
            Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
        )["ApiId"]
    }
    model = api | {"ModelId": aws.create_model(**api, Name="Message", Schema='{"type": "object"}')["ModelId"]}
    aws.update_model(**model, Schema=json.dumps({"type": "object", "properties": {"a": {"type": "string"}}}))
    assert aws.get_model(**model)["Name"] == "Message"
    assert '"a" : "foo"' in aws.get_model_template(**model)["Value"]
    assert len(aws.get_models(**api)["Items"]) == 1

    integration = api | {
        "IntegrationId": aws.create_integration(**api, IntegrationType="MOCK")["IntegrationId"]
    }
    response = integration | {
        "IntegrationResponseId": aws.create_integration_response(
            **integration, IntegrationResponseKey="$default"
        )["IntegrationResponseId"]
    }
    aws.update_integration_response(**response, ResponseTemplates={"application/json": "{}"})
    assert aws.get_integration_response(**response)["ResponseTemplates"] == {"application/json": "{}"}
    assert len(aws.get_integration_responses(**integration)["Items"]) == 1

    route = api | {
        "RouteId": aws.create_route(
            **api,
            RouteKey="$connect",
            RequestParameters={"route.request.header.a": {"Required": True}},
        )["RouteId"]
    }
    aws.delete_route_request_parameter(**route, RequestParameterKey="route.request.header.a")
    assert "RequestParameters" not in aws.get_route(**route)
    answer = route | {
        "RouteResponseId": aws.create_route_response(**route, RouteResponseKey="$default")["RouteResponseId"]
    }
    aws.update_route_response(**answer, ModelSelectionExpression="a")
    assert aws.get_route_response(**answer)["ModelSelectionExpression"] == "a"
    assert len(aws.get_route_responses(**route)["Items"]) == 1

    aws.delete_route_response(**answer)
    aws.delete_integration_response(**response)
    aws.delete_model(**model)
    aws.delete_api(**api)


def test_every_operation_of_both_kinds_of_apis(running):
    endpoint = f"http://127.0.0.1:{running.port}"
    aws = Noting(client(endpoint, "apigatewayv2", account=ACCOUNT, region=REGION))
    of_an_http_api(aws, running.port)
    of_a_websocket_api(aws)
    documents = {"ImportApi", "ReimportApi", "ExportApi"}  # test_openapi_calls.py
    assert aws.asked == set(running.house.service().operations) - documents


def test_many_changes_at_once_are_all_kept(running):
    endpoint = f"http://127.0.0.1:{running.port}"
    aws = client(endpoint, "apigatewayv2", account=ACCOUNT, region=REGION)
    api_id = aws.create_api(Name="web", ProtocolType="HTTP", Target=FUNCTION)["ApiId"]
    faults = []

    def make(first):
        mine = client(endpoint, "apigatewayv2", account=ACCOUNT, region=REGION)
        try:
            for number in range(first, first + 10):
                mine.create_route(ApiId=api_id, RouteKey=f"GET /{number}")
        except Exception as error:  # whatever it is, it is shown below
            faults.append(error)

    threads = [threading.Thread(target=make, args=(first,)) for first in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    found = aws.get_paginator("get_routes").paginate(ApiId=api_id).build_full_result()["Items"]
    assert {one["RouteKey"] for one in found} == {"$default"} | {f"GET /{number}" for number in range(80)}
    assert len(running.stages.of(api_id)) == 1
