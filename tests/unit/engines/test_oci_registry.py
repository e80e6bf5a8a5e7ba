"""The registry client against a server that does what registries do on bad days: tokens, detours, broken downloads."""

import asyncio
import base64
import os
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.oci_kit import digest_of

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.engines.images import Descriptor, Login, PullError, Reference
from cumulo.engines.oci import challenges, manifests
from cumulo.engines.oci.registry import Patience, Registry, base

BLOB = os.urandom(3_000_000)
MANIFEST = b'{"schemaVersion": 2}'
QUICK = Patience(pause=0.001, pause_max=0.01, silence=5)


class Server:
    """Answers by `handle`, and remembers what it was asked."""

    def __init__(self, handle) -> None:
        self._handle = handle
        self.asked: list[web.Request] = []
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self._handle(self, request)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.asked]


@asynccontextmanager
async def serving(handle, host="127.0.0.1"):
    server = Server(handle)
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


def with_server(handle, work, *, login=None):
    async def main():
        async with (
            asyncio.timeout(30),
            serving(handle) as server,
            Registry(login, clock=SystemClock(), patience=QUICK) as registry,
        ):
            return await work(server, registry, Reference(f"127.0.0.1:{server.port}", "team/app", "v1"))

    return asyncio.run(main())


def blob(size: int = len(BLOB)) -> Descriptor:
    return Descriptor(media_type="", digest=digest_of(BLOB), size=size)


async def fetched(registry: Registry, reference: Reference, size: int = len(BLOB)) -> bytes:
    return b"".join([piece async for piece in registry.blob(reference, blob(size))])


async def _open(_server, request):
    return web.Response(body=MANIFEST if "manifests" in request.path else BLOB)


def test_a_manifest_comes_with_its_digest_and_type():
    async def handle(_server, request):
        assert manifests.OCI_INDEX in request.headers["Accept"]
        assert manifests.DOCKER_MANIFEST in request.headers["Accept"]
        return web.Response(
            body=MANIFEST, headers={"Content-Type": f"{manifests.OCI_MANIFEST}; charset=utf-8"}
        )

    async def work(server, registry, reference):
        descriptor, raw = await registry.manifest(reference)
        assert raw == MANIFEST
        assert descriptor == Descriptor(
            media_type=manifests.OCI_MANIFEST, digest=digest_of(MANIFEST), size=len(MANIFEST)
        )
        assert server.paths == ["/v2/team/app/manifests/v1"]

    with_server(handle, work)


@pytest.mark.parametrize("stated", [True, False])
def test_a_manifest_with_another_digest_is_corrupt(stated):
    async def handle(_server, _request):
        headers = {"Docker-Content-Digest": digest_of(b"other")} if stated else {}
        return web.Response(body=MANIFEST, headers=headers)

    async def work(_server, registry, reference):
        if not stated:
            reference = Reference(reference.host, reference.repository, "", digest_of(b"other"))
        with pytest.raises(PullError) as error:
            await registry.manifest(reference)
        assert error.value.kind == "corrupt"

    with_server(handle, work)


def test_a_token_is_fetched_once_and_the_password_goes_to_nobody_else():
    async def handle(server, request):
        if request.path == "/token":
            assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
            assert request.query == {"service": "the registry", "scope": "repository:team/app:pull"}
            return web.json_response({"token": "abc"})
        if request.headers.get("Authorization") != "Bearer abc":
            realm = (
                f'Bearer realm="http://127.0.0.1:{server.port}/token",service="the registry",scope="x:y,z"'
            )
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        return await _open(server, request)

    async def work(server, registry, reference):
        await registry.manifest(reference)
        assert await fetched(registry, reference) == BLOB
        assert server.paths.count("/token") == 1

    with_server(handle, work, login=Login("me", "secret"))


def test_a_token_that_has_expired_is_fetched_anew():
    valid = ["first"]

    async def handle(server, request):
        if request.path == "/token":
            assert "Authorization" not in request.headers
            return web.json_response({"access_token": valid[0]})
        if request.headers.get("Authorization") != f"Bearer {valid[0]}":
            realm = f'Bearer realm="http://127.0.0.1:{server.port}/token"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        return await _open(server, request)

    async def work(server, registry, reference):
        await registry.manifest(reference)
        valid[0] = "second"
        await registry.manifest(reference)
        assert server.paths.count("/token") == 2

    with_server(handle, work)


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/latest",
        "http://elsewhere.example/token",
        "ftp://127.0.0.1/token",
        "",
        "//x",
        "https://user:pw@x.example/",
    ],
)
def test_a_token_service_elsewhere_without_tls_is_not_asked(realm):
    async def handle(_server, _request):
        return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})

    async def work(_server, registry, reference):
        with pytest.raises(PullError) as error:
            await registry.manifest(reference)
        assert error.value.kind == "refused"

    with_server(handle, work, login=Login("me", "secret"))


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, {"WWW-Authenticate": "Basic realm=x"}, "unauthorized"),
        (401, {}, "unauthorized"),
        (403, {}, "unauthorized"),
        (404, {}, "not-found"),
        (418, {}, "unreachable"),
        (429, {"Retry-After": "0"}, "unreachable"),
        (500, {}, "unreachable"),
        (302, {"Location": "/loop"}, "unreachable"),
        (302, {"Location": "file:///etc/passwd"}, "refused"),
    ],
)
def test_each_refusal_has_its_kind(status, headers, kind):
    async def handle(_server, _request):
        return web.Response(status=status, headers=headers)

    async def work(server, registry, reference):
        for ask in (registry.manifest(reference), fetched(registry, reference)):
            with pytest.raises(PullError) as error:
                await ask
            assert error.value.kind == kind
        assert len(server.asked) <= 12

    with_server(handle, work)


