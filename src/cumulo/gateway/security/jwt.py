"""Authorizers that read JSON Web Tokens themselves: HTTP APIs' JWT authorizers, and the verifying that Cognito's share.

identity source ──▶ token ──▶ seen a moment ago? ──▶ claims
                              └─ key of its issuer (issuers.py) ─▶ signature ─▶ claims are compared (tokens.py)
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cumulo.gateway.definitions.v2 import Authorizer
from cumulo.gateway.security.identity_sources import sources
from cumulo.gateway.security.issuers import Discovered, IssuerFailed, KeySource, UserPool, find_key
from cumulo.gateway.security.tokens import (
    Claims,
    TokenFault,
    as_told,
    check_claims,
    read_claims,
    scopes_of,
    take_apart,
    without_scheme,
)
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Grant, Refused, Visit

TOKEN_KEPT_SECONDS = 300.0
_POOL = re.compile(r"https://cognito-idp\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([A-Za-z0-9-]+_[0-9A-Za-z]+)")
_PLAIN = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")  # what OAuth's scopes may not have

Check = Callable[[Claims, float], None]
"""Compares the claims of a token that is somebody's real one, at a time in seconds since the epoch; TokenFault."""


class Believed(NamedTuple):
    """Claims whose signature held, and as they are told."""

    claims: Claims
    told: Mapping[str, str]


class Verifier:
    """Tokens of one issuer, under one authorizer's rules.  `tell` makes texts of claims.

    Claims of tokens that held are kept for minutes, by the whole token: what is not the same text is verified anew.
    What `check` compares is compared each time, so that what one authorizer believes is nothing to another.
    """

    def __init__(
        self, source: KeySource, check: Check, tell: Callable[[Claims], Mapping[str, str]], tools: Tools
    ) -> None:
        self._source = source
        self._check = check
        self._tell = tell
        self._name = f"{tell.__module__} {source.name}"
        self._tools = tools

    async def believe(self, token: str) -> Believed:
        """The claims of a token that holds now; TokenFault."""
        now = self._tools.clock.now()
        key = (self._name, token)
        kept: Believed | None = self._tools.memory.tokens.get(key, now)
        if kept is not None:
            self._check(kept.claims, now)
            return kept
        claims = await self._verify(token)
        self._check(claims, now)
        believed = Believed(claims, self._tell(claims))
        self._tools.memory.tokens.put(key, believed, now + TOKEN_KEPT_SECONDS, weight=6 * len(token))
        return believed

    async def _verify(self, token: str) -> dict[str, Any]:
        said = take_apart(token)
        try:
            key = await find_key(self._tools, self._source, said.key_id)
        except IssuerFailed as failed:
            raise TokenFault(str(failed)) from None
        if key is None:
            raise TokenFault("the token's kid is none of the issuer's keys")
        if key.algorithm and key.algorithm != said.algorithm:
            raise TokenFault(f"signing method {said.algorithm} is invalid")
        return read_claims(_payload(token, key.key, said.algorithm))


def _payload(token: str, key: Any, algorithm: str) -> bytes:
    from joserfc.errors import JoseError
    from joserfc.jws import deserialize_compact

    try:
        return deserialize_compact(token, key, algorithms=[algorithm]).payload
    except (JoseError, ValueError, TypeError):
        raise TokenFault("crypto/rsa: verification error") from None


def key_source(issuer: str, account: str) -> KeySource:
    """Where an issuer's keys are; those of Cognito's user pools are this cloud's own."""
    pool = _POOL.fullmatch(issuer.rstrip("/"))
    return Discovered(issuer) if pool is None else UserPool(account, pool[1], pool[2])


def jwt_authorization(
    authorizer: Authorizer, scopes: Sequence[str], account: str, tools: Tools
) -> Callable[[Visit], Awaitable[Grant]]:
    """What a route with a JWT authorizer asks for: a token, and any one of `scopes` where there are some."""
    issuer, audiences = authorizer.jwt_issuer, tuple(authorizer.jwt_audience)

    def check(claims: Claims, now: float) -> None:
        check_claims(claims, issuer=issuer, audiences=audiences, now=now)

    verifier = Verifier(key_source(issuer, account), check, as_told, tools)
    found = sources(authorizer.identity_source[:1], {})
    source = found[0] if found else lambda _visit: None
    told = " ".join(_PLAIN.sub("", one) for one in scopes)

    async def authorize(visit: Visit) -> Grant:
        value = source(visit)
        if value is None:
            raise _unauthorized(visit, "Bearer", "missing: token not provided")
        try:
            claims, shown = await verifier.believe(without_scheme(value))
            held = _scopes(claims, scopes)
        except TokenFault as fault:
            challenge = f'Bearer scope="{told}" error="{fault.error}" error_description="{fault.description}"'
            raise _unauthorized(visit, challenge, str(fault), fault.error) from None
        return Grant(kind="JWT", context={"claims": shown, "scopes": held})

    return authorize


def _scopes(claims: Claims, wanted: Sequence[str]) -> list[str] | None:
    """Those of the route's scopes that the token has; None where none is asked for."""
    if not wanted:
        return None
    mine = frozenset(scopes_of(claims))
    held = [one for one in wanted if one in mine]
    if not held:
        raise TokenFault("the token does not have a valid scope", error="insufficient_scope")
    return held


def _unauthorized(visit: Visit, challenge: str, why: str, error: str = "") -> Refused:
    visit.context["authorizer"] = {"error": why}
    headers = {"www-authenticate": challenge}
    if error == "insufficient_scope":
        return Refused("ACCESS_DENIED", "Forbidden", headers=headers)
    return Refused("UNAUTHORIZED", "Unauthorized", headers=headers)
