"""What it costs to ask who calls, on one core.

    python -m benchmarks.gateway_security

A token that was just seen costs a look-up; a new one an RSA verification, which `floor` is by cryptography alone.
"""

import asyncio
import base64
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from tests import gateway_security_kit as kit
from tests.gateway_kit import FUNCTION, World, place, visit
from tests.unit.apigateway.rest_kit import Cloud

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


def keys(cloud: Cloud) -> Callable[[], object]:
    """Asks for a key of a plan that limits it, never too much."""
    api, *_ = cloud.deployed()
    aws, value = cloud.client, "a-value-of-twenty-or-more-characters"
    key = aws.create_api_key(name="k", value=value, enabled=True)["id"]
    plan = aws.create_usage_plan(
        name="p",
        apiStages=[{"apiId": api, "stage": "dev"}],
        throttle={"rateLimit": 1e9, "burstLimit": 2_000_000_000},
        quota={"limit": 2_000_000_000, "period": "DAY"},
    )["id"]
    aws.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
    where = cloud.published.find(api, "dev").place
    return lambda: cloud.house.plans.admit(where, value, path="/pets", method="GET")


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
    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud(Path(folder))
        per_second("API key with a plan, throttle and quota", keys(cloud))
        cloud.close()
    print(f"\na new token costs {floor / fresh:.1f} x its RSA verification")


if __name__ == "__main__":
    main()
