"""Who is let in, and what functions are told of it."""

import asyncio
import json
import re
import socket
import struct

import pytest
import uvloop
from tests.gateway_kit import ACCOUNT, API, FUNCTION, World
from tests.unit.gateway.websocket.websocket_kit import (
    DOMAIN,
    HANDSHAKE,
    STAGE,
    api,
    behind,
    function,
    hello,
    run,
)
from websockets.exceptions import InvalidStatus

from cumulo.base.errors import AwsError
from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.v2 import Integration, V2Stage
from cumulo.gateway.tools import KeyUse
from cumulo.gateway.websocket.limits import Limits

FINE = {FUNCTION: lambda _event: {"statusCode": 200}}


async def refused(gateway, target="", **options):
    with pytest.raises(InvalidStatus) as caught:
        async with gateway.connect(target, **options):
            pass
    return caught.value.response


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_the_function_of_connect_is_told_who_comes(runner):
    async def test(gateway):
        more = {"additional_headers": {"X-Thing": "one"}, "user_agent_header": "me/1"}
        async with gateway.connect("?token=a&token=b", **more):
            return gateway.world.invoker.event

    event = run(
        test,
        api(function("$connect")),
        functions=FINE,
        runner=runner,
        stage=V2Stage(stage_name=STAGE, variables={"v": "1"}),
    )
    assert list(event) == [
        "headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "stageVariables",
        "requestContext", "isBase64Encoded",
    ]  # fmt: skip
    assert event["headers"]["Host"] == DOMAIN
    assert event["headers"]["Sec-WebSocket-Version"] == "13"
    assert event["headers"]["User-Agent"] == "me/1"
    assert event["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert event["headers"]["X-Thing"] == "one"
    assert "Upgrade" not in event["headers"] and "Connection" not in event["headers"]
    assert event["multiValueHeaders"]["X-Thing"] == ["one"]
    assert event["queryStringParameters"] == {"token": "b"}
    assert event["multiValueQueryStringParameters"] == {"token": ["a", "b"]}
    assert event["stageVariables"] == {"v": "1"}
    context = event["requestContext"]
    assert context["routeKey"] == "$connect" and context["eventType"] == "CONNECT"
    assert context["identity"] == {"userAgent": "me/1", "sourceIp": "127.0.0.1"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{15}=", context["connectionId"])
    assert context["requestId"] == context["extendedRequestId"]
    assert (context["stage"], context["apiId"], context["domainName"]) == (STAGE, API, DOMAIN)
    assert context["messageDirection"] == "IN" and context["connectedAt"] == context["requestTimeEpoch"]
    assert "messageId" not in context and "authorizer" not in context


def test_an_api_without_a_connect_route_lets_everybody_in():
    async def test(gateway):
        async with gateway.connect():
            await gateway.until(lambda: len(gateway.connections) == 1)

    run(test, api())


def test_the_client_waits_for_the_function_and_nobody_finds_it_before():
    async def test(gateway):
        go = asyncio.Event()
        statuses = []

        async def slow(event):
            if event["requestContext"]["eventType"] == "CONNECT":
                statuses.append((await gateway.manage("GET", event["requestContext"]["connectionId"]))[0])
                await go.wait()
            return {"statusCode": 200}

        gateway.world.invoker.functions[FUNCTION] = slow
        coming = asyncio.ensure_future(gateway.connect().__aenter__())
        await gateway.until(lambda: statuses)
        assert not coming.done()
        go.set()
        ws = await coming
        assert statuses == [410]
        (status, _, body) = await gateway.manage(
            "GET", gateway.events("CONNECT")[0]["requestContext"]["connectionId"]
        )
        assert status == 200 and json.loads(body)["identity"]["sourceIp"] == "127.0.0.1"
        await ws.close()

    run(test, api(function("$connect")))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ({"statusCode": 401, "body": "who?", "headers": {"X-Why": "x"}}, 401, b"who?"),
        ({"statusCode": 302}, 302, b""),
        ({"statusCode": 500}, 500, b""),
        (InvokeResult(payload=b'{"errorMessage":"boom"}', function_error="Unhandled"), 502, None),
        (b"no json", 502, None),
        ("text", 502, None),
        (None, 502, None),
        ({"statusCode": "x"}, 502, None),
        ({"statusCode": 101}, 502, None),
        ({"statusCode": 200, "headers": []}, 502, None),
    ],
)
def test_a_function_that_does_not_say_200_keeps_the_client_out(answer, status, body):
    async def test(gateway):
        response = await refused(gateway)
        assert response.status_code == status
        if body is None:
            told = json.loads(response.body)
            assert told["message"] == "Internal server error"
            assert set(told) == {"message", "connectionId", "requestId"}
        else:
            assert response.body == body
        assert len(gateway.connections) == 0
        assert gateway.world.observer.seen[-1]["status"] == status

    run(test, api(function("$connect")), functions={FUNCTION: lambda _event: answer})


