"""A door on a temporary store, and botocore clients whose requests go straight into it."""

import asyncio
import contextlib
import io
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from cumulo.base.clock import SystemClock
from cumulo.base.ids import Ids
from cumulo.state.store import Store
from cumulo.wire.door import Door
from cumulo.wire.http import BytesBody, Headers, Request, Response
from cumulo.wire.keys import Keys
from cumulo.wire.models import Models
from cumulo.wire.service import Operation, Service

MODELS = Models()
SIGNED = "AWS4-HMAC-SHA256 Credential={key}/20240101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0"


class Cloud:
    """One door and what came in through it."""

    def __init__(self, store, services, *, verify=False, lenient=(), clock=None):
        self.clock = clock or SystemClock()
        self.store = store
        self.keys = Keys(store=store, clock=self.clock, ids=Ids())
        self.seen = []
        self.passed = []
        self.door = Door(
            {
                name: Service(
                    name, {op: Operation(self.run(op, result)) for op, result in operations.items()}
                )
                for name, operations in services.items()
            },
            self.companion,
            models=MODELS,
            keys=self.keys,
            ids=Ids(),
            clock=self.clock,
            verify=verify,
            account="000000000000",
            region="us-east-1",
            lenient=lenient,
        )

    def run(self, name, result):
        async def operation(caller, values):
            self.seen.append((name, caller, values))
            if isinstance(result, BaseException):
                raise result
            return result

        return operation

    async def companion(self, request):
        self.passed.append(request)
        return Response(299, [], b"companion")

    def ask(self, method, path, body=b"", *, headers=(), service="lambda", key="123456789012"):
        """A request that is signed (with nonsense) for a service, or unsigned when `service` is empty."""
        return asyncio.run(
            self.answer(request(method, path, body, headers=headers, service=service, key=key))
        )

    async def answer(self, asked):
        response = await self.door(asked)
        if not isinstance(response.body, bytes):
            response.body = b"".join([chunk async for chunk in response.body])
        return response

    def client(self, service, **credentials):
        """A botocore client of this cloud."""
        session = botocore.session.Session()
        client = session.create_client(
            service,
            region_name="eu-west-1",
            endpoint_url="http://127.0.0.1:4566",
            aws_access_key_id=credentials.get("access_key", "123456789012"),
            aws_secret_access_key=credentials.get("secret_key", "secret"),
            aws_session_token=credentials.get("session_token") or None,
            config=Config(retries={"max_attempts": 0}, **credentials.get("config", {})),
        )
        client.meta.events.register("before-send.*", self.send)
        return client

    def send(self, request, **_):
        """A prepared botocore request through the door."""
        response = asyncio.run(self.answer(from_botocore(request)))
        raw = io.BytesIO(response.body)
        raw.stream = lambda *_a, **_k: iter([response.body])
        headers = dict(response.headers)
        return AWSResponse(request.url, response.status, headers, raw)


@contextlib.contextmanager
def cloud(path, services, **options):
    """A cloud with services: {service: {operation: answer or exception}}."""
    store = Store(path / "store.db", synchronous="OFF")
    try:
        yield Cloud(store, services, **options)
    finally:
        asyncio.run(store.close())


def request(method, path, body=b"", *, headers=(), service="lambda", key="123456789012", scheme="http"):
    path, _, query = path.partition("?")
    lines = [(b"host", b"127.0.0.1:4566")]
    if service:
        lines.append((b"authorization", SIGNED.format(key=key, service=service).encode()))
    lines += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Request(method, path, query, Headers(lines), BytesBody(body), scheme=scheme)


def from_botocore(prepared):
    """What the server would make of a request of botocore's."""
    url = urlsplit(prepared.url)
    body = prepared.body or b""
    if hasattr(body, "read"):
        body = body.read()
    body = body.encode() if isinstance(body, str) else bytes(body)
    lines = [
        (name.lower().encode(), value if isinstance(value, bytes) else str(value).encode())
        for name, value in prepared.headers.items()
    ]
    lines.append((b"host", url.netloc.encode()))
    return Request(
        prepared.method, url.path or "/", url.query, Headers(lines), BytesBody(body), scheme=url.scheme
    )
