"""COGNITO_USER_POOLS authorizers of REST APIs: tokens of any of the authorizer's user pools.

Without scopes a method wants an identity token; with them an access token that has any one of them.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.gateway.definitions.rest import Authorizer
from cumulo.gateway.security.identity_sources import sources, split
from cumulo.gateway.security.issuers import UserPool
from cumulo.gateway.security.jwt import Verifier
from cumulo.gateway.security.tokens import (
    TOKEN_CHARACTERS_MAX,
    Claims,
    TokenFault,
    check_times,
    scopes_of,
    without_scheme,
)
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Grant, Refused, Visit
from cumulo.wire.patterns import compile_pattern

EXPIRED = "The incoming token has expired"
_POOL = re.compile(r"userpool/([A-Za-z0-9_-]+)")
_MOMENTS = frozenset({"exp", "iat"})


def cognito_claims(
    authorizer: Authorizer, scopes: Sequence[str], account: str, tools: Tools
) -> Callable[[str], Awaitable[Mapping[str, str]]]:
    """A closure from an identity source's value to the claims of the token there, as they are told; TokenFault."""
    wanted = "access" if scopes else "id"
    audience = authorizer.identity_validation_expression
    fits = compile_pattern(audience) if audience else None
    verifiers = {}
    for arn in authorizer.provider_arns:
        parsed = parse_arn(arn)
        pool = (
            _POOL.fullmatch(parsed.resource)
            if parsed is not None and parsed.service == "cognito-idp"
            else None
        )
        if parsed is None or pool is None:
            continue
        issuer = f"https://cognito-idp.{parsed.region}.amazonaws.com/{pool[1]}"
        verifiers[issuer] = Verifier(
            UserPool(parsed.account or account, parsed.region, pool[1]),
            _check(issuer),
            as_told,
            tools,
        )

    async def claims_of(value: str) -> Mapping[str, str]:
        token = without_scheme(value)
        verifier = verifiers.get(_issuer(token))
        if verifier is None:
            raise TokenFault("issuer does not match")
        claims, told = await verifier.believe(token)
        if claims.get("token_use") != wanted:
            raise TokenFault(f"the token's token_use is not {wanted}")
        if audience and (fits is None or not fits(str(claims.get("aud", claims.get("client_id", ""))))):
            raise TokenFault("the token does not have a valid audience")
        if scopes and not frozenset(scopes_of(claims)).intersection(scopes):
            raise TokenFault("the token does not have a valid scope", error="insufficient_scope")
        return told

    return claims_of


def cognito_authorization(
    authorizer: Authorizer, scopes: Sequence[str], account: str, tools: Tools
) -> Callable[[Visit], Awaitable[Grant]]:
    """What a method with a user pool's authorizer asks for."""
    claims_of = cognito_claims(authorizer, scopes, account, tools)
    names = split(authorizer.identity_source)[:1] or ("method.request.header.Authorization",)
    (source,) = sources(names, {})

    async def authorize(visit: Visit) -> Grant:
        value = source(visit)
        if value is None:
            visit.context["authorizer"] = {"error": "Unauthorized", "status": 401}
            raise Refused("UNAUTHORIZED", "Unauthorized")
        try:
            claims = await claims_of(value)
        except TokenFault as fault:
            visit.context["authorizer"] = {"error": fault.description, "status": 401}
            expired = fault.description == "the token has expired"
            raise Refused("UNAUTHORIZED", EXPIRED if expired else "Unauthorized") from None
        return Grant(kind="COGNITO", context={"claims": claims})

    return authorize


def _check(issuer: str) -> Callable[[Claims, float], None]:
    def check(claims: Claims, now: float) -> None:
        if claims.get("iss") != issuer:
            raise TokenFault("issuer does not match")
        check_times(claims, now)

    return check


def _issuer(token: str) -> str:
    """Whose token it says it is, before anybody has looked at its signature: only to know whom to ask."""
    segments = token.split(".", 3)
    if len(token) > TOKEN_CHARACTERS_MAX or len(segments) != 3:
        return ""
    try:
        raw = base64.b64decode(segments[1] + "=" * (-len(segments[1]) % 4), altchars=b"-_")
        claims = msgspec.json.decode(raw)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        return ""
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else ""


def as_told(claims: Claims) -> dict[str, str]:
    """Claims as REST APIs tell them: texts all, lists joined by commas, moments as Java writes dates."""
    return {name: _told(name, value) for name, value in claims.items()}


def _told(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name in _MOMENTS and isinstance(value, int | float) and not isinstance(value, bool):
        return _date(value)
    if isinstance(value, list):
        return ",".join(one if isinstance(one, str) else _json(one) for one in value)
    return _json(value)


def _date(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%a %b %d %H:%M:%S UTC %Y}"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
