"""Sets of public keys (JWKS) as issuers publish them: read with bounds, RSA signing keys alone.  Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

KEYS_MAX = 100
MODULUS_CHARACTERS_MAX = 1_366  # 8,192 bits
MODULUS_BITS_MIN = 1_024
EXPONENT_CHARACTERS_MAX = 8
_KEY_ID_CHARACTERS_MAX = 512


class SetFault(Exception):
    """A set of keys cannot be read; the text is a sentence."""


class PublicKey(msgspec.Struct, frozen=True):
    """An RSA key that may have signed tokens.  `algorithm`: the only one that it is for; empty: any."""

    key: Any
    algorithm: str


def read_keys(text: bytes) -> Mapping[str, PublicKey]:
    """The keys by their `kid`; keys of other kinds, for other uses or out of bounds are left out.  SetFault."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise SetFault("the key set is not JSON") from None
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise SetFault("the key set has no list of keys")
    keys: dict[str, PublicKey] = {}
    for one in listed[:KEYS_MAX]:
        read = _read(one)
        if read is not None:
            keys.setdefault(*read)
    return keys


def _read(jwk: Any) -> tuple[str, PublicKey] | None:
    if not isinstance(jwk, dict) or jwk.get("kty") != "RSA" or jwk.get("use", "sig") != "sig":
        return None
    key_id, modulus, exponent = jwk.get("kid"), jwk.get("n"), jwk.get("e")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= _KEY_ID_CHARACTERS_MAX:
        return None
    if not isinstance(modulus, str) or not isinstance(exponent, str):
        return None
    if len(modulus) > MODULUS_CHARACTERS_MAX or len(exponent) > EXPONENT_CHARACTERS_MAX:
        return None
    algorithm = jwk.get("alg", "")
    made = _make(modulus, exponent)
    return (key_id, PublicKey(made, algorithm)) if made is not None and isinstance(algorithm, str) else None


def _make(modulus: str, exponent: str) -> Any:
    """The key; None when its numbers are no key's.  Private parts, certificates and addresses are not even looked at."""
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    try:
        key = RSAKey.import_key({"kty": "RSA", "n": modulus, "e": exponent})
        return key if key.public_key.key_size >= MODULUS_BITS_MIN else None
    except (JoseError, ValueError, TypeError):
        return None
