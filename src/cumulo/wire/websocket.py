"""The server's side of a WebSocket (RFC 6455), on a connection that the upgrade hook took over.

Framing, fragments, pings and closing are the `websockets` library's; here are the transport, the back-pressure and a
task that runs whoever answers.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

from cumulo.wire.http import Request

MESSAGE_BYTES_MAX = 1024 * 1024
HELD_MESSAGES_MAX = 64
HELD_BYTES_MAX = 1024 * 1024  # and one message more
CLOSE_SECONDS_MAX = 5.0


class WebSocket(asyncio.Protocol):
    """One connection.  `serve(socket)` runs in a task of its own and ends the connection when it returns.

    Give an object of this to the server as the outcome of its upgrade hook.
    """

    def __init__(
        self,
        request: Request,
        serve: Callable[["WebSocket"], Coroutine[Any, Any, None]],
        *,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        from websockets.server import ServerProtocol

        self.request = request
        self._serve = serve
        self._protocol = ServerProtocol(max_size=message_bytes_max)
        self._messages: deque[str | bytes] = deque()
        self._held_bytes = 0
        self._parts: list[bytes] = []
        self._is_text = False
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()
        self._reading = True
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    # -- for whoever answers -------------------------------------------------------------------------------

    async def receive(self) -> str | bytes | None:
        """The next message; None when the client has closed."""
        while not self._messages:
            if self._closed.is_set():
                return None
            self._changed.clear()
            await self._changed.wait()
        message = self._messages.popleft()
        self._held_bytes -= len(message)
        self._read_or_not()
        return message

    async def send(self, message: str | bytes) -> None:
        """Send one message, when the client has taken most of what came before; nothing happens once it has closed."""
        await self._writable.wait()
        if self._closed.is_set():
            return
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, and wait for the client's for a while."""
        if self._closed.is_set():
            return
        with contextlib.suppress(Exception):  # it may be closing already
            self._protocol.send_close(code, reason[:120])
        self._flush()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), CLOSE_SECONDS_MAX)
        if self._transport is not None:
            self._transport.close()

    # -- the transport's side ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        request = self.request
        target = request.path + (f"?{request.query}" if request.query else "")
        lines = [f"GET {target} HTTP/1.1".encode("latin-1")]
        lines += [name + b": " + value for name, value in request.headers.raw]
        self._take(b"\r\n".join(lines) + b"\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._take(data)

    def eof_received(self) -> bool:
        """The client has closed its side."""
        self._protocol.receive_eof()
        self._flush()
        return False

    def pause_writing(self) -> None:
        """The client is behind; what it sends (pings above all) would make us write more."""
        self._writable.clear()
        self._read_or_not()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()
        self._read_or_not()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell whoever answers."""
        self._closed.set()
        self._changed.set()
        self._writable.set()

    def _take(self, data: bytes) -> None:
        from websockets.http11 import Request as Handshake

        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Handshake):
                response = self._protocol.accept(event)
                self._protocol.send_response(response)
                if response.status_code == 101:
                    self._task = asyncio.get_running_loop().create_task(self._run())
            else:
                self._frame(event)
        self._flush()

    def _frame(self, frame: Any) -> None:
        from websockets.frames import Opcode

        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
            self._parts = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT:
            self._parts.append(bytes(frame.data))
        else:
            return  # pings are answered, and a close is echoed, by the protocol
        if frame.fin:
            whole = b"".join(self._parts)
            self._parts = []
            message = whole.decode(errors="replace") if self._is_text else whole
            self._messages.append(message)
            self._held_bytes += len(message)
            self._changed.set()
            self._read_or_not()

    def _read_or_not(self) -> None:
        """Read on when there is room for more, else not."""
        if self._transport is None or self._closed.is_set():
            return
        held = max(len(self._messages) / HELD_MESSAGES_MAX, self._held_bytes / HELD_BYTES_MAX)
        if self._reading and (held >= 1 or not self._writable.is_set()):
            self._reading = False
            self._transport.pause_reading()
        elif not self._reading and held < 0.5 and self._writable.is_set():
            self._reading = True
            self._transport.resume_reading()

    def _flush(self) -> None:
        if self._transport is None:
            return
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()
        if self._protocol.close_expected():
            asyncio.get_running_loop().call_later(CLOSE_SECONDS_MAX, self._transport.close)

    async def _run(self) -> None:
        try:
            await self._serve(self)
        finally:
            await self.close()


def wants_websocket(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return request.method == "GET" and request.headers.get("upgrade").lower() == "websocket"
