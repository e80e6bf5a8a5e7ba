"""Access keys: those that people keep, in the store, and the short-lived ones of roles, in memory."""

import base64
from collections import OrderedDict

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import Credentials
from cumulo.state.store import Store

SESSIONS_MAX = 65_536
SESSION_SECONDS = 12 * 3600.0
_SECRET_DIGITS = 60  # 30 bytes, which are 40 characters of base64


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An access key and whom it stands for.  `expires_at` 0 means never."""

    access_key: str
    secret_key: str
    account: str
    name: str = ""
    created_at: float = 0.0
    role_arn: str = ""
    session_token: str = ""
    expires_at: float = 0.0


class Keys:
    """Every key that the door knows."""

    def __init__(self, *, store: Store, clock: Clock, ids: Ids, sessions_max: int = SESSIONS_MAX) -> None:
        self._store = store
        self._table = store.table("keys", Key)
        self._clock = clock
        self._ids = ids
        self._sessions_max = sessions_max
        self._sessions: OrderedDict[str, Key] = OrderedDict()  # oldest first, and so first to expire

    async def create(self, account: str, name: str) -> Key:
        """Make a lasting key for an account."""
        key = Key(
            access_key="AKIA" + self._ids.upper(16),
            secret_key=self._secret(),
            account=account,
            name=name,
            created_at=self._clock.now(),
        )
        self._table.put(key.access_key, key)
        await self._store.commit()
        return key

    def list(self, account: str | None = None) -> list[Key]:
        """The lasting keys, of one account or of all."""
        return [key for key in self._table.scan() if account is None or key.account == account]

    async def delete(self, access_key: str) -> bool:
        """Forget a lasting key; False when there is none."""
        known = self._table.get(access_key) is not None
        self._table.delete(access_key)
        await self._store.commit()
        return known

    def issue(self, account: str, role_arn: str, session_name: str) -> Credentials:
        """Make temporary keys of a role."""
        now = self._clock.now()
        self._expire(now)
        key = Key(
            access_key="ASIA" + self._ids.upper(16),
            secret_key=self._secret(),
            account=account,
            name=session_name,
            created_at=now,
            role_arn=role_arn,
            session_token=self._token(),
            expires_at=now + SESSION_SECONDS,
        )
        self._sessions[key.access_key] = key
        return Credentials(key.access_key, key.secret_key, key.session_token, key.expires_at)

    def find(self, access_key: str) -> Key | None:
        """The key, which may have expired; None when it is unknown."""
        return self._sessions.get(access_key) or self._table.get(access_key)

    def _expire(self, now: float) -> None:
        while self._sessions:
            oldest = next(iter(self._sessions.values()))
            if oldest.expires_at > now and len(self._sessions) < self._sessions_max:
                return
            self._sessions.popitem(last=False)

    def _secret(self) -> str:
        return base64.b64encode(bytes.fromhex(self._ids.hex(_SECRET_DIGITS))).decode()

    def _token(self) -> str:
        return base64.b64encode(bytes.fromhex(self._ids.hex(384))).decode()
