"""@connections: what backends can do with connections, by boto3 and by hand."""

import asyncio
import json
from functools import partial

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.gateway_kit import API, FUNCTION, REGION, World
from tests.unit.gateway.websocket.websocket_kit import (
    DOMAIN,
    SIGNED,
    STAGE,
    Gateway,
    api,
    function,
    hello,
    run,
)
from websockets.exceptions import ConnectionClosed

from cumulo.base.clock import SystemClock
from cumulo.gateway.definitions.v2 import V2Stage
from cumulo.gateway.websocket.limits import Limits

ECHO = {FUNCTION: lambda _event: {"statusCode": 200}}
NOBODY = "TXzPWdnOjoECGjA="


def client(gateway, prefix=f"/_aws/execute-api/{API}/{STAGE}", **options):
    return boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=f"http://127.0.0.1:{gateway.port}{prefix}",
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, **options),
    )


async def known(gateway):
    """The id of the only connection."""
    await gateway.until(lambda: len(gateway.connections) == 1)
    return next(iter(gateway.connections._open))


def asked(call, **values):
    return asyncio.get_running_loop().run_in_executor(None, partial(call, **values))


async def code_of(call, **values):
    with pytest.raises(ClientError) as caught:
        await asked(call, **values)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_boto3_sends_looks_and_ends():
    async def test(gateway):
        aws = client(gateway)
        async with gateway.connect(user_agent_header="me") as ws:
            one = await known(gateway)
            await asked(aws.post_to_connection, ConnectionId=one, Data="grüße")
            assert await ws.recv() == "grüße"
            await asked(aws.post_to_connection, ConnectionId=one, Data=b"\xff\x00")
            assert await ws.recv() == b"\xff\x00"
            await asked(aws.post_to_connection, ConnectionId=one, Data=b"x" * 131072)
            assert await ws.recv() == "x" * 131072
            seen = await asked(aws.get_connection, ConnectionId=one)
            assert seen["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "me"}
            assert 0 <= SystemClock().now() - seen["ConnectedAt"].timestamp() < 10
            assert seen["LastActiveAt"] >= seen["ConnectedAt"]
            answer = await asked(aws.delete_connection, ConnectionId=one)
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (1000, "Connection Closed Normally")
            assert await code_of(aws.post_to_connection, ConnectionId=one, Data="x") == ("GoneException", 410)
        context = (await gateway.until(lambda: gateway.events("DISCONNECT")))[0]["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (
            1000,
            "Connection Closed Normally",
        )

    run(test, api(function("$disconnect")), functions=ECHO)


def test_by_host_name_the_stage_is_in_the_path():
    async def test(gateway):
        async with gateway.connect() as ws:
            one = await known(gateway)
            for form in (f"/{STAGE}/@connections/", f"/{STAGE}/%40connections/"):
                status, _, _ = await gateway.http("POST", form + one.replace("=", "%3D"), SIGNED, b"hi")
                assert status == 200
                assert await ws.recv() == "hi"

    run(test, api())


def test_who_is_gone_or_of_another_stage_is_gone():
    async def test(gateway):
        aws = client(gateway)
        gateway.publish(api(), V2Stage(stage_name="other"))
        async with gateway.connect():
            one = await known(gateway)
            for call in (
                aws.get_connection,
                aws.delete_connection,
                partial(aws.post_to_connection, Data="x"),
            ):
                assert await code_of(call, ConnectionId=NOBODY) == ("GoneException", 410)
            assert (await gateway.manage("GET", one, stage="other"))[0] == 410
        await gateway.until(lambda: len(gateway.connections) == 0)
        assert await code_of(aws.get_connection, ConnectionId=one) == ("GoneException", 410)

    run(test, api())


@pytest.mark.parametrize("forged", ["x", "test-connection-123", "a" * 200, "TXzPWdnOjoECGjA", "..%2F..%2Fx"])
def test_ids_that_are_none_are_a_bad_request_or_lead_nowhere(forged):
    async def test(gateway):
        status, headers, body = await gateway.http("GET", f"/{STAGE}/@connections/{forged}", SIGNED)
        assert (status, headers["x-amzn-errortype"]) in {
            (400, "BadRequestException"),
            (403, "MissingAuthenticationTokenException"),
        }
        assert json.loads(body)["message"] in {"Invalid connectionId", "Missing Authentication Token"}

    run(test, api())


def test_more_than_128_kib_is_too_much():
    async def test(gateway):
        async with gateway.connect():
            one = await known(gateway)
            call = client(gateway, parameter_validation=False).post_to_connection
            assert await code_of(call, ConnectionId=one, Data=b"x" * 131073) == (
                "PayloadTooLargeException",
                413,
            )

    run(test, api())


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_request_that_nobody_signed_is_refused(method):
    async def test(gateway):
        async with gateway.connect():
            one = (await known(gateway)).replace("=", "%3D")
            status, headers, body = await gateway.http(method, f"/{STAGE}/@connections/{one}")
            assert status == 403
            assert headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
            assert json.loads(body) == {"message": "Missing Authentication Token"}
            assert len(gateway.connections) == 1

    run(test, api())


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", NOBODY), ("GET", ""), ("GET", f"{NOBODY}/more"), ("PATCH", NOBODY)]
)
def test_other_methods_and_paths_are_nothing(method, path):
    async def test(gateway):
        status, _, body = await gateway.http(method, f"/{STAGE}/@connections/{path}", SIGNED)
        assert status == 403
        assert json.loads(body) == {"message": "Missing Authentication Token"}

    run(test, api())


def test_in_a_shared_cloud_unknown_keys_are_refused():
    async def test(gateway):
        async with gateway.connect():
            one = await known(gateway)
            assert (await code_of(client(gateway).get_connection, ConnectionId=one))[1] == 403

    run(test, api(), world=World(shared=True))


def test_a_client_that_does_not_read_costs_429_and_no_memory():
    async def test(gateway: Gateway):
        _reader, writer = await hello(gateway)
        writer.transport.pause_reading()
        one = await known(gateway)
        member = gateway.connections._open[one]
        refused = 0
        for _ in range(200):
            status, headers, body = await gateway.manage("POST", one, b"x" * 100_000)
            if status == 429:
                refused += 1
                assert headers["x-amzn-errortype"] == "LimitExceededException"
                assert json.loads(body)["message"]
                if refused > 2:
                    break
        assert refused > 2
        assert member._transport.get_write_buffer_size() <= 200_000
        assert (await gateway.manage("DELETE", one))[0] == 204
        assert (await gateway.manage("POST", one, b"x"))[0] == 410
        writer.transport.abort()

    run(test, api(), limits=Limits(waiting_bytes_max=200_000))


def test_what_is_sent_is_observed_with_its_size():
    async def test(gateway):
        async with gateway.connect():
            one = await known(gateway)
            await gateway.manage("POST", one, b"12345")
            seen = gateway.world.observer.seen[-1]
            assert seen["status"] == 200
            assert seen["visit"].body == b"12345"
            assert seen["visit"].context["connectionId"] == one
            assert seen["visit"].context["messageDirection"] == "OUT"
            assert seen["visit"].context["domainName"] == DOMAIN

    run(test, api())


def test_a_function_may_answer_through_the_connection_it_was_called_from():
    async def test(gateway):
        async def back(event):
            one = event["requestContext"]["connectionId"]
            assert (await gateway.manage("POST", one, b"from the function"))[0] == 200
            return {"statusCode": 200}

        gateway.world.invoker.functions[FUNCTION] = back
        async with gateway.connect() as ws:
            await ws.send("hi")
            assert await ws.recv() == "from the function"

    run(test, api(function("$default")))
