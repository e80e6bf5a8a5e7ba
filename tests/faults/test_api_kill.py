"""kill -9, a full disk, SIGTERM, a reset: what API Gateway has acknowledged is there, and answers without a deployment."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.apps_kit import Site, ask, http_api, lambda_uri, rest_api
from tests.ecs_kit import reset
from tests.faults.test_disk_full import disk  # noqa: F401 - a fixture
from tests.faults.test_disk_full import pytestmark as needs_root
from tests.leftovers import leftovers
from tests.support import Process, deploy, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

HANDLER = """
import json, time
def handler(event, context):
    query = event.get("queryStringParameters") or {}
    time.sleep(float(query.get("s", 0)))
    return {"statusCode": 200, "body": json.dumps({"n": query.get("n"), "v": event.get("stageVariables")})}
"""
GONE = (BotoCoreError, ClientError, OSError)
ROUNDS = 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "data", "--engine", "none")
    process.start()
    yield process
    assert process.stop() == 0
    until(lambda: not leftovers(process.data), "nothing is left behind", 15)


def again(server: Process) -> None:
    server.kill()
    server.start()


def keyed(server: Process, function: str) -> tuple[Site, str, str, str]:
    """A REST API that asks for keys, with a plan and a key: the site, the key's value, the plan's id, the key's id."""
    site = rest_api(server, function)
    rest = server.client("apigateway")
    for one in rest.get_resources(restApiId=site.id)["items"]:
        rest.update_method(
            restApiId=site.id, resourceId=one["id"], httpMethod="ANY",
            patchOperations=[{"op": "replace", "path": "/apiKeyRequired", "value": "true"}],
        )  # fmt: skip
    rest.create_deployment(restApiId=site.id, stageName="dev", variables={"a": "1"})
    stages = [{"apiId": site.id, "stage": "dev"}]
    plan = rest.create_usage_plan(name="p", apiStages=stages, quota={"limit": 100, "period": "DAY"})["id"]
    key = rest.create_api_key(name="k", enabled=True)
    rest.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    return site, key["value"], plan, key["id"]


def used(server: Process, plan: str, key: str) -> int:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    items = server.client("apigateway").get_usage(usagePlanId=plan, startDate=today, endDate=today)["items"]
    return items[key][-1][0] if key in items else 0


def test_apis_keys_and_counts_outlive_a_kill(server):
    function = deploy(server.client("lambda"), "app", HANDLER)["FunctionArn"]
    site, value, plan, key = keyed(server, function)
    http = http_api(server, function)
    server.client("apigatewayv2").update_stage(ApiId=http.id, StageName="$default", StageVariables={"b": "2"})
    asked = 0
    for number in range(ROUNDS):
        for _ in range(5):
            asked += 1
            answer = site.get(f"/x?n={number}", X_API_Key=value)
            assert (answer.status, answer.json) == (200, {"n": str(number), "v": {"a": "1"}})
        assert http.get("/x?n=1").json == {"n": "1", "v": {"b": "2"}}
        assert used(server, plan, key) == asked
        again(server)  # at once: what GetUsage has shown is written down
        assert site.get("/x").status == 403, "without a key"
        assert http.get("/x?n=2").json == {"n": "2", "v": {"b": "2"}}
        assert used(server, plan, key) == asked, "what was shown is kept"


TALK = """
def handler(event, context):
    return {"statusCode": 200, "body": event.get("body") or ""}
"""


