"""The passwords of GetAuthorizationToken: they say themselves who may come in, and until when.

base64("AWS:" + password)        what the operation gives, and what docker login sends
password = ecr.<payload>.<HMAC>  payload: account, region, access key, expiry; the key lies in the store
"""

import base64
import binascii
import hashlib
import hmac
import secrets

import msgspec

from cumulo.base.clock import Clock
from cumulo.state.store import Store

TOKEN_SECONDS = 12 * 3600.0
USER = "AWS"
_PREFIX = "ecr."
_PASSWORD_CHARACTERS_MAX = 4096


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says."""

    account: str
    region: str
    access_key: str = ""
    expires_at: float


class BadToken(Exception):
    """A token that is not (or no longer) good.  `expired` tells the two apart."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "not ours")
        self.expired = expired


class _Secret(msgspec.Struct, frozen=True):
    key: bytes


class Tokens:
    """Makes and reads tokens.  Nothing is kept of a token but the key that signs all of them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._secrets = store.table("ecr_token_keys", _Secret)

    async def issue(self, account: str, region: str, access_key: str = "") -> tuple[str, float]:
        """A token, and when it expires (seconds since the epoch)."""
        secret = self._secrets.get("current")
        if secret is None:
            secret = _Secret(secrets.token_bytes(32))
            self._secrets.put("current", secret)
            await self._store.commit()
        grant = Grant(
            account=account,
            region=region,
            access_key=access_key,
            expires_at=self._clock.now() + TOKEN_SECONDS,
        )
        payload = _text(msgspec.json.encode(grant))
        password = f"{_PREFIX}{payload}.{_text(_sign(secret.key, payload))}"
        return base64.b64encode(f"{USER}:{password}".encode()).decode(), grant.expires_at

    def is_ours(self, password: str) -> bool:
        """Whether a password claims to be one of these."""
        return password.startswith(_PREFIX)

    def read(self, password: str) -> Grant:
        """What a password says.  BadToken when it was not made here, was changed, or has expired."""
        secret = self._secrets.get("current")
        parts = password.split(".")
        if secret is None or len(parts) != 3 or len(password) > _PASSWORD_CHARACTERS_MAX:
            raise BadToken(expired=False)
        try:
            given = _bytes(parts[2])
            if not hmac.compare_digest(given, _sign(secret.key, parts[1])):
                raise BadToken(expired=False)
            grant = msgspec.json.decode(_bytes(parts[1]), type=Grant)
        except (ValueError, binascii.Error, msgspec.DecodeError):
            raise BadToken(expired=False) from None
        if grant.expires_at <= self._clock.now():
            raise BadToken(expired=True)
        return grant


def _sign(key: bytes, payload: str) -> bytes:
    return hmac.digest(key, payload.encode(), hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Undo `_text`, and nothing that only looks like it: a token has one spelling."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _text(data) != text:
        raise ValueError("another spelling")
    return data
