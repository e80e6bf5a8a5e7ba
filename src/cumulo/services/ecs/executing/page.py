"""Where clients of sessions come in: the data channel (a WebSocket), and the page behind `cumulo exec`."""

import asyncio
from functools import partial

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.ecs.executing.execute_command import ExecOrder, ExecuteCommand
from cumulo.services.ecs.executing.sessions import PATH, Sessions
from cumulo.wire.http import Request, Response
from cumulo.wire.websocket import WebSocket, wants_websocket

ORDER_BYTES_MAX = 256 * 1024
_JSON = ("content-type", "application/json")


class ExecPage:
    """Answers what concerns sessions."""

    def __init__(self, commands: ExecuteCommand, sessions: Sessions) -> None:
        self._commands = commands
        self._sessions = sessions

    def upgrade(self, request: Request) -> asyncio.Protocol | None:
        """A WebSocket for the data channel of a session; None for everything else."""
        if not (request.path.startswith(PATH) and wants_websocket(request)):
            return None
        session_id = request.path[len(PATH) :]
        return WebSocket(request, partial(self._join, session_id))

    async def _join(self, session_id: str, socket: WebSocket) -> None:
        try:
            await self._sessions.join(session_id, socket)
        except TimeoutError:
            return  # the client said nothing

    async def handle(self, request: Request, /) -> Response:
        """POST /_cumulo/ecs/exec with an ExecOrder; the caller guards it."""
        if request.method != "POST":
            return _told(405, "use POST")
        try:
            order = msgspec.json.decode(await request.body.read(ORDER_BYTES_MAX), type=ExecOrder)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _told(400, f"the order cannot be read: {error}")
        endpoint = f"{request.scheme}://{request.headers.get('host') or 'localhost'}"
        try:
            return Response(200, [_JSON], msgspec.json.encode(self._commands.open_any(order, endpoint)))
        except AwsError as error:
            return _told(error.status, error.message)


def _told(status: int, message: str) -> Response:
    return Response(status, [_JSON], msgspec.json.encode({"message": message}))
