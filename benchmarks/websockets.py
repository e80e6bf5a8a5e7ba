"""Open WebSockets of an API: what one costs in memory, and how long a broadcast to all takes through @connections.

    python -m benchmarks.websockets               prints the rows
    python -m benchmarks.websockets serve         a gateway with a WebSocket API: prints its port, serves until killed

The API has no functions behind it (their cost is measured elsewhere): whatever a client says is answered with an error,
which has the connection's id in it.  Its throttles admit everything: 10,000 clients at 500 a second would take twenty seconds to come.
"""

import asyncio
import base64
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import uvloop

from benchmarks import tools

OPEN = 10_000
WORKERS = 16
API, STAGE = "abcdef1234", "prod"
HOST = f"{API}.execute-api.localhost"
HELLO = (
    f"GET /{STAGE} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}\r\nUser-Agent: bench\r\n\r\n"
).encode()
SIGNED = (
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20240101/us-east-1/execute-api/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}\r\nX-Amz-Date: 20240101T000000Z\r\n"
)
Row = tuple[str, str, str, float, float, bool]


class Everybody:
    """Throttles, plans and observers that say yes and keep nothing."""

    def admit(self, *_: Any, **__: Any) -> Any:
        return True

    def done(self, *_: Any, **__: Any) -> None:
        pass


async def serve() -> None:
    from cumulo.base.clock import SystemClock
    from cumulo.base.ids import Ids
    from cumulo.gateway.context import Visits
    from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
    from cumulo.gateway.front import Front
    from cumulo.gateway.stages import Place, Stages
    from cumulo.gateway.tools import Tools
    from cumulo.gateway.websocket.compile import compile_websocket
    from cumulo.gateway.websocket.connections import Connections
    from cumulo.wire.server import Server

    clock, ids, stages = SystemClock(), Ids(), Stages()
    nobody: Any = Everybody()
    kit = Tools(
        clock=clock, ids=ids, invoker=nobody, functions=nobody, http=nobody, aws=nobody, private=nobody,
        observer=nobody, throttles=nobody, plans=nobody,
    )  # fmt: skip
    connections = Connections(stages=stages, clock=clock, ids=ids)
    definition = V2Definition(
        api_id=API, account="123456789012", region="us-east-1", protocol_type="WEBSOCKET",
        route_selection_expression="$request.body.action",
    )  # fmt: skip
    place = Place(account="123456789012", region="us-east-1", api_id=API, stage=STAGE, kind="WEBSOCKET")
    stages.publish(place, lambda: compile_websocket(definition, V2Stage(stage_name=STAGE), kit, connections))
    server = Server(Front(stages, Visits(clock, ids)).answer, clock=clock)
    port = await server.listen("127.0.0.1", 0)
    print(port, flush=True)
    await asyncio.Event().wait()


class Client(asyncio.Protocol):
    """A client that only counts what it gets."""

    def __init__(self, crowd: "Crowd") -> None:
        self.crowd = crowd
        self.open = False
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.transport.write(HELLO)

    def data_received(self, data: bytes) -> None:
        if not self.open:
            self.head += data
            if b"\r\n\r\n" in self.head:
                assert self.head.startswith(b"HTTP/1.1 101"), self.head
                self.open = True
                self.crowd.came()
            return
        self.crowd.got(data)


class Crowd:
    """Many of them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.here = asyncio.Event()
        self.waiting = count
        self.expected = 0
        self.all_got = asyncio.Event()
        self.said: list[bytes] = []

    def came(self) -> None:
        self.waiting -= 1
        if not self.waiting:
            self.here.set()

    def got(self, data: bytes) -> None:
        if self.expected:
            self.expected -= len(data)
            if self.expected <= 0:
                self.all_got.set()
        else:
            self.said.append(data)


async def measure(port: int, pid: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    await connect(loop, port, 50)  # whatever is made once has been made
    await asyncio.sleep(0.5)
    before = tools.resident_mib(pid)
    began = time.perf_counter()
    crowd, clients = await connect(loop, port, OPEN)
    came = time.perf_counter() - began
    await asyncio.sleep(1.0)
    memory = (tools.resident_mib(pid) - before) * 1024 / OPEN
    ids = await ids_of(clients, crowd)
    text = b"x" * 100
    took = []
    for _ in range(3):
        crowd.expected, crowd.all_got = OPEN * (len(text) + 2), asyncio.Event()
        began = time.perf_counter()
        await asyncio.gather(*(worker(port, ids[at::WORKERS], text) for at in range(WORKERS)))
        await crowd.all_got.wait()
        took.append(time.perf_counter() - began)
    return {"kib": memory, "connects": OPEN / came, "broadcast": statistics.median(took)}


async def connect(loop: asyncio.AbstractEventLoop, port: int, count: int) -> tuple[Crowd, list[Client]]:
    crowd = Crowd(count)
    clients = []
    for at in range(0, count, 100):
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda: Client(crowd), "127.0.0.1", port)
                for _ in range(min(100, count - at))
            )
        )
        clients += [protocol for _, protocol in made]
    await crowd.here.wait()
    return crowd, clients


async def ids_of(clients: list[Client], crowd: Crowd) -> list[str]:
    """A message that no route can be for is answered with the connection's id."""
    for client in clients:
        client.transport.write(b"\x81\x81\0\0\0\0x")
    while len(crowd.said) < len(clients):
        await asyncio.sleep(0.05)
    return [said.split(b'"connectionId":"')[1][:16].decode() for said in crowd.said]


async def worker(port: int, ids: list[str], text: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for one in ids:
        head = f"POST /{STAGE}/@connections/{one[:-1]}%3D HTTP/1.1\r\nHost: {HOST}\r\n{SIGNED}Content-Length: {len(text)}\r\n\r\n"
        writer.write(head.encode() + text)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
    writer.close()


def rows() -> list[Row]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * OPEN)), hard))
    with tools.process(
        [sys.executable, "-m", "benchmarks.websockets", "serve"], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        found = uvloop.run(measure(port, child.pid))
    return [
        ("an open WebSocket, idle", f"{found['kib']:.1f} KiB", "budget 8 KiB", found["kib"] / 8, 1.0, False),
        (
            "new WebSockets",
            f"{found['connects']:.0f}/s",
            "AWS admits 500/s",
            found["connects"] / 500,
            1.0,
            True,
        ),
        (
            f"broadcast to {OPEN:,}",
            f"{found['broadcast']:.2f} s",
            "budget 5 s",
            found["broadcast"] / 5,
            1.0,
            False,
        ),
    ]


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        uvloop.run(serve())
        return
    for what, ours, other, ratio, budget, at_least in rows():
        sign = ">=" if at_least else "<="
        print(f"{what:<34} {ours:>16}  {other:<24} {ratio:8.2f} x  ({sign} {budget:g})")


if __name__ == "__main__":
    main()
