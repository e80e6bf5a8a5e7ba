"""A chat of Node as AWS's own examples have it: SDK 3, a table of connections, and `https://{domainName}/{stage}`."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.apps_kit import lambda_uri, node_app
from tests.support import until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

CHAT = """
const { DynamoDBClient } = require("@aws-sdk/client-dynamodb");
const { DynamoDBDocumentClient, PutCommand, DeleteCommand, ScanCommand } = require("@aws-sdk/lib-dynamodb");
const { ApiGatewayManagementApiClient, PostToConnectionCommand, GetConnectionCommand, DeleteConnectionCommand } =
  require("@aws-sdk/client-apigatewaymanagementapi");
const table = DynamoDBDocumentClient.from(new DynamoDBClient({})), TableName = process.env.TABLE_NAME;

exports.onconnect = async (event) => {
  await table.send(new PutCommand({ TableName, Item: { connectionId: event.requestContext.connectionId } }));
  return { statusCode: 200, headers: { "Sec-WebSocket-Protocol": "chat" }, body: "Connected." };
};
exports.ondisconnect = async (event) => {
  await table.send(new DeleteCommand({ TableName, Key: { connectionId: event.requestContext.connectionId } }));
  return { statusCode: 200, body: "Disconnected." };
};
exports.sendmessage = async (event) => {
  const { domainName, stage } = event.requestContext;
  const api = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  const data = JSON.parse(event.body).data, all = await table.send(new ScanCommand({ TableName }));
  await Promise.all(all.Items.map(async ({ connectionId }) => {
    try {
      await api.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: data }));
    } catch (error) {
      if (error.statusCode !== 410 && error.$metadata?.httpStatusCode !== 410) throw error;
      await table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
    }
  }));
  return { statusCode: 200, body: "Data sent." };
};
exports.whoami = async (event) => {
  const { domainName, stage, connectionId } = event.requestContext;
  const api = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  const told = await api.send(new GetConnectionCommand({ ConnectionId: connectionId }));
  return { statusCode: 200, body: JSON.stringify({ id: connectionId, ip: told.Identity.SourceIp }) };
};
exports.leave = async (event) => {
  const { domainName, stage, connectionId } = event.requestContext;
  const api = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  await api.send(new DeleteConnectionCommand({ ConnectionId: connectionId }));
  return { statusCode: 200 };
};
"""
SDK = (
    "@aws-sdk/client-apigatewaymanagementapi@3.1169.0",
    "@aws-sdk/client-dynamodb@3.1169.0",
    "@aws-sdk/lib-dynamodb@3.1169.0",
)
ROUTES = {"$connect": "onconnect", "$disconnect": "ondisconnect", "sendmessage": "sendmessage", "whoami": "whoami",
          "leave": "leave"}  # fmt: skip


class Chat:
    """The API, and its clients."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.tables = cloud.client("dynamodb")
        self.tables.create_table(
            TableName="chat", BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "connectionId", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "connectionId", "AttributeType": "S"}],
        )  # fmt: skip
        self.v2 = cloud.client("apigatewayv2")
        self.id = self.v2.create_api(
            Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
        )["ApiId"]
        variables = {"Variables": {"TABLE_NAME": "chat"}}
        for key, handler in ROUTES.items():
            function = node_app(
                cloud, f"chat-{handler}", CHAT, *SDK, Handler=f"index.{handler}", Environment=variables
            )
            made = self.v2.create_integration(
                ApiId=self.id, IntegrationType="AWS_PROXY", IntegrationUri=lambda_uri(function)
            )["IntegrationId"]
            two_way = {"RouteResponseSelectionExpression": "$default"} if key == "whoami" else {}
            route = self.v2.create_route(
                ApiId=self.id, RouteKey=key, Target=f"integrations/{made}", **two_way
            )
            if two_way:
                self.v2.create_route_response(
                    ApiId=self.id, RouteId=route["RouteId"], RouteResponseKey="$default"
                )
        self.v2.create_stage(ApiId=self.id, StageName="Prod", AutoDeploy=True)

    @contextmanager
    def client(self, stage: str = "Prod") -> Iterator[ClientConnection]:
        where = urlsplit(self.cloud.endpoint)
        way = socket.create_connection((where.hostname, where.port))
        url = f"ws://{self.id}.execute-api.localhost/{stage}"
        with connect(url, sock=way, proxy=None, subprotocols=["chat"]) as connection:  # type: ignore[list-item]
            yield connection

    def there(self) -> set[str]:
        return {one["connectionId"]["S"] for one in self.tables.scan(TableName="chat")["Items"]}


@pytest.fixture(scope="module")
def chat(cumulo):
    return Chat(cumulo)


def say(action: str, **more: Any) -> str:
    return json.dumps({"action": action} | more)


def test_everybody_hears_what_one_says(chat):
    with ExitStack() as stack:
        clients = [stack.enter_context(chat.client()) for _ in range(4)]
        assert [one.subprotocol for one in clients] == ["chat"] * 4
        names = set()
        for one in clients:
            one.send(say("whoami"))
            told = json.loads(one.recv(30))
            names.add(told["id"])
            assert told["ip"] == "127.0.0.1"
        assert names == chat.there()
        clients[0].send(say("sendmessage", data="hello ü"))
        assert [one.recv(30) for one in clients] == ["hello ü"] * 4
        clients[3].send(say("leave"))
        with pytest.raises(ConnectionClosed):
            clients[3].recv(30)
        until(lambda: len(chat.there()) == 3, "who left is no longer in the table")
        clients[1].send(say("sendmessage", data="three of us"))
        assert [one.recv(30) for one in clients[:3]] == ["three of us"] * 3
        clients[2].send(say("nonsense"))
        assert json.loads(clients[2].recv(30))["message"] == "Forbidden"
    until(lambda: not chat.there(), "nobody is in the table")


def test_a_client_that_vanished_is_forgotten(chat):
    with chat.client() as one:
        chat.tables.put_item(TableName="chat", Item={"connectionId": {"S": "Zm9yZ290dGVuIQA="}})
        one.send(say("sendmessage", data="anybody?"))
        assert one.recv(30) == "anybody?"
        until(lambda: len(chat.there()) == 1, "the one that is gone is taken out")


def test_a_stage_that_is_not_there_is_forbidden(chat):
    with pytest.raises(InvalidStatus) as refused, chat.client("Nowhere"):
        pass
    assert refused.value.response.status_code == 403
