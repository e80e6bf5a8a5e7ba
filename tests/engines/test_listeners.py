"""What listens inside a pod at an address of its own leaves the port to the containers."""

import asyncio

from cumulo.engines.engine import Capability
from tests.engines.kit import Lab


async def test_a_container_may_listen_at_the_same_port(lab: Lab) -> None:
    lab.needs(Capability.LISTEN_INSIDE)
    lab.needs_kernel()
    script = (
        "echo own > /tmp/it; httpd -h /tmp -p 80; "
        "wget -q -O - http://127.0.0.1/it; nc -w 2 169.254.170.2 80 </dev/null"
    )
    spec = lab.pod(lab.container("sh", "-c", script))
    await lab.engine.create(spec)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"agent\n")
        await writer.drain()
        writer.close()

    for said in range(2):  # again after a restart of whoever listens
        listener = await lab.engine.listen_inside(spec.name, 80, "169.254.170.2")
        server = await asyncio.start_server(answer, sock=listener)
        await lab.engine.start(spec.name, "main")
        async with asyncio.timeout(20):
            await lab.engine.wait(spec.name, "main")
        lines = [line.text.decode() for line in await lab.logs(spec.name)]
        assert lines == ["own", "agent"] * (said + 1)
        server.close()
        await server.wait_closed()
