"""The public keys of those who issue tokens: asked for when they are needed, kept for two hours.

    KeySource ──(one request at a time, 1,500 ms each)──▶ keys by kid ──2 h──▶ asked for again
                                                              └─ a kid that is not known: at most once in REFETCH_SECONDS

While an issuer does not answer, its old keys go on being used, for a day.  Redirects are not followed, and what is too
large is not read: both are failures.
"""

import asyncio
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.gateway.security.key_sets import PublicKey, SetFault, read_keys
from cumulo.gateway.security.memory import IssuerRecord
from cumulo.gateway.tools import Answer, CallFailed, Tools

FETCH_SECONDS = 1.5
KEPT_SECONDS = 2 * 3600.0
STALE_SECONDS_MAX = 24 * 3600.0
REFETCH_SECONDS = 10.0
RETRY_SECONDS = 1.0
DISCOVERY_BYTES_MAX = 64 << 10
SET_BYTES_MAX = 512 << 10


class IssuerFailed(Exception):
    """An issuer's keys cannot be had; the text is AWS's sentence."""


class KeySource(Protocol):
    """Where an issuer's keys are."""

    name: str

    async def fetch(self, tools: Tools) -> bytes:
        """The set of keys as JSON.  IssuerFailed."""
        ...


class Discovered:
    """An issuer whose keys are found by OpenID Connect's discovery."""

    def __init__(self, issuer: str) -> None:
        self.name = f"oidc {issuer}"
        self._url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"

    async def fetch(self, tools: Tools) -> bytes:
        """Ask for the configuration, then for the keys that it names."""
        failed = "OIDC discovery endpoint communication error"
        text = await _get(tools, self._url, DISCOVERY_BYTES_MAX, failed)
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise IssuerFailed(failed) from None
        address = found.get("jwks_uri") if isinstance(found, dict) else None
        if not isinstance(address, str) or not _is_web(address):
            raise IssuerFailed(failed)
        return await _get(tools, address, SET_BYTES_MAX, "JWKS communication error")


class UserPool:
    """A user pool of Cognito, whose keys its service gives, wherever that lives."""

    def __init__(self, account: str, region: str, pool: str) -> None:
        self.name = f"cognito {account} {region} {pool}"
        self._caller = Caller(account=account, region=region)
        self._path = f"/{pool}/.well-known/jwks.json"

    async def fetch(self, tools: Tools) -> bytes:
        """Ask Cognito."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                answer = await tools.aws.call(self._caller, "cognito-idp", "GET", self._path)
        except (AwsError, CallFailed, TimeoutError):
            raise IssuerFailed("JWKS communication error") from None
        return _bytes(answer, SET_BYTES_MAX, "JWKS communication error")


async def find_key(tools: Tools, source: KeySource, key_id: str) -> PublicKey | None:
    """The issuer's key with this id; None when it has none.  IssuerFailed when that cannot be known."""
    record = tools.memory.issuer(source.name)
    now = tools.clock.monotonic()
    found: PublicKey | None = record.keys.get(key_id)
    if found is not None and (now - record.fetched_at < KEPT_SECONDS or record.turn.locked()):
        return found
    async with record.turn:
        await _refresh(tools, source, record, key_id)
    found = record.keys.get(key_id)
    if found is None and record.failure:
        raise IssuerFailed(record.failure)
    return found


async def _refresh(tools: Tools, source: KeySource, record: IssuerRecord, key_id: str) -> None:
    """Ask the issuer, unless somebody just did.  `failure` tells of the last time; old keys go when they are too old."""
    now = tools.clock.monotonic()
    fresh = now - record.fetched_at < KEPT_SECONDS
    if fresh and (key_id in record.keys or now - record.tried_at < REFETCH_SECONDS):
        return
    pause = REFETCH_SECONDS if record.keys else RETRY_SECONDS
    if record.failure and now - record.tried_at < pause:
        return
    record.tried_at = now
    try:
        record.keys = read_keys(await source.fetch(tools))
        record.fetched_at = tools.clock.monotonic()
        record.failure = ""
    except IssuerFailed as failed:
        record.failure = str(failed)
    except SetFault:
        record.failure = "JWKS communication error"
    if record.failure and now - record.fetched_at > STALE_SECONDS_MAX:
        record.keys = {}


async def _get(tools: Tools, url: str, bytes_max: int, failed: str) -> bytes:
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            answer = await tools.http.send(
                "GET", url, [("Accept", "application/json")], b"", seconds=FETCH_SECONDS, bytes_max=bytes_max
            )
    except (CallFailed, TimeoutError):
        raise IssuerFailed(failed) from None
    return _bytes(answer, bytes_max, failed)


def _bytes(answer: Answer, bytes_max: int, failed: str) -> bytes:
    body: Any = answer.body
    if answer.status != 200 or not isinstance(body, bytes) or len(body) > bytes_max:
        raise IssuerFailed(failed)
    return body


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in {"https", "http"} and bool(parts.hostname)
    except ValueError:
        return False
