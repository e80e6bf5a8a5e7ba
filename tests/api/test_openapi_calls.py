"""A file of 200 operations: imported, exported, imported again without a difference, with boto3 over a socket."""

import asyncio
import json
import threading

import pytest
from tests import openapi_kit as kit
from tests.door_kit import a_door
from tests.support import client

from cumulo.base.caller import Caller
from cumulo.base.clock import SystemClock
from cumulo.base.ids import Ids
from cumulo.gateway.stages import Stages
from cumulo.services.apigateway.house import RestHouse
from cumulo.services.apigatewayv2.house import ApiGatewayV2House
from cumulo.state.store import Store
from cumulo.wire.server import Server

CALLER = Caller(account=kit.ACCOUNT, region=kit.REGION)
ENCODINGS = {"json": kit.as_json, "yaml": kit.as_yaml}


class Running:
    """Both control planes behind a server in a thread of its own."""

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
        shared = {"store": self.store, "clock": clock, "ids": Ids(), "stages": Stages()}
        self.rest = RestHouse(**shared, make=lambda *given: given)
        self.http = ApiGatewayV2House(**shared, compilers={"HTTP": None})
        services = {"apigateway": self.rest.service(), "apigatewayv2": self.http.service()}
        door = a_door(services, store=self.store, clock=clock, account=kit.ACCOUNT, region=kit.REGION)
        self.server = Server(door, clock=clock)
        self.port = await self.server.listen("127.0.0.1", 0)

    def client(self, service):
        return client(f"http://127.0.0.1:{self.port}", service, account=kit.ACCOUNT)

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


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("three", [False, True])
def test_a_rest_api_of_200_operations_comes_back(running, three, encoding):
    aws = running.client("apigateway")
    body = ENCODINGS[encoding](kit.big_rest(three=three))
    made = aws.import_rest_api(body=body, failOnWarnings=True)
    api_id = made["id"]
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    first = running.rest.contents.definition_of(CALLER, api_id)
    assert sum(len(one.methods) for one in first.resources) == 200
    aws.create_deployment(restApiId=api_id, stageName="dev")
    for kind in ("swagger", "oas30"):
        for accepts in ("application/json", "application/yaml"):
            given = {"restApiId": api_id, "stageName": "dev", "exportType": kind, "accepts": accepts}
            document = aws.get_export(**given, parameters={"extensions": "apigateway"})["body"].read()
            put = aws.put_rest_api(restApiId=api_id, mode="overwrite", body=document, failOnWarnings=True)
            assert (put["name"], put["version"]) == (made["name"], made["version"])
            assert running.rest.contents.definition_of(CALLER, api_id) == first
            other = aws.import_rest_api(body=document, failOnWarnings=True)["id"]
            aws.create_deployment(restApiId=other, stageName="dev")
            given["restApiId"] = other
            again = aws.get_export(**given, parameters={"extensions": "apigateway"})["body"].read()
            assert again.decode().replace(other, api_id) == document.decode()
            aws.delete_rest_api(restApiId=other)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_http_api_of_200_operations_comes_back(running, encoding):
    aws = running.client("apigatewayv2")
    body = ENCODINGS[encoding](kit.big_http()).decode()
    made = aws.import_api(Body=body, FailOnWarnings=True)
    api_id = made["ApiId"]
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    first = running.http.definition_of(api_id)
    assert len(first.routes) == 202
    for output in ("JSON", "YAML"):
        given = {"ApiId": api_id, "Specification": "OAS30", "OutputType": output}
        document = aws.export_api(**given)["body"].read()
        put = aws.reimport_api(ApiId=api_id, Body=document.decode(), FailOnWarnings=True)
        assert (put["Name"], put["Version"], put["Tags"]) == (made["Name"], made["Version"], made["Tags"])
        assert running.http.definition_of(api_id) == first
        other = aws.import_api(Body=document.decode(), FailOnWarnings=True)["ApiId"]
        again = aws.export_api(**given | {"ApiId": other})["body"].read()
        assert again.decode().replace(other, api_id) == document.decode()


def test_a_rest_api_moves_to_an_http_api(running):
    """As AWS says how to: exported as oas30, imported by the other service; what it has not is said."""
    rest, http = running.client("apigateway"), running.client("apigatewayv2")
    proxy = {"type": "aws_proxy", "httpMethod": "POST", "uri": kit.FUNCTION_URI}
    operation = {"responses": {"200": {"description": "x"}}, kit.INTEGRATION: proxy}
    api_id = rest.import_rest_api(body=kit.as_json(kit.openapi({"/pets/{id}": {"get": operation}})))["id"]
    rest.create_deployment(restApiId=api_id, stageName="dev")
    document = rest.get_export(
        restApiId=api_id, stageName="dev", exportType="oas30", parameters={"extensions": "integrations"}
    )["body"].read()
    made = http.import_api(Body=document.decode(), FailOnWarnings=True)
    assert made["ImportInfo"] == [
        "passthroughBehavior of integrations is not supported for HTTP APIs. Ignoring."
    ]
    (route,) = http.get_routes(ApiId=made["ApiId"])["Items"]
    assert route["RouteKey"] == "GET /pets/{id}"


def test_hostile_documents_are_answered_with_a_sentence(running):
    rest, http = running.client("apigateway"), running.client("apigatewayv2")
    deep = b'{"swagger": "2.0", "info": {"title": "x"}, "paths": {"/": ' + b'{"a":' * 500_000
    bomb = "a0: &a0 [x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 5)}]\n" for n in range(1, 10)
    )
    circle = kit.openapi({"/": {"$ref": "#/paths/~1"}})
    large = json.dumps(kit.openapi({}, x="y" * 6_400_000))
    for body in (deep, bomb.encode(), kit.as_json(circle), large.encode(), b"\xff", b"- 1"):
        with pytest.raises(rest.exceptions.BadRequestException) as error:
            rest.import_rest_api(body=body)
        assert error.value.response["Error"]["Message"].startswith("Invalid OpenAPI input.")
        if body != b"\xff":
            with pytest.raises(http.exceptions.BadRequestException):
                http.import_api(Body=body.decode())
    assert rest.get_rest_apis()["items"] == []
    assert http.get_apis()["Items"] == []