def test_an_error_that_passes_is_not_noticed():
    async def handle(server, request):
        if len(server.asked) % 3:
            return web.Response(status=(503, 429)[len(server.asked) % 2])
        return await _open(server, request)

    async def work(_server, registry, reference):
        assert (await registry.manifest(reference))[1] == MANIFEST
        assert await fetched(registry, reference) == BLOB

    with_server(handle, work)


def test_a_detour_to_another_host_does_not_get_the_authorization():
    seen = []

    async def storage(_server, request):
        seen.append(request.headers.get("Authorization"))
        return web.Response(body=BLOB)

    async def main():
        async with serving(storage) as elsewhere:

            async def handle(_server, request):
                if "Authorization" not in request.headers:
                    return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
                if request.path.endswith("/again"):
                    return web.Response(
                        status=302, headers={"Location": f"http://127.0.0.1:{elsewhere.port}/x%2Fy?a=b%20c"}
                    )
                return web.Response(status=307, headers={"Location": f"{request.path}/again"})

            async with (
                serving(handle) as server,
                Registry(Login("me", "secret"), clock=SystemClock(), patience=QUICK) as registry,
            ):
                assert await fetched(registry, Reference(f"127.0.0.1:{server.port}", "team/app")) == BLOB
            assert elsewhere.asked[0].raw_path == "/x%2Fy?a=b%20c"  # signed: to be sent as it came

    asyncio.run(main())
    assert seen == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_goes_on_where_it_was(ranges):
    async def handle(_server, request):
        begin = 0
        if ranges and "Range" in request.headers:
            begin = int(request.headers["Range"].removeprefix("bytes=").split("-")[0])
        answer = web.StreamResponse(status=206 if begin else 200)
        if begin:
            answer.headers["Content-Range"] = f"bytes {begin}-{len(BLOB) - 1}/{len(BLOB)}"
        answer.content_length = len(BLOB) - begin
        await answer.prepare(request)
        tries = len(_server.asked)
        end = begin + 800_000 if ranges else 800_000 * tries
        await answer.write(BLOB[begin:end])
        if end < len(BLOB):
            await answer.drain()
            request.transport.close()
        return answer

    async def work(server, registry, reference):
        assert await fetched(registry, reference) == BLOB
        assert len(server.asked) >= 4

    with_server(handle, work)


def test_a_download_that_never_gets_anywhere_is_given_up():
    async def handle(_server, request):
        request.transport.close()
        return web.Response()

    async def work(server, registry, reference):
        with pytest.raises(PullError) as error:
            await fetched(registry, reference)
        assert error.value.kind == "unreachable"
        assert len(server.asked) <= 2 * QUICK.tries_max  # aiohttp asks again by itself once

    with_server(handle, work)


def test_a_download_that_drips_is_given_up():
    clock = VirtualClock()

    async def handle(_server, request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            clock.advance(2)
            await answer.write(b"x")
            await asyncio.sleep(0)
        return answer

    async def main():
        async with (
            asyncio.timeout(30),
            serving(handle) as server,
            Registry(None, clock=clock, patience=QUICK) as registry,
        ):
            with pytest.raises(PullError, match="seconds") as error:
                await fetched(registry, Reference(f"127.0.0.1:{server.port}", "team/app"))
            assert error.value.kind == "unreachable"
            assert len(server.asked) <= 2 * QUICK.tries_max

    asyncio.run(main())


def test_another_range_than_the_one_asked_for_is_corrupt():
    async def handle(_server, request):
        if "Range" in request.headers:
            return web.Response(status=206, body=BLOB[:100], headers={"Content-Range": "bytes 0-99/3000000"})
        return web.Response(body=BLOB[:1_000_000])

    async def work(_server, registry, reference):
        with pytest.raises(PullError) as error:
            await fetched(registry, reference)
        assert error.value.kind == "corrupt"

    with_server(handle, work)


def test_more_than_was_announced_is_not_taken():
    async def work(_server, registry, reference):
        with pytest.raises(PullError) as error:
            await fetched(registry, reference, 1000)
        assert error.value.kind == "corrupt"

    with_server(_open, work)

    async def endless(_server, request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(bytes(1 << 20))

    async def manifest(_server, registry, reference):
        with pytest.raises(PullError) as error:
            await registry.manifest(reference)
        assert error.value.kind == "refused"

    with_server(endless, manifest)


def test_tls_is_for_everybody_but_this_machine():
    assert base("docker.io") == "https://registry-1.docker.io"
    for host in ("localhost:4566", "127.0.0.1:1", "127.9.9.9", "[::1]:5000", "a.b.localhost:4566"):
        assert base(host) == f"http://{host}"
    for host in ("example.com", "localhost.example.com", "10.0.0.1:5000", "127.0.0.1.example.com"):
        assert base(host) == f"https://{host}"


def test_challenges_are_read_as_they_come():
    text = 'Bearer realm="https://a/\\"b",service=c , scope="d,e", Basic realm="f", Negotiate'
    assert [(one.scheme, one.parameters) for one in challenges.parse(text)] == [
        ("bearer", {"realm": 'https://a/"b', "service": "c", "scope": "d,e"}),
        ("basic", {"realm": "f"}),
        ("negotiate", {}),
    ]


@given(st.text(max_size=200))
def test_any_header_is_read(text):
    challenges.parse(text)
