"""Many clients at once, and clients that vanish: everybody is served, everybody is taken leave of."""

import asyncio

import uvloop
from tests.gateway_kit import FUNCTION
from tests.unit.gateway.websocket.websocket_kit import api, function, hello, masked, run

from cumulo.gateway.websocket.limits import Limits

MANY = 2000


async def crowd(gateway, count, at_once=50):
    """So many clients, connected."""
    gate = asyncio.Semaphore(at_once)

    async def one():
        async with gate:
            return await hello(gateway)

    return await asyncio.gather(*(one() for _ in range(count)))


def test_two_thousand_clients_come_are_answered_all_hear_a_broadcast_and_vanish():
    leaving, most = 0, 0

    async def answer(event):
        nonlocal leaving, most
        if event["requestContext"]["eventType"] == "DISCONNECT":
            leaving += 1
            most = max(most, leaving)
            await asyncio.sleep(0)
            leaving -= 1
        return {"statusCode": 200, "body": event.get("body", "")}

    async def test(gateway):
        clients = await crowd(gateway, MANY)
        assert len(gateway.connections) == MANY
        for number, (_, writer) in enumerate(clients):
            writer.write(masked(1, b"%04d" % number))
        for number, (reader, _) in enumerate(clients):
            assert await reader.readexactly(6) == b"\x81\x04%04d" % number
        for member in list(gateway.connections._open.values()):
            assert member.post(b"all")
        for reader, _ in clients:
            assert await reader.readexactly(5) == b"\x81\x03all"
        for _, writer in clients:
            writer.transport.abort()
        await gateway.until(lambda: len(gateway.events("DISCONNECT")) == MANY)
        told = {event["requestContext"]["connectionId"] for event in gateway.events("DISCONNECT")}
        assert len(told) == MANY
        assert most <= 16
        assert len(gateway.connections) == 0
        assert (
            not gateway.connections._tasks
            or await gateway.until(lambda: not gateway.connections._tasks) is True
        )

    rows = [function("$default", two_way=True), function("$disconnect")]
    run(
        test,
        api(*rows),
        functions={FUNCTION: answer},
        runner=uvloop.run,
        limits=Limits(farewells_max=16),
        seconds=60,
    )


def test_who_floods_with_pings_and_reads_nothing_is_read_no_more():
    async def test(gateway):
        _, writer = await hello(gateway)
        writer.transport.pause_reading()
        ping = masked(9, b"x" * 125)
        await gateway.until(lambda: len(gateway.connections) == 1)
        (member,) = gateway.connections._open.values()
        try:
            async with asyncio.timeout(1.0):
                while True:
                    writer.write(ping * 500)
                    await writer.drain()
        except TimeoutError:
            pass
        assert member._transport.get_write_buffer_size() < 1024 * 1024
        writer.transport.abort()

    run(test, api())


def test_a_slow_client_does_not_hold_up_the_others():
    async def test(gateway):
        _, slow = await hello(gateway)
        slow.transport.pause_reading()
        await gateway.until(lambda: len(gateway.connections) == 1)
        (member,) = gateway.connections._open.values()
        for _ in range(1000):
            if not member.post(b"x" * 65536):
                break
        async with gateway.connect() as ws:
            await ws.send("quick")
            assert await asyncio.wait_for(ws.recv(), 2) == "quick"
        slow.transport.abort()

    answer = {FUNCTION: lambda event: {"body": event["body"]}}
    run(test, api(function("$default", two_way=True)), functions=answer)


def test_a_broken_function_at_the_end_breaks_nothing():
    def fail(event):
        raise RuntimeError("a bug")

    async def test(gateway):
        _, writer = await hello(gateway)
        await gateway.until(lambda: len(gateway.connections) == 1)
        writer.transport.abort()
        await gateway.until(
            lambda: gateway.world.observer.seen[-1]["visit"].context["eventType"] == "DISCONNECT"
        )
        async with gateway.connect():
            pass

    run(test, api(function("$disconnect")), functions={FUNCTION: fail})


def test_halves_of_messages_of_many_clients_are_kept_within_a_bound():
    half = masked(1, b"x" * 30_000, fin=False)

    async def test(gateway):
        clients = await crowd(gateway, 20)
        for _, writer in clients:
            writer.write(half)
        codes = [await asyncio.wait_for(reader.read(4), 5) for reader, _ in clients[10:]]
        assert {int.from_bytes(said[2:4], "big") for said in codes} == {1013}
        assert gateway.connections.unheard_bytes <= 200_000 + 30_000
        for _, writer in clients:
            writer.transport.abort()
        await gateway.until(lambda: len(gateway.connections) == 0)
        assert gateway.connections.unheard_bytes == 0

    run(test, api(), limits=Limits(unheard_bytes_total_max=200_000))


def test_what_waits_for_slow_clients_is_kept_within_a_bound_for_all():
    async def test(gateway):
        clients = await crowd(gateway, 10)
        for _, writer in clients:
            writer.transport.pause_reading()
        members = list(gateway.connections._open.values())
        refused = 0
        for _ in range(300):
            refused += sum(not member.post(b"x" * 100_000) for member in members)
        assert refused
        assert gateway.connections.waiting_bytes <= 2 * 1_000_000 + 100_000
        for _, writer in clients:
            writer.transport.abort()
        await gateway.until(lambda: len(gateway.connections) == 0)
        assert gateway.connections.waiting_bytes == 0

    run(test, api(), limits=Limits(waiting_bytes_total_max=1_000_000))


def test_messages_on_their_way_have_a_bound_in_bytes_and_all_arrive():
    most, now = 0, 0

    async def test(gateway):
        async def slow(event):
            nonlocal most, now
            now += len(event["body"])
            most = max(most, now)
            await asyncio.sleep(0.002)
            now -= len(event["body"])
            return {"body": event["body"][:3]}

        gateway.world.invoker.functions[FUNCTION] = slow
        async with gateway.connect() as one, gateway.connect() as two:
            for number in range(20):
                for ws in (one, two):
                    await ws.send(f"{number:03}" + "x" * 20_000)
            for ws in (one, two):
                assert {await asyncio.wait_for(ws.recv(), 5) for _ in range(20)} == {
                    f"{n:03}" for n in range(20)
                }
        assert most <= 100_000

    run(test, api(function("$default", two_way=True)), limits=Limits(turns_bytes_max=60_000))


def test_a_reset_cuts_everybody_and_calls_nobody():
    async def test(gateway):
        reader, writer = await hello(gateway)
        await gateway.until(lambda: len(gateway.connections) == 1)
        await gateway.connections.reset()
        assert await reader.read() == b""
        assert len(gateway.connections) == 0
        assert gateway.events("DISCONNECT") == []
        async with gateway.connect():
            pass
        await gateway.until(lambda: gateway.events("DISCONNECT"))
        writer.close()

    run(test, api(function("$disconnect")), functions={FUNCTION: lambda _event: {"statusCode": 200}})
