"""A compiled stage of a WebSocket API: lets clients in, takes their messages, and hears that they have gone."""

import logging
from typing import Any, Final

from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Refused, Visit
from cumulo.gateway.websocket import contexts
from cumulo.gateway.websocket.connecting import Doorkeeper
from cumulo.gateway.websocket.connection import Connection
from cumulo.gateway.websocket.connections import Connections
from cumulo.gateway.websocket.expressions import selection
from cumulo.gateway.websocket.management import Management
from cumulo.gateway.websocket.refusals import status_of, told
from cumulo.gateway.websocket.routes import CONNECT, DEFAULT, DISCONNECT, CompiledRoute
from cumulo.gateway.websocket.turn import Turn, Unanswered
from cumulo.wire.http import Response
from cumulo.wire.websocket import wants_websocket

MANAGED: Final = ("/@connections", "/%40connections")

_log = logging.getLogger(__name__)


class CompiledWebSocket:
    """One deployment of one stage."""

    def __init__(
        self, place: Place, definition: V2Definition, stage: V2Stage, tools: Tools, connections: Connections
    ) -> None:
        self.place = place
        self._variables = stage.variables
        self._tools = tools
        self._connections = connections
        seconds_max = connections.limits.integration_seconds_max
        self._routes = {
            route.route_key: CompiledRoute(definition, stage, route, place, tools, seconds_max)
            for route in definition.routes
        }
        self._select = selection(definition.route_selection_expression)
        self._doorkeeper = Doorkeeper(
            place, definition, stage, tools, connections, self._routes.get(CONNECT), self
        )
        self._management = Management(place, tools, connections)

    async def answer(self, visit: Visit) -> Response:
        """Answer a request: most want to connect, some to manage connections; others have no business here."""
        if visit.address.path.startswith(MANAGED):
            return await self.manage(visit)
        if not wants_websocket(visit.request):
            return _upgrade_required()
        return await self._doorkeeper.let_in(visit)

    async def manage(self, visit: Visit) -> Response:
        """Answer a request under /@connections/."""
        return await self._management.answer(visit)

    async def message(self, connection: Connection, data: bytes) -> None:
        """Take a message to its route; the client hears what went wrong, and of two-way routes what came of it."""
        event = {"eventType": "MESSAGE", "messageId": self._connections.visits.extended_id()}
        visit = contexts.event_visit(self._connections, connection, self.place, event, data)
        turn = Turn(visit, variables=self._variables, body=data)
        status, reply = 200, b""
        try:
            status, reply = await self._routed(turn)
        except Refused as refused:
            reply = told(refused, visit.context)
            status = status_of(refused)
        except Exception:  # noqa: BLE001 - a bug of ours is an error that the client hears of
            _log.exception("a message could not be handled", extra={"api": self.place.api_id})
            status, reply = 500, told(Unanswered(500), visit.context)
        if reply and not connection.post(reply):
            status = 429  # the client reads too slowly: as a backend would be told
        visit.context["status"] = status
        self._tools.observer.done(visit, self.place, status=status, response_bytes=len(reply))

    async def _routed(self, turn: Turn) -> tuple[int, bytes]:
        route = self._route_of(turn)
        turn.context["routeKey"] = route.key if route is not None else DEFAULT
        if route is None:
            raise Unanswered(403, "Forbidden", "ACCESS_DENIED")
        if not self._tools.throttles.admit(self.place, route.key, rate=route.rate, burst=route.burst):
            raise Refused("THROTTLED")
        reply = await route.run(turn)
        return reply.status, reply.body if route.two_way else b""

    def _route_of(self, turn: Turn) -> CompiledRoute | None:
        """A client cannot choose the routes that tell of its coming and going."""
        key = self._select(turn, None)
        if key is not None and key not in (CONNECT, DISCONNECT):
            route = self._routes.get(key)
            if route is not None:
                return route
        return self._routes.get(DEFAULT)

    async def disconnected(self, connection: Connection, code: int, reason: str) -> None:
        """Call `$disconnect`; nobody hears what comes of it."""
        event: dict[str, Any] = {
            "eventType": "DISCONNECT",
            "routeKey": DISCONNECT,
            "disconnectStatusCode": code,
            "disconnectReason": reason,
        }
        visit = contexts.event_visit(self._connections, connection, self.place, event, b"")
        route = self._routes.get(DISCONNECT)
        status = 200
        try:
            if route is not None:
                status = (await route.run(Turn(visit, variables=self._variables))).status
        except Refused as refused:
            told(refused, visit.context)
            status = status_of(refused)
        except Exception:  # noqa: BLE001 - a bug of ours; there is nobody left to tell
            _log.exception("a $disconnect route could not be called", extra={"api": self.place.api_id})
            status = 500
        visit.context["status"] = status
        self._tools.observer.done(visit, self.place, status=status, response_bytes=0)


def _upgrade_required() -> Response:
    headers = [("Content-Type", "application/json"), ("Upgrade", "websocket")]
    return Response(426, headers, b'{"message":"Upgrade Required"}')
