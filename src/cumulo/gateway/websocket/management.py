"""/@connections/{id}: backends send to a client (POST), look at it (GET), or end it (DELETE), as botocore's client does.

Requests are signed for `execute-api`.  In a cloud of one's own any key will do, but there must be one, as on AWS.
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from cumulo.base.errors import AwsError
from cumulo.gateway.refusals import KINDS
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Refused, Visit
from cumulo.gateway.websocket.connection import Connection
from cumulo.gateway.websocket.connections import Connections
from cumulo.wire.http import BodyCutShort, Response

if TYPE_CHECKING:
    from cumulo.gateway.security.iam import Signatures

POST_BYTES_MAX: Final = 128 * 1024

_ID: Final = re.compile(r"[A-Za-z0-9_-]{15}=")
_METHODS: Final = frozenset({"POST", "GET", "DELETE"})
_JSON: Final = ("Content-Type", "application/json")


class Management:
    """The management API of one stage."""

    def __init__(self, place: Place, tools: Tools, connections: Connections) -> None:
        self._place = place
        self._tools = tools
        self._connections = connections
        self._signatures: Signatures | None = None

    async def answer(self, visit: Visit) -> Response:
        """Answer a request; refusals are AWS's."""
        response = await self._answered(visit)
        body = response.body
        size = len(body) if isinstance(body, bytes) else 0
        visit.context |= {"status": response.status, "messageDirection": "OUT"}
        self._tools.observer.done(visit, self._place, status=response.status, response_bytes=size)
        return response

    async def _answered(self, visit: Visit) -> Response:
        method = visit.request.method
        head, slash, rest = unquote(visit.address.path).lstrip("/").partition("/")
        if method not in _METHODS or head != "@connections" or not slash or not rest or "/" in rest:
            return _refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        try:
            visit.body = await visit.request.body.read(POST_BYTES_MAX)
            await self._signed(visit)
        except AwsError:
            return _refused(413, "PayloadTooLargeException", "Message too long")
        except BodyCutShort:
            return _refused(400, "BadRequestException", "The request's body ended before its announced end")
        except Refused as refused:
            kind = KINDS.get(refused.kind) or KINDS["ACCESS_DENIED"]
            message = refused.message if refused.message is not None else kind.message
            return _refused(kind.status, kind.error_type, message)
        if not _ID.fullmatch(rest):
            return _refused(400, "BadRequestException", "Invalid connectionId")
        found = self._connections.find(self._place.api_id, self._place.stage, rest)
        if not isinstance(found, Connection):
            return Response(410, [_JSON, ("x-amzn-ErrorType", "GoneException")])
        if method == "POST":
            return self._post(visit, found)
        if method == "DELETE":
            found.close(1000, "Connection Closed Normally")
            return Response(204, [_JSON])
        return Response(200, [_JSON], msgspec.json.encode(_shown(found)))

    async def _signed(self, visit: Visit) -> None:
        """Refused unless the API's own account has signed the request."""
        if self._signatures is None:
            from cumulo.gateway.security.iam import Signatures

            self._signatures = Signatures(self._place.region, self._place.account, self._tools)
        signer = await self._signatures.signer(visit)
        if self._tools.shared and signer.account != self._place.account:
            raise Refused("ACCESS_DENIED", "Forbidden")

    def _post(self, visit: Visit, connection: Connection) -> Response:
        assert visit.body is not None, "it was read for its signature"
        visit.context["eventType"] = "MESSAGE"
        visit.context["connectionId"] = connection.id
        if not connection.post(visit.body):
            return _refused(429, "LimitExceededException", "Too many messages wait for the client")
        return Response(200, [_JSON])


def _shown(connection: Connection) -> dict[str, Any]:
    return {
        "connectedAt": _time(connection.connected_ms),
        "identity": {"sourceIp": connection.source, "userAgent": connection.agent},
        "lastActiveAt": _time(connection.last_active_ms),
    }


def _time(millis: int) -> str:
    """2024-02-19T07:11:42.789Z."""
    return (
        datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _refused(status: int, error_type: str, message: str | None) -> Response:
    headers = [_JSON, ("x-amzn-ErrorType", error_type)]
    return Response(status, headers, msgspec.json.encode({"message": message}))
