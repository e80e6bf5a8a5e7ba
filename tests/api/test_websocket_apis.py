"""WebSocket APIs from boto3 to real functions and back: clients of the `websockets` library, messages sent by boto3."""

import json
from contextlib import contextmanager
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support import deploy, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

CHAT = """
import boto3, json, os

said = boto3.client("apigatewaymanagementapi", region_name="us-east-1",
                    config=boto3.session.Config(retries={"total_max_attempts": 1}))

def handler(event, context):
    request = event["requestContext"]
    kind, one = request["eventType"], request["connectionId"]
    if kind == "CONNECT":
        token = (event.get("queryStringParameters") or {}).get("token")
        return {"statusCode": 200 if token == "good" else 401, "body": "no"}
    if kind == "DISCONNECT":
        print("GONE", one, request["disconnectStatusCode"], request["disconnectReason"])
        return {"statusCode": 200}
    body = json.loads(event["body"])
    if request["routeKey"] == "tell":
        said.post_to_connection(ConnectionId=body["to"], Data=json.dumps({"from": one, "text": body["text"]}))
        return {"statusCode": 200}
    if request["routeKey"] == "fail":
        raise ValueError("boom")
    return {"statusCode": 200, "body": json.dumps({"you": one, "route": request["routeKey"], "v": event.get("stageVariables")})}
"""


class Chat:
    """A deployed API."""

    def __init__(self, cumulo, name: str) -> None:
        self._endpoint = cumulo.endpoint
        self.lambdas, self.apis = cumulo.client("lambda"), cumulo.client("apigatewayv2")
        arn = deploy(self.lambdas, name, CHAT)["FunctionArn"]
        self.id = self.apis.create_api(
            Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
        )["ApiId"]
        uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
        self.integration = self.apis.create_integration(
            ApiId=self.id, IntegrationType="AWS_PROXY", IntegrationUri=uri
        )["IntegrationId"]
        for key in ("$connect", "$disconnect", "tell", "fail"):
            self.route(key)
        self.route("who", two_way=True)
        self.apis.create_stage(ApiId=self.id, StageName="prod", AutoDeploy=True, StageVariables={"a": "b"})

    def route(self, key: str, *, two_way: bool = False) -> None:
        """A route to the function."""
        more = {"RouteResponseSelectionExpression": "$default"} if two_way else {}
        route = self.apis.create_route(
            ApiId=self.id, RouteKey=key, Target=f"integrations/{self.integration}", **more
        )["RouteId"]
        if two_way:
            self.apis.create_route_response(ApiId=self.id, RouteId=route, RouteResponseKey="$default")

    @contextmanager
    def client(self, token: str = "good"):
        """Connected."""
        where = urlsplit(self._endpoint)
        url = f"ws://{where.netloc}/_aws/execute-api/{self.id}/prod?token={token}"
        with connect(url, proxy=None, open_timeout=30) as ws:
            yield ws

    def ask(self, ws, message) -> dict:
        """Send, and the answer."""
        ws.send(json.dumps(message))
        return json.loads(ws.recv(timeout=30))

    def management(self):
        """boto3's client of it."""
        return boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=f"{self._endpoint}/_aws/execute-api/{self.id}/prod",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="module")
def chat(cumulo):
    return Chat(cumulo, "websocket-chat")


def test_two_clients_talk_through_a_function(chat):
    with chat.client() as ann, chat.client() as bob:
        ann_id, bob_id = chat.ask(ann, {"action": "who"})["you"], chat.ask(bob, {"action": "who"})["you"]
        assert ann_id != bob_id
        ann.send(json.dumps({"action": "tell", "to": bob_id, "text": "grüße"}))
        assert json.loads(bob.recv(timeout=30)) == {"from": ann_id, "text": "grüße"}
        assert chat.ask(bob, {"action": "who"}) == {"you": bob_id, "route": "who", "v": {"a": "b"}}


def test_the_function_keeps_clients_out(chat):
    with pytest.raises(InvalidStatus) as caught, chat.client("bad"):
        pass
    assert (caught.value.response.status_code, caught.value.response.body) == (401, b"no")


def test_a_function_that_raises_and_a_route_that_is_not_there_are_told(chat):
    with chat.client() as ws:
        assert chat.ask(ws, {"action": "fail"})["message"] == "Internal server error"
        assert chat.ask(ws, {"action": "nothing"})["message"] == "Forbidden"
        chat.route("$default", two_way=True)
        assert until(lambda: chat.ask(ws, {"action": "nothing"}).get("route"), "deployed anew") == "$default"


def test_boto3_manages_a_connection(chat):
    aws = chat.management()
    with chat.client() as ws:
        one = chat.ask(ws, {"action": "who"})["you"]
        aws.post_to_connection(ConnectionId=one, Data=b"hello")
        assert ws.recv(timeout=30) == "hello"
        assert aws.get_connection(ConnectionId=one)["Identity"]["SourceIp"] == "127.0.0.1"
        aws.delete_connection(ConnectionId=one)
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=30)
    with pytest.raises(ClientError) as caught:
        aws.post_to_connection(ConnectionId=one, Data=b"x")
    assert caught.value.response["Error"]["Code"] == "GoneException"


def test_disconnect_is_called(cumulo, chat):
    with chat.client() as ws:
        one = chat.ask(ws, {"action": "who"})["you"]
    logs = cumulo.client("logs")

    def told():
        events = logs.filter_log_events(logGroupName="/aws/lambda/websocket-chat", filterPattern="GONE")[
            "events"
        ]
        return [event["message"] for event in events if one in event["message"]]

    assert until(told, "$disconnect")[0].strip().split(one)[1].strip() == "1000"


def test_a_deleted_api_says_goodbye(cumulo):
    other = Chat(cumulo, "websocket-deleted")
    with other.client() as ws:
        other.apis.delete_api(ApiId=other.id)
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=30)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
