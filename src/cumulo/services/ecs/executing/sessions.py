"""The sessions that were asked for and that nobody has joined yet, each behind a token that only its client has."""

import asyncio
import hmac
from collections import Counter, OrderedDict

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.services.ecs.executing.session import Opening, Session, Socket, Start

PATH = "/_cumulo/ecs/data-channel/"
WAITING_MAX = 1024
TOKEN_SECONDS = 300.0
OPENING_SECONDS_MAX = 15.0
RUNNING_MAX = 1024
EACH_MAX = 256  # of one owner, so that nobody takes them all


class _Waiting(msgspec.Struct, frozen=True):
    session: Session
    token: str
    until: float
    owner: str = ""


class Sessions:
    """Hands out sessions and serves those that are joined."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._running: Counter[str] = Counter()

    def offer(self, start: Start, owner: str = "") -> tuple[str, str]:
        """Keep a session for its client: its id, and the token to join it with.  `owner` is the account."""
        session_id = f"ecs-execute-command-{self._ids.hex(17)}"
        token = self._ids.hex(128)
        session = Session(session_id, start, self._clock)
        self._expire()
        self._waiting[session_id] = _Waiting(session, token, self._clock.monotonic() + TOKEN_SECONDS, owner)
        return session_id, token

    def has_room(self, owner: str = "") -> bool:
        """Whether one more could be served for an owner."""
        self._expire()
        own = self._running[owner] + sum(one.owner == owner for one in self._waiting.values())
        return own < EACH_MAX and self._running.total() + len(self._waiting) < RUNNING_MAX

    async def join(self, session_id: str, socket: Socket) -> None:
        """Serve a client that came to the data channel of a session; each can be joined once, with its token."""
        async with asyncio.timeout(OPENING_SECONDS_MAX):
            first = await socket.receive()
        try:
            opening = msgspec.json.decode(first or b"", type=Opening)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self._expire()
        waiting = self._waiting.get(session_id)
        if waiting is None or not hmac.compare_digest(waiting.token.encode(), opening.token_value.encode()):
            return
        del self._waiting[session_id]
        self._running[waiting.owner] += 1
        try:
            await waiting.session.run(socket, opening)
        finally:
            self._running[waiting.owner] -= 1
            if not self._running[waiting.owner]:
                del self._running[waiting.owner]

    def _expire(self) -> None:
        now = self._clock.monotonic()
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            if oldest.until > now and len(self._waiting) <= WAITING_MAX:
                return
            self._waiting.popitem(last=False)
