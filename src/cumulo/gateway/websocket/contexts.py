"""AWS's `$context` of a connection's events."""

from typing import Any

from cumulo.gateway.stages import Place
from cumulo.gateway.visit import Grant, Visit
from cumulo.gateway.websocket.connection import Connection
from cumulo.gateway.websocket.connections import Connections
from cumulo.wire.http import BytesBody, Headers, Request

_NO_HEADERS = Headers(())


def connecting(visit: Visit, connection_id: str) -> None:
    """Add to the context of a request that wants to connect what makes it an event."""
    context = visit.context
    context["requestId"] = context["extendedRequestId"]  # they are one for WebSockets
    context |= {
        "connectedAt": visit.started_ms,
        "connectionId": connection_id,
        "eventType": "CONNECT",
        "messageDirection": "IN",
        "routeKey": "$connect",
        "identity": known(context["identity"]),
    }


def granted(context: dict[str, Any], grant: Grant) -> None:
    """What an authorizer found out."""
    if grant.context:
        context["authorizer"] = dict(grant.context)
    if grant.identity:
        context["identity"] = known({**context["identity"], **grant.identity})


def event_visit(
    connections: Connections, connection: Connection, place: Place, event: dict[str, Any], body: bytes
) -> Visit:
    """The visit of a message, or of the end: like that of a request, for whoever observes it."""
    clock, visits = connections.clock, connections.visits
    now = clock.now()
    request_id = visits.extended_id()
    identity: dict[str, Any] = {"userAgent": connection.agent or None, "sourceIp": connection.source}
    grant = connection.grant
    if grant is not None:
        identity |= grant.identity
    context: dict[str, Any] = {
        "accountId": place.account,
        "apiId": place.api_id,
        "connectedAt": connection.connected_ms,
        "connectionId": connection.id,
        "domainName": connection.domain,
        "domainPrefix": connection.domain.partition(".")[0],
        "extendedRequestId": request_id,
        "identity": known(identity),
        "messageDirection": "IN",
        "requestId": request_id,
        "requestTime": connections.times.text(now),
        "requestTimeEpoch": int(now * 1000),
        "stage": place.stage,
        **event,
    }
    if grant is not None and grant.context:
        context["authorizer"] = dict(grant.context)
    request = Request("POST", f"/{place.stage}", "", _NO_HEADERS, BytesBody(body), peer=connection.source)
    request.request_id = request_id
    visit = Visit(
        request,
        connection.address,
        started=clock.monotonic(),
        started_ms=int(now * 1000),
        trace=visits.trace(now),
        context=context,
    )
    visit.body = body
    return visit


def known(identity: dict[str, Any]) -> dict[str, Any]:
    """Without what nobody knows, and in AWS's order."""
    return {name: value for name, value in sorted(identity.items(), reverse=True) if value is not None}
