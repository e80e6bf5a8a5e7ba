"""Authorizers that read JSON Web Tokens themselves: HTTP APIs' JWT authorizers, and the verifying that Cognito's share.

identity source ──▶ token ──▶ seen a moment ago? ──▶ claims
                              └─ key of its issuer (issuers.py) ─▶ signature ─▶ claims are compared (tokens.py)
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

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


class Verifier:
    """Tokens of one issuer, under one authorizer's rules.

    Claims of tokens that held are kept for minutes, by the whole token: what is not the same text is verified anew.
    `rules` names everything that `check` compares, so that nobody takes another's word.
    """

    def __init__(self, source: KeySource, check: Check, rules: Sequence[str], tools: Tools) -> None:
        self._source = source
        self._check = check
        self._rules = (source.name, *rules)
        self._tools = tools

    async def claims(self, token: str) -> Claims:
        """The claims of a token that holds now; TokenFault."""
        now = self._tools.clock.now()
        key = (*self._rules, token)
        kept: Claims | None = self._tools.memory.tokens.get(key, now)
        if kept is not None:
            self._check(kept, now)
            return kept
        claims = await self._verify(token)
        self._check(claims, now)
        self._tools.memory.tokens.put(key, claims, now + TOKEN_KEPT_SECONDS, weight=3 * len(token))
        return claims

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

    verifier = Verifier(key_source(issuer, account), check, ("jwt", issuer, *audiences), tools)
    found = sources(authorizer.identity_source[:1], {})
    source = found[0] if found else lambda _visit: None
    told = " ".join(_PLAIN.sub("", one) for one in scopes)

    async def authorize(visit: Visit) -> Grant:
        value = source(visit)
        if value is None:
            raise _unauthorized(visit, "Bearer", "missing: token not provided")
        try:
            claims = await verifier.claims(without_scheme(value))
            held = _scopes(claims, scopes)
        except TokenFault as fault:
            challenge = f'Bearer scope="{told}" error="{fault.error}" error_description="{fault.description}"'
            raise _unauthorized(visit, challenge, str(fault), fault.error) from None
        return Grant(kind="JWT", context={"claims": as_told(claims), "scopes": held})

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
