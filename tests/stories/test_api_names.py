"""Functions reach APIs by name and by TLS, as on AWS, without being told anything."""

import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import Process, call, deploy, until
from websockets.sync.client import connect

CALLER = """
import json, os, urllib.request

def handler(event, context):
    found = {}
    for url in event["urls"]:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found[url] = json.loads(answer.read())
        except Exception as error:
            found[url] = repr(error)
    return found
"""
ECHO = """
import json

def handler(event, context):
    asked = event["requestContext"]
    return {"statusCode": 200, "body": json.dumps([asked["domainName"], event["rawPath"]])}
"""
BACKEND = """
import boto3

def handler(event, context):
    asked = event["requestContext"]
    if asked["eventType"] == "MESSAGE":
        endpoint = f"https://{asked['domainName']}/{asked['stage']}"
        client = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)
        client.post_to_connection(ConnectionId=asked["connectionId"], Data=("echo " + event["body"]).encode())
    return {"statusCode": 200}
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("names") / "data", "--tls-port", "0")
    process.start()
    yield process
    process.stop()


def function(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


def test_a_function_that_is_warm_finds_an_api_that_is_made_later(cloud: Process):
    aws, v2 = cloud.client("lambda"), cloud.client("apigatewayv2")
    deploy(aws, "caller", CALLER, Timeout=60)
    deploy(aws, "echo", ECHO)
    assert call(aws, "caller", {"urls": []}) == {}
    first = v2.create_api(Name="first", ProtocolType="HTTP", Target=function("echo"))["ApiId"]
    url = f"https://{first}.execute-api.localhost/a"
    # The environment that is there knows the name, but not whom to trust: its variables were set before.
    plain = call(aws, "caller", {"urls": [url]})[url]
    assert "CERTIFICATE_VERIFY_FAILED" in plain or plain == [f"{first}.execute-api.localhost", "/a"], plain
    deploy(aws, "fresh", CALLER, Timeout=60)
    arn = cloud.client("acm").request_certificate(DomainName="api.example.com")["CertificateArn"]
    v2.create_domain_name(DomainName="api.example.com", DomainNameConfigurations=[{"CertificateArn": arn}])
    v2.create_api_mapping(DomainName="api.example.com", ApiId=first, Stage="$default", ApiMappingKey="v1")
    wanted = [url, f"https://{first}.execute-api.us-east-1.amazonaws.com/b", "https://api.example.com/v1/c"]

    def fresh() -> Any:
        found = call(aws, "fresh", {"urls": wanted})
        return found if all(isinstance(one, list) for one in found.values()) else None

    found = until(fresh, "the function reaches all names")
    assert found[wanted[0]] == [f"{first}.execute-api.localhost", "/a"]
    assert found[wanted[1]] == [f"{first}.execute-api.us-east-1.amazonaws.com", "/b"]
    assert found[wanted[2]][0] == "api.example.com"


def test_a_websocket_backend_posts_to_the_domain_that_its_event_names(cloud: Process):
    aws, v2 = cloud.client("lambda"), cloud.client("apigatewayv2")
    api = v2.create_api(
        Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )["ApiId"]
    deploy(aws, "backend", BACKEND, Timeout=60)
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function('backend')}/invocations"
    integration = v2.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=uri, IntegrationMethod="POST"
    )["IntegrationId"]
    for key in ("$connect", "$default"):
        v2.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{integration}")
    v2.create_deployment(ApiId=api)
    v2.create_stage(ApiId=api, StageName="prod", AutoDeploy=True)
    host = f"{api}.execute-api.localhost"
    tls = int(cloud.gauges()["tls_port"])
    trust = ssl.create_default_context(cafile=str(cloud.data / "ca/ca.pem"))
    sock = socket.create_connection(("127.0.0.1", tls), 10)
    with connect(f"wss://{host}/prod", sock=sock, ssl=trust, server_hostname=host) as client:
        client.send("hello")
        assert client.recv(timeout=30) == "echo hello"


def test_a_port_that_is_taken_is_a_note_and_no_end(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = Process(tmp_path / "data", "--tls-port", str(port))
        process.start()
        try:
            assert process.gauges()["tls_port"] == 0
            with urllib.request.urlopen(f"{process.endpoint}/_cumulo/notes", timeout=10) as answer:
                notes = json.loads(answer.read())["notes"]
            assert any(f"port {port} cannot be had for TLS" in note for note in notes)
            assert process.client("apigatewayv2").get_apis()["Items"] == []
        finally:
            process.stop()
