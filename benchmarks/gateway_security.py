"""What it costs to ask who calls, on one core.

    python -m benchmarks.gateway_security

A token that was just seen costs a look-up; a new one an RSA verification, which `floor` is by cryptography alone.
"""

import asyncio
import base64
import itertools
import time
from collections.abc import Awaitable, Callable

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from tests import gateway_security_kit as kit
from tests.gateway_kit import FUNCTION, World, place, visit

from cumulo.gateway.security.compile import rest_authorization, v2_authorization
from cumulo.gateway.security.throttle import Buckets
from cumulo.gateway.visit import Visit

SECONDS = 1.0


def per_second(what: str, once: Callable[[], object]) -> float:
    count, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < SECONDS:
        for _ in range(50):
            once()
        count += 50
    rate = count / spent
    print(f"{what:<52} {rate:12,.0f} a second  {1e6 / rate:9.1f} us", flush=True)
    return rate


def driven(ask: Callable[[Visit], Awaitable[object]], visits: Callable[[], Visit]) -> Callable[[], None]:
    """A coroutine that waits for nothing is run by hand, so that no loop is measured."""

    def once() -> None:
        coroutine = ask(visits())
        try:
            coroutine.send(None)  # type: ignore[attr-defined]
        except StopIteration:
            return
        raise AssertionError("it waited")

    return once


def main() -> None:
    world = World()
    world.http.answer = kit.Issuer()
    world.invoker.functions[FUNCTION] = lambda _event: kit.answer()
    jwt = v2_authorization(kit.v2_api(kit.jwt_authorizer()), kit.V2_STAGE, kit.route("JWT"), world.tools)
    custom = rest_authorization(
        kit.rest_api(kit.token_authorizer()), kit.STAGE, kit.PETS, kit.method("CUSTOM"), world.tools
    )
    signed = rest_authorization(kit.rest_api(), kit.STAGE, kit.PETS, kit.method("AWS_IAM"), world.tools)
    assert jwt is not None
    assert custom is not None
    assert signed is not None
    same = visit("GET", "/pets/1", {"Authorization": f"Bearer {kit.signed()}"}, stage="dev")
    asyncio.run(jwt(same))  # type: ignore[arg-type]
    asyncio.run(custom(same))  # type: ignore[arg-type]
    new = itertools.cycle(
        [
            visit("GET", "/pets/1", {"Authorization": f"Bearer {kit.signed(kit.claims(sub=str(one)))}"})
            for one in range(6000)  # more than are kept
        ]
    )
    _, headers = kit.aws_headers("https://abcdef1234.execute-api.us-east-1.amazonaws.com/dev/pets/1")
    aws = visit("GET", "/pets/1", headers, stage="dev")
    head, body, signature = kit.signed().split(".")
    key, text = kit.private_key("one").public_key(), f"{head}.{body}".encode()
    raw = base64.urlsafe_b64decode(signature + "==")
    buckets = Buckets(world.clock, account_rate=1e9, account_burst=1 << 60)
    per_second("JWT authorizer, a token that was just seen", driven(jwt, lambda: same))
    fresh = per_second("JWT authorizer, a new token", driven(jwt, lambda: next(new)))
    floor = per_second(
        "  floor: the RSA verification alone", lambda: key.verify(raw, text, PKCS1v15(), SHA256())
    )
    per_second("Lambda authorizer, a kept answer", driven(custom, lambda: same))
    per_second("AWS_IAM, mode local", driven(signed, lambda: aws))
    per_second(
        "throttles: account and route", lambda: buckets.admit(place(), "GET /", rate=1e9, burst=1 << 60)
    )
    print(f"\na new token costs {floor / fresh:.1f} x its RSA verification")


if __name__ == "__main__":
    main()
