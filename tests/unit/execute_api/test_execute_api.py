"""@connections for clients that know the cloud's address alone."""

import pytest
from tests.gateway_kit import ACCOUNT
from tests.unit.gateway.websocket.websocket_kit import api, hello, run
from websockets.exceptions import ConnectionClosed

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.gateway.websocket.limits import Limits
from cumulo.services.execute_api.service import ExecuteApi

OWNER = Caller(account=ACCOUNT)


async def known(gateway):
    await gateway.until(lambda: len(gateway.connections) == 1)
    return next(iter(gateway.connections._open))


def test_it_sends_looks_and_ends():
    async def test(gateway):
        service = ExecuteApi(gateway.connections)
        async with gateway.connect(user_agent_header="me") as ws:
            one = {"ConnectionId": await known(gateway)}
            await service.post_to_connection(OWNER, one | {"Data": b"hi"})
            assert await ws.recv() == "hi"
            seen = await service.get_connection(OWNER, one)
            assert seen["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "me"}
            assert seen["ConnectedAt"] <= seen["LastActiveAt"]
            await service.delete_connection(OWNER, one)
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1000

    run(test, api())


def test_who_is_gone_and_whom_another_account_has_are_the_same():
    async def test(gateway):
        service = ExecuteApi(gateway.connections)
        async with gateway.connect():
            one = await known(gateway)
            for caller, wanted in ((OWNER, "TXzPWdnOjoECGjA="), (Caller(account="999999999999"), one)):
                for call in (service.post_to_connection, service.get_connection, service.delete_connection):
                    with pytest.raises(AwsError) as caught:
                        await call(caller, {"ConnectionId": wanted, "Data": b"x"})
                    assert (caught.value.code, caught.value.status) == ("GoneException", 410)

    run(test, api())


def test_a_client_that_reads_nothing_costs_429():
    async def test(gateway):
        service = ExecuteApi(gateway.connections)
        _, writer = await hello(gateway)
        writer.transport.pause_reading()
        one = {"ConnectionId": await known(gateway), "Data": b"x" * 100_000}

        async def many():
            for _ in range(500):
                await service.post_to_connection(OWNER, one)

        with pytest.raises(AwsError) as caught:
            await many()
        assert (caught.value.code, caught.value.status) == ("LimitExceededException", 429)
        writer.transport.abort()

    run(test, api(), limits=Limits(waiting_bytes_max=200_000))
