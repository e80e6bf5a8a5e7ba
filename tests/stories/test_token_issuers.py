"""Issuers of tokens as they are on a network: real keys, real HTTP, slow ones, liars, and ones that send elsewhere."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from tests.gateway_kit import World, visit
from tests.gateway_security_kit import V2_STAGE, jwt_authorizer, key_set, public_jwk, route, signed, v2_api

from cumulo.base.clock import SystemClock
from cumulo.gateway.security import issuers
from cumulo.gateway.security.compile import v2_authorization
from cumulo.gateway.tools import Answer, CallFailed
from cumulo.gateway.visit import Grant, Refused

Scene = Callable[["Issuer"], Awaitable[None]]


class Http:
    """HttpCalls by aiohttp: redirects are not followed, too large answers are failures."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(
        self, method: str, url: str, headers: Any, body: Any, *, seconds: float, bytes_max: int = 0, **_: Any
    ) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                async with self._session.request(
                    method, url, headers=headers, allow_redirects=False
                ) as answer:
                    found = await answer.content.read(bytes_max + 1)
                    while len(found) <= bytes_max and (piece := await answer.content.read(65_536)):
                        found += piece
        except (TimeoutError, aiohttp.ClientError) as error:
            raise CallFailed(str(error)) from None
        if len(found) > bytes_max:
            raise CallFailed("too large")
        return Answer(status=answer.status, headers=(), body=found)


class Issuer:
    """A server that issues tokens, and a route that believes it."""

    def __init__(self, url: str, http: Http) -> None:
        self.url = url
        self.asked: list[str] = []
        self.keys: Callable[[], Awaitable[web.StreamResponse]] = self.give_keys
        self.set = key_set()
        tools = msgspec.structs.replace(World().tools, http=http, clock=SystemClock())
        self.authorize = v2_authorization(
            v2_api(jwt_authorizer(jwt_issuer=url)), V2_STAGE, route("JWT"), tools
        )

    async def give_keys(self) -> web.StreamResponse:
        return web.Response(body=self.set, content_type="application/json")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/.well-known/openid-configuration":
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        return await self.keys()

    async def ask(self, key: str = "one", **header: Any) -> Grant:
        now = int(SystemClock.now())
        payload = {"iss": self.url, "aud": "pets", "sub": "bob", "iat": now - 5, "exp": now + 60}
        assert self.authorize is not None
        token = signed(payload, key=key, **header)
        return await self.authorize(visit("GET", "/pets/1", {"Authorization": f"Bearer {token}"}))

    async def why(self, **options: Any) -> str:
        with pytest.raises(Refused) as caught:
            await self.ask(**options)
        return caught.value.headers["www-authenticate"].partition('description="')[2].removesuffix('"')


def play(scene: Scene) -> None:
    async def run() -> None:
        held: list[Issuer] = []

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await held[0].answer(request)

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as session:
            held.append(Issuer(f"http://127.0.0.1:{port}", Http(session)))
            try:
                await scene(held[0])
            finally:
                await runner.cleanup()

    asyncio.run(run())


def test_a_token_of_a_real_issuer_is_believed():
    async def scene(issuer: Issuer) -> None:
        grants = await asyncio.gather(*(issuer.ask() for _ in range(5)))
        assert {grant.context["claims"]["sub"] for grant in grants} == {"bob"}
        assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]

    play(scene)


def test_keys_may_change(monkeypatch):
    monkeypatch.setattr(issuers, "REFETCH_SECONDS", 0.0)

    async def scene(issuer: Issuer) -> None:
        await issuer.ask()
        issuer.set = key_set("two")
        assert (await issuer.ask(key="two")).kind == "JWT"
        assert await issuer.why(key="attacker", kid="two") == "crypto/rsa: verification error"

    play(scene)


def test_a_slow_issuer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(issuers, "FETCH_SECONDS", 0.2)

    async def scene(issuer: Issuer) -> None:
        gone = asyncio.Event()

        async def never() -> web.StreamResponse:
            await gone.wait()
            return web.Response()

        issuer.keys = never
        async with asyncio.timeout(30):
            assert await issuer.why() == "JWKS communication error"
        gone.set()

    play(scene)


def test_a_redirect_is_not_followed():
    async def scene(issuer: Issuer) -> None:
        async def elsewhere() -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"{issuer.url}/attacker"})

        issuer.keys = elsewhere
        assert await issuer.why() == "JWKS communication error"
        assert "/attacker" not in issuer.asked

    play(scene)


def test_a_bomb_is_not_read():
    async def scene(issuer: Issuer) -> None:
        issuer.set = json.dumps(
            {"keys": [public_jwk(kid=f"k{one}") for one in range(5000)] + [public_jwk()]}
        ).encode()
        assert len(issuer.set) > issuers.SET_BYTES_MAX
        assert await issuer.why() == "JWKS communication error"

    play(scene)
