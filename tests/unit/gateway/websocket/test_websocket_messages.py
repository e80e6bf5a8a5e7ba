"""What becomes of messages: routes, answers, errors, limits, and what $disconnect is told."""

import asyncio
import json

import pytest
import uvloop
from tests.gateway_kit import ACCOUNT, FUNCTION, World
from tests.unit.gateway.websocket.websocket_kit import (
    DOMAIN,
    STAGE,
    api,
    behind,
    function,
    hello,
    masked,
    run,
    throttled,
)
from websockets.exceptions import ConnectionClosed

from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.v2 import Integration, V2Stage
from cumulo.gateway.tools import Answer, CallFailed
from cumulo.gateway.websocket.limits import Limits


def says(event):
    return {"statusCode": 200, "body": f"{event['requestContext']['routeKey']}:{event.get('body')}"}


ECHO = {FUNCTION: says}


async def exchange(ws, *messages):
    answers = []
    for message in messages:
        await ws.send(message)
        answers.append(await asyncio.wait_for(ws.recv(), 5))
    return answers


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_messages_find_their_routes(runner):
    async def test(gateway):
        async with gateway.connect() as ws:
            return await exchange(
                ws, '{"action":"send","x":1}', '{"action":"other"}', "no json", "[1]", '{"action":"$connect"}',
                '{"action":"$disconnect"}', '{"action":"$default"}', '{"action":null}', '{"action":7}', "{}",
            )  # fmt: skip

    rows = [function(key, two_way=True) for key in ("send", "$default", "7")]
    answers = run(
        test, api(*rows, function("$connect"), function("$disconnect")), functions=ECHO, runner=runner
    )
    assert [answer.partition(":")[0] for answer in answers] == [
        "send", "$default", "$default", "$default", "$default", "$default", "$default", "$default", "7", "$default",
    ]  # fmt: skip
    assert answers[0] == 'send:{"action":"send","x":1}'


def test_other_selection_expressions_read_deeper_and_join():
    async def test(gateway):
        async with gateway.connect() as ws:
            return await exchange(ws, '{"a":{"b":["x","y"]},"v":2}', '{"a":{"b":["x"]},"v":2}')

    rows = [function(key, two_way=True) for key in ("y-2", "$default")]
    more = {"route_selection_expression": "${request.body.a.b[1]}-${request.body.v}"}
    answers = run(test, api(*rows, **more), functions=ECHO)
    assert [answer.partition(":")[0] for answer in answers] == ["y-2", "$default"]


def test_a_message_without_a_route_is_forbidden_in_awss_words():
    async def test(gateway):
        async with gateway.connect() as ws:
            (answer,) = await exchange(ws, "hi")
            told = json.loads(answer)
            assert answer == (
                '{{"message": "Forbidden", "connectionId":"{}", "requestId":"{}"}}'.format(
                    told["connectionId"], told["requestId"]
                )
            )
            assert gateway.connections.find("abcdef1234", STAGE, told["connectionId"]) is not None
            assert gateway.world.observer.seen[-1]["status"] == 403

    run(test, api(function("send")))


def test_the_event_of_a_message_has_what_awss_has():
    async def test(gateway):
        async with gateway.connect(user_agent_header="me") as ws:
            await exchange(ws, '{"action":"send"}')
            return gateway.world.invoker.event

    event = run(test, api(function("send", two_way=True)), functions=ECHO)
    context = event.pop("requestContext")
    assert event == {"body": '{"action":"send"}', "isBase64Encoded": False}
    assert list(context) == [
        "routeKey", "messageId", "eventType", "extendedRequestId", "requestTime", "messageDirection", "stage",
        "connectedAt", "requestTimeEpoch", "identity", "requestId", "domainName", "connectionId", "apiId",
    ]  # fmt: skip
    assert context["eventType"] == "MESSAGE" and context["identity"] == {
        "userAgent": "me",
        "sourceIp": "127.0.0.1",
    }
    assert context["domainName"] == DOMAIN


