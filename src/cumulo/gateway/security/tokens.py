"""JSON Web Tokens as API Gateway reads them: taken apart, and their claims compared.  Pure; signatures are jwt.py's.

    header.payload.signature ──take_apart──▶ Unverified ──(the signature holds)──▶ claims ──check_claims──▶ ok, or TokenFault

Only RSA signatures are accepted (RS256, RS384, RS512); what a header says of keys (`jwk`, `jku`, `x5u`, `x5c`) is never
believed.  The sentences of TokenFault are those of AWS's `www-authenticate` where these are known.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

ALGORITHMS = ("RS256", "RS384", "RS512")
TOKEN_CHARACTERS_MAX = 16_384
_DECODER = msgspec.json.Decoder(dict[str, Any])

Claims = Mapping[str, Any]


class TokenFault(Exception):
    """Why a token is not accepted: `error` in OAuth's words, and a sentence."""

    def __init__(self, description: str, *, error: str = "invalid_token") -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


class Unverified(msgspec.Struct, frozen=True):
    """What a token says of itself before anybody has looked at its signature."""

    algorithm: str
    key_id: str


def without_scheme(value: str) -> str:
    """The token of an identity source's value, which may be told to be a Bearer's."""
    value = value.strip()
    if value[:7].lower() == "bearer ":
        return value[7:].strip()
    return value


def take_apart(token: str) -> Unverified:
    """Read a token's header; TokenFault when it is none, or asks for a signature that is not accepted."""
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise TokenFault("the token is too large")
    segments = token.split(".")
    if len(segments) != 3:
        raise TokenFault("token contains an invalid number of segments")
    header = _object(segments[0])
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not algorithm:
        raise TokenFault("signing method (alg) is unspecified.")
    if algorithm not in ALGORITHMS:
        raise TokenFault(f"signing method {_printable(algorithm)} is invalid")
    if "crit" in header or "b64" in header:
        raise TokenFault("the token's header has critical extensions that are not known")
    if not isinstance(key_id, str) or not key_id:
        raise TokenFault("the token has no kid in its header")
    return Unverified(algorithm, key_id)


def read_claims(payload: bytes) -> dict[str, Any]:
    """The claims of a token whose signature held."""
    try:
        return _DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise TokenFault("the token's claims are not a JSON object") from None


def _object(segment: str) -> dict[str, Any]:
    try:
        raw = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
        return _DECODER.decode(raw)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        raise TokenFault("the token's header cannot be decoded") from None


def _printable(text: str) -> str:
    """A client's text, fit for a header and for a log."""
    return "".join(one for one in text[:32] if one.isascii() and one.isalnum())


def check_claims(claims: Claims, *, issuer: str, audiences: Sequence[str], now: float) -> None:
    """Compare claims with an authorizer's issuer and audiences, and with the time; TokenFault.

    The audience is `aud`, or `client_id` in a token that has no `aud`.
    """
    if claims.get("iss") != issuer:
        raise TokenFault("issuer does not match")
    check_audience(claims, audiences)
    check_times(claims, now)


def check_audience(claims: Claims, audiences: Sequence[str]) -> None:
    """TokenFault when none of the token's audiences is one of these."""
    given = claims["aud"] if "aud" in claims else claims.get("client_id")
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str) and one in audiences:
            return
    raise TokenFault("the token does not have a valid audience")


def check_times(claims: Claims, now: float) -> None:
    """TokenFault when the token has expired, or is from the future; there is no allowance for skewed clocks."""
    expires = _moment(claims, "exp")
    if expires is None or now >= expires:
        raise TokenFault("the token has expired")
    starts = _moment(claims, "nbf")
    if starts is not None and now < starts:
        raise TokenFault("the token is not valid yet")
    issued = _moment(claims, "iat")
    if issued is not None and now < issued:
        raise TokenFault("the token was used before it was issued")


def _moment(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenFault(f"the {name} claim is not a number")
    return float(value) if abs(value) < 1e15 else 1e15


def scopes_of(claims: Claims) -> list[str]:
    """The token's scopes: of `scope` (a text with blanks), else of `scp` (a list or such a text)."""
    given = claims.get("scope", claims.get("scp"))
    if isinstance(given, str):
        return given.split()
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else []


def as_told(claims: Claims) -> dict[str, str]:
    """Claims as events of HTTP APIs show them: texts all, lists as `[a b]`."""
    return {name: _told(value) for name, value in claims.items()}


def _told(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, list):
        return f"[{' '.join(_told(one) for one in value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{_told(value[name])}' for name in sorted(value))}]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
