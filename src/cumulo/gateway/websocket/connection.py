"""One client of a WebSocket API."""

from collections.abc import Callable, Coroutine
from sys import intern
from typing import Any, Protocol

from cumulo.gateway.visit import Address, Grant, Visit
from cumulo.gateway.websocket.connections import Connections
from cumulo.wire.message_socket import MessageSocket
from cumulo.wire.websocket_frames import Kind

NOT_ACCEPTED = 1003
TRY_LATER = 1013
NO_CODE = "Client-side close frame status not set"


class Serves(Protocol):
    """What a stage does for its connections."""

    async def message(self, connection: "Connection", data: bytes) -> None:
        """A message has come."""
        ...

    async def disconnected(self, connection: "Connection", code: int, reason: str) -> None:
        """It is over."""
        ...


class Connection(MessageSocket):
    """A connection that its `$connect` route has let in.

    connected, active   monotonic seconds: since when, and when the client or the backend last said something
    grant               what the authorizer of `$connect` found out: every later event shows it
    """

    __slots__ = (
        "_connections",
        "_queued",
        "_served_by",
        "_turns",
        "_unheard",
        "_waiting",
        "account",
        "active",
        "agent",
        "api_id",
        "connected",
        "connected_ms",
        "domain",
        "grant",
        "id",
        "key_id",
        "source",
        "stage",
    )

    def __init__(
        self,
        connection_id: str,
        visit: Visit,
        *,
        serves: Serves,
        connections: Connections,
        grant: Grant | None = None,
        key_id: str = "",
    ) -> None:
        limits = connections.limits
        super().__init__(
            frame_bytes_max=limits.frame_bytes_max,
            message_bytes_max=limits.message_bytes_max,
            send_bytes_max=limits.waiting_bytes_max,
        )
        identity = visit.context["identity"]
        address = visit.address
        self.id = connection_id
        self.account = intern(str(visit.context["accountId"]))
        self.api_id = intern(address.api_id)
        self.stage = intern(address.stage)
        self.domain = intern(address.domain)
        self.source = str(identity.get("sourceIp") or "")
        self.agent = intern(str(identity.get("userAgent") or ""))
        self.grant = grant
        self.key_id = key_id
        self.connected = self.active = visit.started
        self.connected_ms = visit.started_ms
        self._connections = connections
        self._served_by = serves
        self._turns = 0
        self._queued = False
        self._unheard = 0
        self._waiting = 0

    @property
    def last_active_ms(self) -> int:
        """Since the epoch."""
        return self.connected_ms + int((self.active - self.connected) * 1000)

    @property
    def address(self) -> Address:
        """Where its messages go."""
        return Address(
            api_id=self.api_id, stage=self.stage, path="/", raw_path=f"/{self.stage}", domain=self.domain
        )

    def post(self, data: bytes) -> bool:
        """Send what a backend has for the client; False while too much waits for it already."""
        connections = self._connections
        self.active = connections.clock.monotonic()
        waiting, most = self._count_waiting(), connections.limits.waiting_bytes_total_max
        if connections.waiting_bytes > most and (waiting or connections.waiting_bytes > 2 * most):
            return False
        sent = self.send(_kind_of(data), data)
        self._count_waiting()
        return sent

    def _count_waiting(self) -> int:
        waiting = self.unsent if self.is_open else 0
        if waiting != self._waiting:
            self._connections.waiting_bytes += waiting - self._waiting
            self._waiting = waiting
        return waiting

    def look(self, now: float) -> None:
        """End what has lasted too long."""
        limits = self._connections.limits
        if (
            now - self.active > limits.idle_seconds_max
            or now - self.connected > limits.life_seconds_max
            or self._connections.stages.find(self.api_id, self.stage) is None
        ):
            self.close(1001, "Going away")
        self._count_waiting()
        self.check(now)

    # -- what the socket tells ---------------------------------------------------------------------------------

    def opened(self) -> None:
        """From now on it can be found."""
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Whatever a client sends says that it is there, pings too."""
        self.active = self._connections.clock.monotonic()
        super().data_received(data)
        self._count_unheard()

    def _count_unheard(self) -> None:
        unheard = self.unheard
        if unheard == self._unheard:
            return
        connections = self._connections
        connections.unheard_bytes += unheard - self._unheard
        self._unheard = unheard
        if unheard and connections.unheard_bytes > connections.limits.unheard_bytes_total_max:
            self.break_off(TRY_LATER, "")
            self._count_unheard()

    def arrived(self, kind: Kind, data: bytes) -> None:
        """Let a message take its way, and the client wait while too many do."""
        if kind is Kind.BINARY:
            self.close(NOT_ACCEPTED)
            return
        self._turns += 1
        connections = self._connections
        connections.begin_turn(self._turn(data), len(data))
        if self._turns >= connections.limits.turns_a_connection_max or connections.full:
            self.hold(True)
            self._go_on()

    def release(self) -> None:
        """There is room among all."""
        self._queued = False
        self._go_on()

    def _go_on(self) -> None:
        """Hear more, when there is room among its own messages (else their end comes back here) and among all."""
        connections = self._connections
        if self._turns >= connections.limits.turns_a_connection_max:
            return
        if not connections.full:
            self.hold(False)
            self._count_unheard()
        elif not self._queued:
            self._queued = True
            connections.wait(self)

    async def _turn(self, data: bytes) -> None:
        try:
            await self._serves.message(self, data)
        finally:
            self._turns -= 1
            self._go_on()

    def ended(self, code: int, reason: str) -> None:
        """Nobody finds it any more, and its `$disconnect` route is called."""
        if code == 1005 and not reason:
            reason = NO_CODE
        self._connections.remove(self)
        self._count_waiting()
        self._connections.unheard_bytes -= self._unheard
        self._unheard = 0
        self._connections.say_goodbye(self._farewell(code, reason))

    def _farewell(self, code: int, reason: str) -> Callable[[], Coroutine[Any, Any, None]]:
        return lambda: self._serves.disconnected(self, code, reason)

    @property
    def _serves(self) -> Serves:
        """The stage as it is deployed now; as it was, when it is gone."""
        published = self._connections.stages.find(self.api_id, self.stage)
        if published is not None and published.place.kind == "WEBSOCKET":
            self._served_by = published.compiled  # type: ignore[assignment]  # those of WebSocket APIs do
        return self._served_by


def _kind_of(data: bytes) -> Kind:
    try:
        data.decode()
    except UnicodeDecodeError:
        return Kind.BINARY
    return Kind.TEXT
