"""Letting clients in: the authorizer, the API key and the integration of `$connect` decide before they are connected.

request ──throttle, handshake──▶ authorizer ──▶ API key ──▶ integration ──2xx──▶ 101, and the connection is open
                                      any refusal, and any other status ──▶ that answer; there never was a connection
"""

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Grant, Refused, Visit
from cumulo.gateway.websocket import contexts
from cumulo.gateway.websocket.connection import Connection, Serves
from cumulo.gateway.websocket.connections import Connections
from cumulo.gateway.websocket.expressions import selection
from cumulo.gateway.websocket.queries import headers_of, query_of
from cumulo.gateway.websocket.refusals import answered
from cumulo.gateway.websocket.routes import CONNECT, CompiledRoute
from cumulo.gateway.websocket.turn import Reply, Turn, Unanswered
from cumulo.wire.handshake import acceptance, refusal
from cumulo.wire.http import Response, Switching

if TYPE_CHECKING:
    from cumulo.gateway.security.compile import Authorize

_SUBPROTOCOL: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
_NOT_RETURNED: Final = frozenset(
    {"content-length", "transfer-encoding", "connection", "upgrade", "keep-alive", "date"}
)

_log = logging.getLogger(__name__)


class Doorkeeper:
    """Decides who is connected to one stage."""

    def __init__(
        self,
        place: Place,
        definition: V2Definition,
        stage: V2Stage,
        tools: Tools,
        connections: Connections,
        route: CompiledRoute | None,
        serves: Serves,
    ) -> None:
        self._place = place
        self._variables = stage.variables
        self._tools = tools
        self._connections = connections
        self._route = route
        self._serves = serves
        self._key = selection(definition.api_key_selection_expression)
        self._authorize: Authorize | None = None
        if route is not None and route.route.authorization_type not in ("", "NONE"):
            from cumulo.gateway.security.compile import v2_authorization

            self._authorize = v2_authorization(definition, stage, route.route, tools)

    async def let_in(self, visit: Visit) -> Response:
        """The answer 101 with the connection, or whatever was decided instead."""
        wrong = refusal(visit.request)
        if wrong is not None:
            return wrong
        connection_id = self._connections.visits.extended_id()
        contexts.connecting(visit, connection_id)
        if visit.address.path not in ("", "/"):
            return self._finished(visit, answered(_forbidden(), visit.context))
        if not self._connections.may_come():
            return self._finished(visit, answered(Refused("THROTTLED"), visit.context))
        # In a task of its own: whom $connect has let in is told to $disconnect, also when the client did not wait.
        deciding = self._connections.start(self._decide(visit, connection_id))
        try:
            response: Response = await asyncio.shield(deciding)
        except asyncio.CancelledError:
            deciding.add_done_callback(_never_mind)
            raise
        return response

    async def _decide(self, visit: Visit, connection_id: str) -> Response:
        try:
            response = await self._decided(visit, connection_id)
        except Refused as refused:
            response = answered(refused, visit.context)
        except Exception:  # noqa: BLE001 - a bug of ours is a 500, and no client that waits for ever
            _log.exception("a client could not be connected", extra={"api": self._place.api_id})
            response = answered(Unanswered(500), visit.context)
        finally:
            self._connections.decided()
        return self._finished(visit, response)

    async def _decided(self, visit: Visit, connection_id: str) -> Response:
        limits = self._connections.limits
        admit = self._tools.throttles.admit
        if not admit(self._place, CONNECT, rate=limits.connects_a_second, burst=limits.connects_burst):
            raise Refused("THROTTLED")
        turn = Turn(
            visit,
            variables=self._variables,
            headers=headers_of(visit),
            query=query_of(visit.request.query),
        )
        grant = await self._granted(turn)
        key_id = self._key_used(turn, grant)
        reply = await self._route.run(turn) if self._route is not None else Reply(200)
        visit.context["status"] = reply.status
        if not 200 <= reply.status < 300:
            return _turned_away(reply)
        connection = Connection(
            connection_id,
            visit,
            serves=self._serves,
            connections=self._connections,
            grant=grant,
            key_id=key_id,
        )
        return Switching(connection, acceptance(visit.request, _subprotocol(reply)))

    async def _granted(self, turn: Turn) -> Grant | None:
        if self._authorize is None:
            return None
        visit, monotonic = turn.visit, self._tools.clock.monotonic
        began = monotonic()
        try:
            grant = await self._authorize(visit)
        finally:
            visit.asked_authorizer(began, monotonic())
        visit.facts = grant.facts
        contexts.granted(turn.context, grant)
        return grant

    def _key_used(self, turn: Turn, grant: Grant | None) -> str:
        """The id of the API key that was shown, where the route wants one."""
        if self._route is None or not self._route.route.api_key_required:
            return ""
        value = self._key(turn, None) or (grant.usage_key if grant is not None else "")
        use = self._tools.plans.admit(self._place, value, path=CONNECT, method="")
        identity: dict[str, Any] = turn.context["identity"]
        identity |= {"apiKey": value, "apiKeyId": use.key_id}
        return use.key_id

    def _finished(self, visit: Visit, response: Response) -> Response:
        visit.context["status"] = response.status
        size = len(response.body) if isinstance(response.body, bytes) else 0
        self._tools.observer.done(visit, self._place, status=response.status, response_bytes=size)
        return response


def _never_mind(decided: "asyncio.Task[Response]") -> None:
    """The client has gone: a connection that was made nevertheless is over."""
    if not decided.cancelled() and decided.exception() is None:
        response = decided.result()
        if isinstance(response, Switching):
            response.protocol.connection_lost(None)


def _forbidden() -> Refused:
    return Unanswered(403, "Forbidden", "ACCESS_DENIED")


def _turned_away(reply: Reply) -> Response:
    headers = [
        (name, value)
        for name, value in reply.headers
        if name.lower() not in _NOT_RETURNED and value.isprintable()
    ]
    if reply.body and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    return Response(reply.status, headers, reply.body)


def _subprotocol(reply: Reply) -> str:
    """The one that the integration has chosen."""
    found = reply.header("sec-websocket-protocol").strip()
    return found if _SUBPROTOCOL.fullmatch(found) else ""
