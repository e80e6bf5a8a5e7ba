"""A service behind the real door, asked by a real client without a socket."""

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.state.store import Store
from cumulo.wire.door import Door
from cumulo.wire.http import Handler, Request, Response
from cumulo.wire.keys import Keys
from cumulo.wire.service import Service
from tests.unit.wire.wire_door import MODELS, from_botocore

SESSION = botocore.session.Session()


async def nobody(_request: Request) -> Response:
    """The companions, of which there are none."""
    return Response(299, [], b"")


def a_door(services: Mapping[str, Service], *, store: Store, clock: Clock, account: str, region: str) -> Door:
    """The door to these services alone; every key is let in."""
    return Door(
        services,
        nobody,
        models=MODELS,
        keys=Keys(store=store, clock=clock, ids=Ids()),
        ids=Ids(),
        clock=clock,
        verify=False,
        account=account,
        region=region,
    )


async def whole(handler: Handler, request: Request) -> Response:
    """A handler's answer, with all of its body."""
    response = await handler(request)
    body = response.body
    if not isinstance(body, bytes):
        response.body = b"".join([piece async for piece in body])
        await body.aclose()  # type: ignore[attr-defined]
    return response


def client_of(name: str, door: Handler, account: str, region: str) -> Any:
    """A botocore client that checks nothing itself, and whose requests end at the door."""
    client = SESSION.create_client(
        name,
        region_name=region,
        endpoint_url="http://127.0.0.1:4566",
        aws_access_key_id=account,
        aws_secret_access_key="secret",
        config=Config(retries={"max_attempts": 0}, parameter_validation=False),
    )

    def send(request: Any, **_: Any) -> AWSResponse:
        response = asyncio.run(whole(door, from_botocore(request)))
        raw: Any = io.BytesIO(response.body)  # type: ignore[arg-type]
        raw.stream = lambda *_a, **_k: iter([response.body])
        return AWSResponse(request.url, response.status, dict(response.headers), raw)

    client.meta.events.register("before-send.*", send)
    return client