def test_nothing_comes_back_without_a_route_response_but_errors_do():
    async def test(gateway):
        async with gateway.connect() as ws:
            await ws.send('{"action":"quiet"}')
            await ws.send('{"action":"fails"}')
            told = json.loads(await asyncio.wait_for(ws.recv(), 5))
            assert told["message"] == "Internal server error"
            await gateway.until(lambda: len(gateway.world.invoker.events) == 2)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.1)

    def answer(event):
        if "fails" in event["body"]:
            return InvokeResult(payload=b"{}", function_error="Unhandled")
        return {"statusCode": 200, "body": "not for you"}

    run(test, api(function("quiet"), function("fails")), functions={FUNCTION: answer})


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        ({"statusCode": 200, "body": "x"}, "x"),
        ({"statusCode": 500, "body": "x"}, "x"),  # a status changes nothing for who is connected
        ({"body": "x"}, "x"),
        ({"statusCode": 200, "body": "eA==", "isBase64Encoded": True}, "x"),
        ({"statusCode": 200, "body": "/w==", "isBase64Encoded": True}, b"\xff"),
        ({"statusCode": 200, "body": 7}, "7"),
        ({"statusCode": 200, "body": {}}, None),
        ({"statusCode": 200, "body": "%", "isBase64Encoded": True}, None),
        (None, None),
        ([], None),
        (b"\xff", None),
    ],
)
def test_two_way_routes_send_the_body(answer, heard):
    async def test(gateway):
        async with gateway.connect() as ws:
            (told,) = await exchange(ws, "hi")
            if heard is None:
                assert json.loads(told)["message"] == "Internal server error"
            else:
                assert told == heard

    run(test, api(function("$default", two_way=True)), functions={FUNCTION: lambda _event: answer})


def test_a_function_that_takes_too_long_is_given_up_on_and_the_connection_stays():
    async def slow(event):
        if event["body"] == "slow":
            await asyncio.sleep(30)
        return {"body": "quick"}

    async def test(gateway):
        async with gateway.connect() as ws:
            slow, quick = await exchange(ws, "slow", "quick")
            assert json.loads(slow)["message"] == "Endpoint request timed out"
            assert quick == "quick"

    limits = Limits(integration_seconds_max=0.1)
    run(test, api(function("$default", two_way=True)), functions={FUNCTION: slow}, limits=limits)


def test_messages_are_throttled_by_route():
    async def test(gateway):
        async with gateway.connect() as ws:
            gateway.world.throttles.full.add("send")
            (told,) = await exchange(ws, '{"action":"send"}')
            assert json.loads(told)["message"] == "Too Many Requests"
            (told,) = await exchange(ws, "x")
            assert told == "$default:x"
            assert ("send", 5.0, 7) in gateway.world.throttles.asked
            assert ("$default", 1.0, 2) in gateway.world.throttles.asked

    stage = V2Stage(
        stage_name=STAGE, default_route_settings=throttled(1.0, 2), route_settings={"send": throttled(5.0, 7)}
    )
    run(test, api(function("send"), function("$default", two_way=True)), functions=ECHO, stage=stage)


def test_binary_frames_are_not_accepted():
    async def test(gateway):
        async with gateway.connect() as ws:
            await ws.send(b"x")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1003

    run(test, api(function("$default")))


@pytest.mark.parametrize(
    ("pieces", "code"),
    [(["x" * 32769], 1009), (["x" * 32768] * 4, None), ([*["x" * 32768] * 4, "x"], 1009)],
)
def test_frames_are_of_32_kib_and_messages_of_128_kib_at_most(pieces, code):
    async def test(gateway):
        async with gateway.connect() as ws:
            await ws.send(iter(pieces))
            if code is None:
                assert await ws.recv() == f"$default:{''.join(pieces)}"
            else:
                with pytest.raises(ConnectionClosed):
                    await ws.recv()
                assert ws.close_code == code

    run(test, api(function("$default", two_way=True)), functions=ECHO)


def test_a_new_deployment_is_for_old_connections_too():
    async def test(gateway):
        async with gateway.connect() as ws:
            (told,) = await exchange(ws, '{"action":"new"}')
            assert json.loads(told)["message"] == "Forbidden"
            gateway.publish(api(function("new", two_way=True)), V2Stage(stage_name=STAGE))
            assert await exchange(ws, '{"action":"new"}') == ['new:{"action":"new"}']

    run(test, api(), functions=ECHO)