def test_domains_and_websockets_outlive_a_kill(server):
    """Mappings lead on; connections are gone as when a line breaks, and new ones are let in without a deployment."""
    lambdas, rest, v2 = (server.client(name) for name in ("lambda", "apigateway", "apigatewayv2"))
    function = deploy(lambdas, "app", HANDLER)["FunctionArn"]
    http, name = http_api(server, function), "shop.example.com"
    certificate = server.client("acm").request_certificate(DomainName=name)["CertificateArn"]
    rest.create_domain_name(domainName=name, regionalCertificateArn=certificate,
                            endpointConfiguration={"types": ["REGIONAL"]})  # fmt: skip
    v2.create_api_mapping(DomainName=name, ApiId=http.id, Stage="$default", ApiMappingKey="v1")
    talk = v2.create_api(
        Name="talk", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )["ApiId"]
    said = deploy(lambdas, "talk", TALK)["FunctionArn"]
    made = v2.create_integration(ApiId=talk, IntegrationType="AWS_PROXY", IntegrationUri=lambda_uri(said))
    route = v2.create_route(
        ApiId=talk, RouteKey="$default", Target=f"integrations/{made['IntegrationId']}",
        RouteResponseSelectionExpression="$default",
    )  # fmt: skip
    v2.create_route_response(ApiId=talk, RouteId=route["RouteId"], RouteResponseKey="$default")
    v2.create_stage(ApiId=talk, StageName="live", AutoDeploy=True)

    def opened() -> ClientConnection:
        where = urlsplit(server.endpoint)
        way = socket.create_connection((where.hostname, where.port))
        return connect(f"ws://{talk}.execute-api.localhost/live", sock=way, proxy=None)

    for _ in range(2):
        assert ask(server.endpoint, name, "GET", "/v1/x?n=1").json["n"] == "1"
        assert ask(server.endpoint, name, "GET", "/v2/x").status == 403
        with opened() as line:
            line.send("hello")
            assert line.recv(20) == "hello"
            again(server)
            with pytest.raises(ConnectionClosed):
                line.recv(20)
    [shown] = server.client("apigatewayv2").get_api_mappings(DomainName=name)["Items"]
    assert (shown["ApiMappingKey"], shown["ApiId"]) == ("v1", http.id)


def test_whatever_was_acknowledged_is_there(server):
    """Everything is made and changed while the server is killed in between."""
    function = deploy(server.client("lambda"), "app", HANDLER)["FunctionArn"]
    acknowledged: dict[str, Any] = {"rest": {}, "http": {}, "keys": set(), "deleted": set()}
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                rest, v2 = server.client("apigateway"), server.client("apigatewayv2")
                api = rest.create_rest_api(name=f"api {number}")
                where = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
                rest.put_method(**where, authorizationType="NONE")
                uri = lambda_uri(function)
                rest.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
                rest.create_deployment(restApiId=api["id"], stageName="dev", variables={"n": str(number)})
                acknowledged["rest"][api["id"]] = str(number)
                made = v2.create_api(Name="quick", ProtocolType="HTTP", Target=function)["ApiId"]
                acknowledged["http"][made] = number
                acknowledged["keys"].add(rest.create_api_key(name=f"key {number}")["id"])
                if number % 3 == 0:
                    rest.delete_rest_api(restApiId=api["id"])
                    del acknowledged["rest"][api["id"]]
                    acknowledged["deleted"].add(api["id"])
            except GONE:
                time.sleep(0.05)

    for _ in range(ROUNDS):
        stop.clear()
        thread = threading.Thread(target=work)
        thread.start()
        before = len(acknowledged["http"])
        until(lambda before=before: len(acknowledged["http"]) > before + 4, "some are made")
        server.kill()
        stop.set()
        thread.join()
        server.start()
        for api, number in list(acknowledged["rest"].items()):
            answer = Site(server, api, "dev").get("/")
            if answer.status == 403 and api in acknowledged["deleted"]:
                continue
            assert answer.json["v"] == {"n": number}
        for api in acknowledged["http"]:
            assert Site(server, api).get("/?n=3").json["n"] == "3"
        there = {one["id"] for one in server.client("apigateway").get_api_keys(limit=500)["items"]}
        assert acknowledged["keys"] <= there
        shown = {one["id"] for one in server.client("apigateway").get_rest_apis(limit=500)["items"]}
        assert not acknowledged["deleted"] & shown