def test_a_function_that_may_not_be_called_is_a_500_and_one_that_takes_too_long_a_504():
    async def slow(_event):
        await asyncio.sleep(30)

    async def missing(gateway):
        assert (await refused(gateway)).status_code == 500

    async def late(gateway):
        response = await refused(gateway)
        assert response.status_code == 504
        assert json.loads(response.body)["message"] == "Endpoint request timed out"

    def throttled(_event):
        raise AwsError("TooManyRequestsException", "Rate Exceeded.", status=429)

    route = function("$connect")
    run(missing, api(route))
    run(missing, api(route), functions={FUNCTION: throttled})
    run(late, api(route), functions={FUNCTION: slow}, limits=Limits(integration_seconds_max=0.05))
    denying = World(shared=True)
    denying.functions.denied.add(FUNCTION)
    run(missing, api(route), functions=FINE, world=denying)
    assert denying.functions.asked == [
        (FUNCTION, f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{API}/{STAGE}/$connect")
    ]


def test_the_function_chooses_the_subprotocol():
    async def test(gateway):
        async with gateway.connect(subprotocols=["a", "b"]) as ws:
            assert ws.subprotocol == "b"

    answer = {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "b"}}
    run(test, api(function("$connect")), functions={FUNCTION: lambda _event: answer})


def test_a_subprotocol_that_would_break_out_of_its_line_is_not_sent():
    async def test(gateway):
        _reader, writer = await hello(gateway)
        await gateway.until(lambda: len(gateway.connections) == 1)
        writer.close()

    answer = {"statusCode": 200, "headers": {"sec-websocket-protocol": "a\r\nX: y"}}
    run(test, api(function("$connect")), functions={FUNCTION: lambda _event: answer})


def test_compression_is_not_agreed_on():
    async def test(gateway):
        async with gateway.connect() as ws:
            assert "Sec-WebSocket-Extensions" not in ws.response.headers

    run(test, api())


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "message"),
    [
        ("GET", f"/{STAGE}", {}, 426, "Upgrade Required"),
        ("POST", f"/{STAGE}", {}, 426, "Upgrade Required"),
        ("GET", f"/{STAGE}", {"upgrade": "websocket"}, 400, "Bad Request"),
        ("GET", "/other", {}, 403, "Forbidden"),
        ("GET", "/", {}, 403, "Forbidden"),
    ],
)
def test_other_requests_have_no_business_here(method, target, headers, status, message):
    async def test(gateway):
        answer = await gateway.http(method, target, headers)
        assert answer[0] == status
        assert json.loads(answer[2]) == {"message": message}

    run(test, api())


def test_paths_below_the_stage_lead_nowhere():
    async def test(gateway):
        assert (await refused(gateway, "/chat")).status_code == 403

    run(test, api())


def test_api_keys_are_asked_for_where_the_route_wants_them():
    world = World()
    world.plans.keys["secret"] = KeyUse(key_id="k1")

    async def test(gateway):
        response = await refused(gateway)
        assert response.status_code == 403
        assert json.loads(response.body)["message"] == "Forbidden"
        async with gateway.connect(additional_headers={"x-api-key": "secret"}):
            assert gateway.world.invoker.event["requestContext"]["identity"]["apiKeyId"] == "k1"

    run(test, api(function("$connect", api_key_required=True)), functions=FINE, world=world)


def test_too_many_new_connections_are_throttled_and_too_many_open_ones_too():
    async def throttles(gateway):
        gateway.world.throttles.full.add("$connect")
        response = await refused(gateway)
        assert response.status_code == 429
        assert json.loads(response.body)["message"] == "Too Many Requests"
        assert gateway.world.throttles.asked == [("$connect", 500.0, 500)]

    async def full(gateway):
        async with gateway.connect(), gateway.connect():
            assert (await refused(gateway)).status_code == 429
        await gateway.until(lambda: len(gateway.connections) == 0)
        async with gateway.connect():
            pass

    run(throttles, api())
    run(full, api(), limits=Limits(open_max=2))


def test_parameters_that_the_route_requires_must_be_there():
    async def test(gateway):
        response = await refused(gateway)
        assert response.status_code == 400
        assert json.loads(response.body)["message"] == "Missing required request parameters: [token]"
        async with gateway.connect("?token=x"):
            pass

    route = function("$connect", request_parameters={"route.request.querystring.token": True})
    run(test, api(route), functions=FINE)


@pytest.mark.parametrize("rudely", [True, False])
def test_a_client_that_leaves_while_connect_decides_is_taken_leave_of(rudely):
    async def test(gateway):
        go = asyncio.Event()

        async def slow(event):
            if event["requestContext"]["eventType"] == "CONNECT":
                await go.wait()
            return {"statusCode": 200}

        gateway.world.invoker.functions[FUNCTION] = slow
        sock = socket.create_connection(("127.0.0.1", gateway.port))
        if rudely:  # a reset, not a farewell
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(HANDSHAKE)
        await gateway.until(lambda: gateway.events("CONNECT"))
        sock.close()
        await asyncio.sleep(0.05)
        go.set()
        goodbye = (await gateway.until(lambda: gateway.events("DISCONNECT")))[0]["requestContext"]
        assert goodbye["connectionId"] == gateway.events("CONNECT")[0]["requestContext"]["connectionId"]
        assert goodbye["disconnectStatusCode"] == 1006
        assert len(gateway.connections) == 0

    run(test, api(function("$connect"), function("$disconnect")))


@pytest.mark.parametrize(("status", "let_in"), [(200, True), (204, True), (403, False)])
def test_a_mock_decides_by_its_template(status, let_in):
    mock = Integration(
        id="m", integration_type="MOCK", template_selection_expression="200",
        request_templates={"200": f'{{"statusCode":{status}}}'},
    )  # fmt: skip

    async def test(gateway):
        if let_in:
            async with gateway.connect():
                pass
        else:
            assert (await refused(gateway)).status_code == status

    run(test, api(behind("$connect", mock)))
