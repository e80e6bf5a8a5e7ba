"""One request and its answer: the task that runs the handler, and the writing of what it gives back."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from cumulo.base.errors import AwsError
from cumulo.wire.answers import BadAnswer, failure, length_said
from cumulo.wire.body import StreamBody
from cumulo.wire.http import BodyCutShort, Request, Response, Switching
from cumulo.wire.sendfile import FileBody, Stalled, send_file

if TYPE_CHECKING:
    from cumulo.wire.turns import Turns

ONE_WRITE_BYTES_MAX: Final = 64 * 1024

_log = logging.getLogger(__name__)


class Exchange:
    """A request that has begun and is not answered yet.  A connection has one at a time."""

    __slots__ = (
        "body",
        "connection",
        "counted",
        "head_only",
        "http10",
        "keep_alive",
        "pieces",
        "request",
        "sent",
        "started",
        "streams",
        "task",
    )

    def __init__(
        self, connection: "Turns", request: Request, *, keep_alive: bool, http10: bool, started: float
    ) -> None:
        self.connection = connection
        self.request = request
        self.keep_alive = keep_alive
        self.http10 = http10
        self.head_only = request.method == "HEAD"
        self.started = started
        self.body: StreamBody | None = None
        self.counted = 0  # bytes of a body that is all here, for the budget
        self.sent = False  # the head of the answer has left
        self.streams = False  # ... and the rest is made piece by piece
        self.pieces = 0  # that have been made so far
        self.task: asyncio.Task[None] | None = None

    def reply(self, response: Response) -> None:
        """Write a whole answer; dropped when the client has gone or the request is answered already."""
        connection = self.connection
        if connection.exchange is not self:
            return
        body = response.body
        if not isinstance(body, bytes):
            _log.error("an answer on a lane must have a body of bytes", extra={"path": self.request.path})
            response = failure(500, "InternalFailure", "Internal server error")
            body = response.body
            assert isinstance(body, bytes)
        keep_alive = self._stays()
        length = len(body)
        if self.head_only or response.status == 304:
            said = length_said(response.headers)
            length = (-1 if response.status == 304 and not length else length) if said is None else said
            body = b""
        elif response.status == 204:
            body = b""
        try:
            head = connection.server.answers.head(response, length, self._connection_line(keep_alive))
        except BadAnswer:
            _log.exception("an answer cannot be written", extra={"path": self.request.path})
            self.reply(failure(500, "InternalFailure", "Internal server error"))
            return
        transport = connection.transport
        if len(body) <= ONE_WRITE_BYTES_MAX:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        connection.finish(self, response.status, keep_alive)

    async def run(self) -> None:
        """Call the handler and write what it answers."""
        response = await self._answer()
        body = response.body
        if isinstance(body, bytes):
            self._whole(response)
            return
        try:
            if isinstance(body, FileBody):
                await self._file(response, body)
            else:
                await self._stream(response, body)
        except BadAnswer:
            _log.exception("an answer cannot be written", extra={"path": self.request.path})
            if self.sent:
                self.connection.abort()
            else:
                self.reply(failure(500, "InternalFailure", "Internal server error"))
        except asyncio.CancelledError:
            if self.connection.exchange is self:
                self.connection.abort()
            raise
        except Stalled:
            self.connection.abort()
        except Exception:  # noqa: BLE001 - whatever a handler does, the server goes on
            _log.exception("an answer broke off", extra={"path": self.request.path})
            self.connection.abort()
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    async def _answer(self) -> Response:
        try:
            return await self.connection.server.handler(self.request)
        except AwsError as error:
            return failure(error.status, error.code, error.message)
        except BodyCutShort:
            return failure(400, "IncompleteBody", "The request's body ended before its announced end")
        except asyncio.CancelledError:
            if self.connection.exchange is not self:
                raise
            _log.warning("a handler was cancelled", extra={"path": self.request.path})
        except Exception:  # noqa: BLE001 - whatever a handler does, the server goes on
            _log.exception("a handler failed", extra={"path": self.request.path})
        return failure(500, "InternalFailure", "Internal server error")

    def _whole(self, response: Response) -> None:
        if isinstance(response, Switching):
            self._switch(response)
        else:
            self.reply(response)

    def _switch(self, response: Switching) -> None:
        """Say that another protocol begins, and let it have the connection."""
        connection = self.connection
        possible = not self.http10 and (self.body is None or self.body.ended)
        head = b""
        if possible and connection.exchange is self:
            try:
                head = connection.server.answers.head(response, -1, "Connection: Upgrade\r\n")
            except BadAnswer:
                _log.exception("an answer cannot be written", extra={"path": self.request.path})
        if head:
            connection.transport.write(head)
            connection.hand_over(self, response.protocol)
            return
        response.protocol.connection_lost(None)
        self.reply(failure(500, "InternalFailure", "Internal server error"))

    async def _file(self, response: Response, body: FileBody) -> None:
        connection = self.connection
        keep_alive = self._stays()
        head = connection.server.answers.head(response, body.count, self._connection_line(keep_alive))
        if connection.exchange is not self:
            return
        connection.transport.write(head)
        self.sent = True
        sends = body.count and not self.head_only and response.status not in {204, 304}
        if sends and not await self._send(body):
            if connection.exchange is self:
                connection.abort()
            return
        connection.finish(self, response.status, keep_alive)

    async def _send(self, body: FileBody) -> bool:
        """Send the part of a file: past this process's memory, unless it has to be encrypted."""
        connection = self.connection
        if self.request.secured is not None:
            return await self._pieces(aiter(body), body.count, chunked=False)
        await connection.emptied()
        return connection.exchange is self and await send_file(
            connection.transport,
            body,
            threads=connection.server.threads,
            wanted=lambda: connection.exchange is self,
            stall_seconds_max=connection.server.limits.body_stall_seconds_max,
        )

    async def _stream(self, response: Response, pieces: AsyncIterator[bytes]) -> None:
        connection = self.connection
        said = length_said(response.headers)
        length = said
        keep_alive = self._stays()
        if said is None and self.http10:
            length, keep_alive = -1, False
        head = connection.server.answers.head(response, length, self._connection_line(keep_alive))
        if connection.exchange is not self:
            return
        connection.transport.write(head)
        self.sent = self.streams = True
        if not (self.head_only or response.status in {204, 304}):
            whole = await self._pieces(pieces, said, chunked=length is None)
            if not whole:
                return
        connection.finish(self, response.status, keep_alive)

    async def _pieces(self, pieces: AsyncIterator[bytes], said: int | None, *, chunked: bool) -> bool:
        """Write the pieces of a body as they come; False when the connection is of no more use."""
        connection = self.connection
        left = said
        async for piece in pieces:
            if not piece:
                continue
            if left is not None:
                left -= len(piece)
                if left < 0:
                    raise BadAnswer("a body is longer than its Content-Length")
            self._write_piece(piece, chunked=chunked)
            if connection.write_paused:
                await connection.drained()
            if connection.exchange is not self:
                return False
        if left:
            _log.error("a body is shorter than its Content-Length", extra={"path": self.request.path})
            connection.abort()
            return False
        if chunked:
            connection.transport.write(b"0\r\n\r\n")
        return True

    def _write_piece(self, piece: bytes, *, chunked: bool) -> None:
        self.pieces += 1
        write = self.connection.transport.write
        if not chunked:
            write(piece)
        elif len(piece) <= ONE_WRITE_BYTES_MAX:
            write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            write(b"%x\r\n" % len(piece))
            write(piece)
            write(b"\r\n")

    def _stays(self) -> bool:
        connection = self.connection
        return (
            self.keep_alive
            and not connection.server.stopping
            and connection.more_to_come()
            and (self.body is None or self.body.ended)
        )

    def _connection_line(self, keep_alive: bool) -> str:
        if keep_alive:
            return "Connection: keep-alive\r\n" if self.http10 else ""
        return "Connection: close\r\n"