def test_requests_on_their_way_are_answered_before_a_stop(server):
    function = deploy(server.client("lambda"), "app", HANDLER)["FunctionArn"]
    sites = [http_api(server, function), rest_api(server, function)]
    for site in sites:
        assert site.get("/x").status == 200
    answers: list[int] = []

    def ask(site: Site) -> None:
        answers.append(site.get("/x?s=1.5").status)

    threads = [threading.Thread(target=ask, args=(site,)) for site in sites * 2]
    for thread in threads:
        thread.start()
    until(lambda: server.gauges()["environments_busy"] == len(threads), "they are in their functions")
    assert server.stop() == 0
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    server.start()
    assert [site.get("/x?n=1").json["n"] for site in sites] == ["1", "1"]


def test_a_reset_forgets_everything(server):
    function = deploy(server.client("lambda"), "app", HANDLER)["FunctionArn"]
    site, value, _, _ = keyed(server, function)
    http = http_api(server, function)
    assert site.get("/x", X_API_Key=value).status == 200
    reset(server)
    assert (site.get("/x", X_API_Key=value).status, http.get("/x").status) == (403, 403)
    rest, v2 = server.client("apigateway"), server.client("apigatewayv2")
    assert (rest.get_rest_apis()["items"], v2.get_apis()["Items"]) == ([], [])
    assert (rest.get_api_keys()["items"], rest.get_usage_plans()["items"]) == ([], [])
    again(server)
    assert (rest := server.client("apigateway")).get_rest_apis()["items"] == []
    function = deploy(server.client("lambda"), "app", HANDLER)["FunctionArn"]
    assert rest_api(server, function).get("/x").status == 200


@pytest.mark.root
@needs_root[1]
def test_on_a_full_disk_apis_answer_and_none_is_half_made(disk: Path, tmp_path: Path):  # noqa: F811
    process = Process(disk / "data", "--engine", "none")
    process.log = tmp_path / "server.log"
    process.start()
    try:
        function = deploy(process.client("lambda"), "app", HANDLER)["FunctionArn"]
        site, value, plan, key = keyed(process, function)
        http = http_api(process, function)
        assert site.get("/x", X_API_Key=value).status == 200
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={disk / 'filler'}", "bs=64k"], capture_output=True, check=False
        )
        rest, v2 = process.client("apigateway"), process.client("apigatewayv2")
        statuses = set()
        for number in range(40):
            for make in (
                lambda number=number: rest.create_rest_api(name=f"late {number}", description="d" * 900),
                lambda number=number: v2.create_api(Name=f"late {number}", ProtocolType="HTTP"),
            ):
                try:
                    make()
                except ClientError as error:
                    statuses.add(error.response["ResponseMetadata"]["HTTPStatusCode"])
        assert statuses, "the disk is full"
        assert all(status >= 500 for status in statuses)
        assert site.get("/x?n=1", X_API_Key=value).json["n"] == "1", "requests go on"
        assert http.get("/x?n=1").json["n"] == "1"
        (disk / "filler").unlink()
        until(lambda: made(process), "there is space again")
        assert used(process, plan, key) == 2
        names = {one["name"] for one in process.client("apigateway").get_rest_apis(limit=500)["items"]}
        process.kill()
        process.start()
        after = {one["name"] for one in process.client("apigateway").get_rest_apis(limit=500)["items"]}
        assert names <= after
        assert site.get("/x?n=2", X_API_Key=value).json["n"] == "2"
        assert http.get("/x?n=2").json["n"] == "2"
        assert used(process, plan, key) == 3
    finally:
        (disk / "filler").unlink(missing_ok=True)
        process.stop()
    until(lambda: not leftovers(process.data), "nothing is left behind", 15)


def made(process: Process) -> bool:
    try:
        process.client("apigateway").create_rest_api(name="after")
    except ClientError:
        return False
    return True
