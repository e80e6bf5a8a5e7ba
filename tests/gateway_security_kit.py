"""Issuers with real RSA keys, APIs with authorizers, and signed requests, for tests of who may call."""

import base64
import datetime as dt
import functools
import json
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from cumulo.gateway.definitions.rest import Authorizer, Method, Resource, RestDefinition, RestStage
from cumulo.gateway.definitions.v2 import Authorizer as V2Authorizer
from cumulo.gateway.definitions.v2 import Route, V2Definition, V2Stage
from cumulo.gateway.tools import Answer
from cumulo.wire.keys import Key
from tests.gateway_kit import ACCOUNT, API, FUNCTION, REGION

ISSUER = "https://issuer.example"
AUDIENCE = "pets"
NOW = 1_700_000_000
_HASHES = {"RS256": SHA256, "RS384": SHA384, "RS512": SHA512}
POOL = "us-east-1_AbCdEfGhI"
POOL_ARN = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{POOL}"
POOL_ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{POOL}"
ARN = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API}"


@functools.cache
def private_key(name: str) -> RSAPrivateKey:
    """A key, the same each time."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_jwk(name: str = "one", **more: Any) -> dict[str, Any]:
    numbers = private_key(name).public_key().public_numbers()
    modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
    return {"kty": "RSA", "use": "sig", "kid": name, "n": b64(modulus), "e": "AQAB"} | more


def key_set(*names: str) -> bytes:
    return json.dumps({"keys": [public_jwk(name) for name in names or ("one",)]}).encode()


def claims(**more: Any) -> dict[str, Any]:
    found = {"iss": ISSUER, "aud": AUDIENCE, "sub": "bob", "iat": NOW - 10, "exp": NOW + 3600} | more
    return {name: value for name, value in found.items() if value is not ...}


def signed(
    payload: Mapping[str, Any] | bytes | None = None, *, key: str = "one", alg: str = "RS256", **header: Any
) -> str:
    """A token; `key` signs it, the header says so unless it says otherwise."""
    head = {"alg": alg, "kid": key, "typ": "JWT"} | header
    head = {name: value for name, value in head.items() if value is not ...}
    body = (
        payload
        if isinstance(payload, bytes)
        else json.dumps(claims() if payload is None else payload).encode()
    )
    text = f"{b64(json.dumps(head).encode())}.{b64(body)}"
    signature = private_key(key).sign(text.encode(), PKCS1v15(), _HASHES.get(alg, SHA256)())
    return f"{text}.{b64(signature)}"


class Issuer:
    """Answers discovery and keys, as FakeHttp's answer; `keys` may be exchanged."""

    def __init__(self, *names: str) -> None:
        self.keys = key_set(*names)
        self.asked: list[str] = []

    def __call__(self, request: dict[str, Any]) -> Answer:
        self.asked.append(request["url"])
        if request["url"].endswith("/.well-known/openid-configuration"):
            body = json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}).encode()
        else:
            body = self.keys
        return Answer(status=200, headers=(), body=body)

    @property
    def fetches(self) -> int:
        """How often keys were asked for."""
        return sum(url.endswith("/keys") for url in self.asked)


# -- APIs ---------------------------------------------------------------------------------------------------------

PETS = Resource(id="abc123", path="/pets/{id}", parent_id="root", path_part="{id}")
URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
STAGE = RestStage(stage_name="dev", deployment_id="d1", variables={"color": "blue"})
V2_STAGE = V2Stage(stage_name="$default", variables={"color": "blue"})


def rest_api(authorizer: Authorizer | None = None, **more: Any) -> RestDefinition:
    authorizers = {authorizer.id: authorizer} if authorizer else {}
    return RestDefinition(api_id=API, account=ACCOUNT, region=REGION, authorizers=authorizers, **more)


def token_authorizer(**more: Any) -> Authorizer:
    found = {"id": "auth01", "name": "tokens", "type": "TOKEN", "authorizer_uri": URI,
             "identity_source": "method.request.header.Authorization"}  # fmt: skip
    return Authorizer(**(found | more))


def method(kind: str, **more: Any) -> Method:
    return Method(**({"http_method": "GET", "authorization_type": kind, "authorizer_id": "auth01"} | more))


def v2_api(authorizer: V2Authorizer | None = None, *, kind: str = "HTTP") -> V2Definition:
    authorizers = {authorizer.id: authorizer} if authorizer else {}
    return V2Definition(
        api_id=API, account=ACCOUNT, region=REGION, protocol_type=kind, authorizers=authorizers
    )


def v2_authorizer(**more: Any) -> V2Authorizer:
    found = {"id": "auth01", "name": "requests", "authorizer_type": "REQUEST", "authorizer_uri": URI,
             "identity_source": ("$request.header.Authorization",), "authorizer_payload_format_version": "2.0"}  # fmt: skip
    return V2Authorizer(**(found | more))


def jwt_authorizer(**more: Any) -> V2Authorizer:
    found = {"id": "auth01", "name": "tokens", "authorizer_type": "JWT", "jwt_issuer": ISSUER,
             "jwt_audience": (AUDIENCE,), "identity_source": ("$request.header.Authorization",)}  # fmt: skip
    return V2Authorizer(**(found | more))


def route(kind: str, key: str = "GET /pets/{id}", **more: Any) -> Route:
    return Route(id="r1", route_key=key, authorization_type=kind, authorizer_id="auth01", **more)


def policy(*statements: tuple[str, str]) -> dict[str, Any]:
    """A policy of (Allow or Deny, resource)."""
    listed = [
        {"Effect": effect, "Action": "execute-api:Invoke", "Resource": what} for effect, what in statements
    ]
    return {"Version": "2012-10-17", "Statement": listed}


def answer(effect: str = "Allow", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"principalId": "bob", "policyDocument": policy((effect, resource))} | more


# -- signed requests ----------------------------------------------------------------------------------------------


class KeyRing:
    """A finder of access keys."""

    def __init__(self, *keys: Key) -> None:
        self.keys = {key.access_key: key for key in keys}

    def find(self, access_key: str) -> Key | None:
        return self.keys.get(access_key)


def aws_headers(
    url: str, key: str = "AKIDEXAMPLE", secret: str = "secret", *, token: str | None = None, body: bytes = b"",
    method: str = "GET", region: str = REGION, service: str = "execute-api", presigned: bool = False, at: int = NOW,
) -> tuple[str, dict[str, str]]:  # fmt: skip
    """The URL and headers that botocore makes of a request at a time."""
    import botocore.auth

    request = AWSRequest(method=method, url=url, data=body)
    auth = (SigV4QueryAuth if presigned else SigV4Auth)(Credentials(key, secret, token), service, region)
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    before = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *_a, **_k: moment.replace(tzinfo=None)
    try:
        auth.add_auth(request)
    finally:
        botocore.auth.get_current_datetime = before
    return request.url, dict(request.headers.items())
