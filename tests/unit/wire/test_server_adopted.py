"""Sandboxes and pods together leave room for everybody else."""

import asyncio
import socket

from cumulo.base.clock import SystemClock
from cumulo.wire.http import Response
from cumulo.wire.server import Limits, Server


async def plain(_request, /):
    return Response(200, [], b"plain")


def listening() -> tuple[socket.socket, int]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(8)
    return sock, sock.getsockname()[1]


async def ask(port: int) -> tuple[bytes, asyncio.StreamWriter]:
    """The status line, and the connection, which is kept."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return await asyncio.wait_for(reader.readline(), 5), writer


def test_all_adopted_sockets_together_have_a_bound_and_the_front_door_does_not_share_it():
    async def story():
        server = Server(plain, clock=SystemClock(), limits=Limits(adopted_connections_total_max=2))
        front = await server.listen("127.0.0.1", 0)
        (one, first), (two, second) = listening(), listening()
        await server.adopt(one, "one")
        await server.adopt(two, "two")
        kept = [await ask(first), await ask(second)]
        assert all(line.startswith(b"HTTP/1.1 200") for line, _ in kept)
        refused, writer = await ask(second)
        assert not refused.startswith(b"HTTP/1.1 200")
        writer.close()
        outside, open_writer = await ask(front)
        assert outside.startswith(b"HTTP/1.1 200")
        open_writer.close()
        for _, one_writer in kept:
            one_writer.close()
            await one_writer.wait_closed()
        async with asyncio.timeout(5):
            while server._inside:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0)
        again, writer = await ask(first)
        assert again.startswith(b"HTTP/1.1 200"), "who leaves makes room"
        writer.close()
        await server.stop(0.1)

    asyncio.run(story())