@pytest.mark.parametrize(
    ("goodbye", "code", "reason"),
    [
        (masked(8, b"\x03\xe8done"), 1000, "done"),
        (masked(8, b"\x0f\xa0"), 4000, ""),
        (masked(8), 1005, "Client-side close frame status not set"),
        (b"", 1006, ""),
        (b"\x81\x01x", 1002, "incorrect masking"),
    ],
)
def test_disconnect_is_told_why(goodbye, code, reason):
    async def test(gateway):
        _, writer = await hello(gateway)
        connected = await gateway.until(lambda: gateway.events("CONNECT"))
        if goodbye:
            writer.write(goodbye)
        else:
            writer.transport.abort()
        event = (await gateway.until(lambda: gateway.events("DISCONNECT")))[0]
        writer.close()
        assert event["headers"] == {"Host": DOMAIN, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
        assert event["multiValueHeaders"]["x-restapi"] == [""]
        context = event["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (code, reason)
        assert context["routeKey"] == "$disconnect" and context["eventType"] == "DISCONNECT"
        assert context["connectionId"] == connected[0]["requestContext"]["connectionId"]
        assert "body" not in event and "messageId" not in context
        assert len(gateway.connections) == 0
        assert len(gateway.events("DISCONNECT")) == 1

    run(test, api(function("$connect"), function("$disconnect")), functions=ECHO)


@pytest.mark.parametrize(
    "limits",
    [Limits(idle_seconds_max=0.2, sweep_seconds=0.05), Limits(life_seconds_max=0.2, sweep_seconds=0.05)],
)
def test_who_is_idle_or_has_been_here_too_long_must_go(limits):
    async def test(gateway):
        async with gateway.connect() as ws:
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(ws.recv(), 5)
            assert (ws.close_code, ws.close_reason) == (1001, "Going away")
        context = (await gateway.until(lambda: gateway.events("DISCONNECT")))[0]["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1001, "Going away")

    run(test, api(function("$disconnect")), functions=ECHO, limits=limits)


def test_pings_keep_a_client_from_being_idle():
    async def test(gateway):
        async with gateway.connect(ping_interval=0.05) as ws:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.6)

    run(test, api(), limits=Limits(idle_seconds_max=0.3, sweep_seconds=0.05))


def test_a_stage_that_is_deleted_says_goodbye():
    async def test(gateway):
        async with gateway.connect() as ws:
            gateway.stages.forget("abcdef1234")
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(ws.recv(), 5)
            assert ws.close_code == 1001

    run(test, api(), limits=Limits(sweep_seconds=0.05))


def test_a_stop_says_goodbye_to_all_and_calls_disconnect():
    async def test(gateway):
        async with gateway.connect() as one, gateway.connect():
            _reader, writer = await hello(gateway)  # does not answer a farewell
            await gateway.connections.stop(2.0)
            with pytest.raises(ConnectionClosed):
                await one.recv()
            assert (one.close_code, one.close_reason) == (1001, "Going away")
            writer.close()
        assert len(gateway.events("DISCONNECT")) == 3
        assert len(gateway.connections) == 0

    run(test, api(function("$disconnect")), functions=ECHO)


def test_a_client_with_many_messages_on_their_way_must_wait_and_loses_none():
    async def test(gateway):
        running, most = 0, 0
        go = asyncio.Event()

        async def slow(event):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await go.wait()
            running -= 1
            return {"body": event["body"]}

        gateway.world.invoker.functions[FUNCTION] = slow
        async with gateway.connect() as ws:
            for number in range(50):
                await ws.send(str(number))
            await gateway.until(lambda: running == 4)
            await asyncio.sleep(0.05)
            assert most == 4
            go.set()
            answers = {await asyncio.wait_for(ws.recv(), 5) for _ in range(50)}
            assert answers == {str(number) for number in range(50)}
            assert most == 4

    run(test, api(function("$default", two_way=True)), limits=Limits(turns_a_connection_max=4))


def test_all_clients_together_have_a_bound_too_and_nobody_is_forgotten():
    async def test(gateway):
        running, most = 0, 0

        async def slow(event):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1
            return {"body": event["body"]}

        gateway.world.invoker.functions[FUNCTION] = slow

        async def chatter():
            async with gateway.connect() as ws:
                for number in range(30):
                    await ws.send(str(number))
                return {await asyncio.wait_for(ws.recv(), 10) for _ in range(30)}

        heard = await asyncio.gather(*(chatter() for _ in range(8)))
        assert all(len(one) == 30 for one in heard)
        assert most <= 3 + 8  # each client may have one more that came in the same moment

    run(test, api(function("$default", two_way=True)), limits=Limits(turns_max=3, turns_a_connection_max=2))


def test_http_backends_get_the_message_and_mapped_headers():
    world = World()
    world.http.answer = Answer(status=200, headers=[("content-type", "text/plain")], body=b"hello")

    async def test(gateway):
        async with gateway.connect() as ws:
            assert await exchange(ws, '{"action":"x","who":{"name":"ann"}}') == ["hello"]
            request = gateway.world.http.request
            assert request["method"] == "PUT"
            assert request["url"] == "http://backend.test/v1/ann?stage=prod"
            assert request["body"] == b'{"action":"x","who":{"name":"ann"}}'
            assert gateway.world.http.header("connectionId")
            assert gateway.world.http.header("fixed") == "text"
            assert gateway.world.http.header("user-agent") == "AmazonAPIGateway_abcdef1234"

    proxy = Integration(
        id="h", integration_type="HTTP_PROXY", integration_method="PUT",
        integration_uri="http://${stageVariables.host}/v1/{name}",
        request_parameters={
            "integration.request.header.connectionId": "context.connectionId",
            "integration.request.header.fixed": "'text'",
            "integration.request.path.name": "route.request.body.who.name",
            "integration.request.querystring.stage": "context.stage",
        },
    )  # fmt: skip
    stage = V2Stage(stage_name=STAGE, variables={"host": "backend.test"})
    run(test, api(behind("x", proxy, two_way=True)), world=world, stage=stage)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (CallFailed("no"), "Internal server error"),
        (CallFailed("no", timed_out=True), "Endpoint request timed out"),
    ],
)
def test_backends_that_do_not_answer_are_errors(failure, message):
    world = World()

    def fail(_request):
        raise failure

    world.http.answer = fail

    async def test(gateway):
        async with gateway.connect() as ws:
            (told,) = await exchange(ws, "x")
            assert json.loads(told)["message"] == message

    proxy = Integration(id="h", integration_type="HTTP_PROXY", integration_uri="http://backend.test/")
    run(test, api(behind("$default", proxy)), world=world)


