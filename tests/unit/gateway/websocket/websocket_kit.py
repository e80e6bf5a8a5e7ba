"""A WebSocket API before fakes, on a real server: what clients of it see."""

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from tests.gateway_kit import ACCOUNT, API, FUNCTION, REGION, World, place
from websockets.asyncio.client import connect

from cumulo.base.clock import SystemClock
from cumulo.gateway.context import Visits
from cumulo.gateway.definitions.v2 import (
    Integration,
    Route,
    RouteResponse,
    RouteSetting,
    V2Definition,
    V2Stage,
)
from cumulo.gateway.front import Front
from cumulo.gateway.stages import Stages
from cumulo.gateway.websocket.compile import compile_websocket
from cumulo.gateway.websocket.connections import Connections
from cumulo.gateway.websocket.limits import Limits
from cumulo.wire.server import Server

STAGE = "prod"
DOMAIN = f"{API}.execute-api.localhost"
SIGNED = {
    "authorization": f"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20240101/{REGION}/execute-api/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
    "x-amz-date": "20240101T000000Z",
}
TWO_WAY: Mapping[str, Any] = {
    "route_response_selection_expression": "$default",
    "route_responses": {"r": RouteResponse(id="r", key="$default")},
}


def function(
    key: str, arn: str = FUNCTION, *, two_way: bool = False, **more: Any
) -> tuple[Route, Integration]:
    """A route with a function behind it."""
    name = "i" + hashlib.sha1(key.encode()).hexdigest()[:6]
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
    route = Route(
        id=name, route_key=key, target=f"integrations/{name}", **(dict(TWO_WAY) if two_way else {}), **more
    )
    return route, Integration(
        id=name, integration_type="AWS_PROXY", integration_uri=uri, timeout_in_millis=29_000
    )


def behind(
    key: str, integration: Integration, *, two_way: bool = False, **more: Any
) -> tuple[Route, Integration]:
    """A route with any integration behind it."""
    route = Route(
        id=f"r{integration.id}", route_key=key, target=f"integrations/{integration.id}",
        **(dict(TWO_WAY) if two_way else {}), **more,
    )  # fmt: skip
    return route, integration


def api(*rows: tuple[Route, Integration | None], **more: Any) -> V2Definition:
    """An API of these routes."""
    return V2Definition(
        api_id=API,
        account=ACCOUNT,
        region=REGION,
        protocol_type="WEBSOCKET",
        **({"route_selection_expression": "$request.body.action"} | more),
        routes=tuple(route for route, _ in rows),
        integrations={one.id: one for _, one in rows if one is not None},
    )


class Gateway:
    """What a test holds on to while the server runs."""

    def __init__(self, world: World, limits: Limits) -> None:
        self.world = world
        self.clock = SystemClock()
        self.stages = Stages()
        self.connections = Connections(
            stages=self.stages, clock=self.clock, ids=world.tools.ids, limits=limits
        )
        self.port = 0

    def publish(self, definition: V2Definition, stage: V2Stage) -> None:
        """Deploy."""
        where = place("WEBSOCKET", stage.stage_name)
        make = lambda: compile_websocket(definition, stage, self.world.tools, self.connections)  # noqa: E731
        self.stages.publish(where, make)

    def connect(self, target: str = "", **options: Any) -> Any:
        """A client; `target` comes after the stage."""
        options.setdefault("max_size", None)
        options.setdefault("proxy", None)
        return connect(f"ws://{DOMAIN}/{STAGE}{target}", host="127.0.0.1", port=self.port, **options)

    async def http(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """A plain request: status, headers, body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [
            f"{method} {target} HTTP/1.1",
            *(f"{k}: {v}" for k, v in ({"host": DOMAIN} | dict(headers or {})).items()),
        ]
        lines += [f"content-length: {len(body)}", "connection: close", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        answer = await reader.read()
        writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        first, *more = head.decode().split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in more)}
        return int(first.split()[1]), found, rest

    async def manage(
        self, method: str, connection_id: str, body: bytes = b"", *, stage: str = STAGE
    ) -> tuple[int, dict[str, str], bytes]:
        """A signed request to @connections."""
        return await self.http(
            method, f"/{stage}/@connections/{connection_id.replace('=', '%3D')}", SIGNED, body
        )

    async def until(self, condition: Any, what: str = "") -> Any:
        """Wait until it is so."""
        async with asyncio.timeout(10):
            while not (found := condition()):  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
        return found

    def events(self, kind: str) -> list[Any]:
        """The events that functions were told of."""
        return [
            event for _, event in self.world.invoker.events if event["requestContext"]["eventType"] == kind
        ]


def run(
    test: Any,
    definition: V2Definition,
    *,
    functions: Mapping[str, Any] | None = None,
    world: World | None = None,
    limits: Limits = Limits(),  # noqa: B008
    stage: V2Stage | None = None,
    runner: Any = asyncio.run,
    seconds: float = 30.0,
) -> Any:
    """Run `test(gateway)` beside a server with the API deployed on it."""

    async def main() -> Any:
        gateway = Gateway(world or World(), limits)
        gateway.world.tools = gateway.world.tools.__class__(
            **{name: getattr(gateway.world.tools, name) for name in gateway.world.tools.__struct_fields__}
            | {"clock": gateway.clock}
        )
        gateway.world.invoker.functions.update(functions or {})
        gateway.publish(definition, stage or V2Stage(stage_name=STAGE))
        front = Front(gateway.stages, Visits(gateway.clock, gateway.world.tools.ids))
        server = Server(front.answer, clock=gateway.clock)
        gateway.port = await server.listen("127.0.0.1", 0)
        try:
            return await asyncio.wait_for(test(gateway), seconds)
        finally:
            await server.stop(0.1)
            await gateway.connections.stop(1.0)

    return runner(main())


def throttled(rate: float, burst: int) -> RouteSetting:
    """A stage's setting."""
    return RouteSetting(throttling_rate_limit=rate, throttling_burst_limit=burst)


HANDSHAKE = "\r\n".join(
    [
        f"GET /{STAGE} HTTP/1.1", f"Host: {DOMAIN}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}", "", "",
    ]
).encode()  # fmt: skip


async def hello(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that does everything by hand, after its handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def masked(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as clients send it."""
    size = len(data)
    head = bytes([opcode | (0x80 if fin else 0)])
    head += bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + data