def test_a_proxy_of_connect_gets_headers_and_query_as_they_came():
    world = World()

    async def test(gateway):
        async with gateway.connect("?a=1", additional_headers={"X-Thing": "one"}):
            request = gateway.world.http.request
            assert request["url"] == "http://backend.test/?a=1"
            assert gateway.world.http.header("x-thing") == "one"
            assert gateway.world.http.header("sec-websocket-version") == "0"
            assert gateway.world.http.header("upgrade") is None

    proxy = Integration(
        id="h", integration_type="HTTP_PROXY", integration_uri="http://backend.test/",
        request_parameters={"integration.request.header.Sec-WebSocket-Version": "'0'"},
    )  # fmt: skip
    run(test, api(behind("$connect", proxy)), world=world)


def test_aws_services_are_asked_in_the_accounts_name():
    world = World()
    world.aws.answer = Answer(status=200, headers=(), body=b'{"MessageId":"1"}')

    async def test(gateway):
        async with gateway.connect() as ws:
            assert await exchange(ws, "hi") == ['{"MessageId":"1"}']
            call = gateway.world.aws.calls[-1]
            assert (call["service"], call["method"], call["path"]) == ("dynamodb", "POST", "/")
            assert call["headers"]["X-Amz-Target"] == "DynamoDB_20120810.PutItem"
            assert call["body"] == b"hi"
            assert call["caller"].account == ACCOUNT

    service = Integration(
        id="s", integration_type="AWS", integration_method="POST",
        integration_uri="arn:aws:apigateway:us-east-1:dynamodb:action/PutItem",
    )  # fmt: skip
    run(test, api(behind("$default", service, two_way=True)), world=world)
