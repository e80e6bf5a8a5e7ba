"""The client's side of a data channel: what is typed goes in, what is printed comes out, the exit code is the end's.

keyboard ─▶ messages ─▶ websocket ─▶ cloud ─▶ process
"""

import contextlib
import json
import os
import select
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TextIO

from cumulo.cli.cloud import Unreachable, post
from cumulo.services.ecs.executing.messages import (
    CHANNEL_CLOSED,
    INPUT,
    OUTPUT,
    Flags,
    Message,
    PayloadType,
    acknowledgement,
    decode,
    encode,
)

CLIENT_VERSION = "cumulo-1"
CONNECT_SECONDS_MAX = 10.0
PIECE_BYTES = 1024
BROKEN_OFF = 255
_PAGE = "/_cumulo/ecs/exec"
_RESPONSE = {
    "ClientVersion": CLIENT_VERSION,
    "ProcessedClientActions": [
        {"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""}
    ],
    "Errors": [],
}


class Terminal:
    """The keyboard and the screen: raw while it is entered, when both are a terminal."""

    def __init__(self, keyboard: TextIO, screen: TextIO) -> None:
        self.is_one = keyboard.isatty() and screen.isatty()
        self.fd = keyboard.fileno()
        self._saved: list[Any] | None = None

    def __enter__(self) -> "Terminal":
        """Let every key through."""
        if self.is_one:
            import termios
            import tty

            self._saved = termios.tcgetattr(self.fd)
            tty.setraw(self.fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it as it was."""
        if self._saved is not None:
            import termios

            termios.tcsetattr(self.fd, termios.TCSADRAIN, self._saved)


def join(
    endpoint: str, token: str, task: str, container: str, argv: Sequence[str], terminal: Terminal
) -> int:
    """Run the command and carry both ways; its exit code, 255 when the connection broke off."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    order = {"task": task, "container": container, "argv": list(argv)}
    session = post(endpoint, _PAGE, order, token)["session"]
    try:
        with connect(
            session["streamUrl"], open_timeout=CONNECT_SECONDS_MAX, compression=None, proxy=None
        ) as socket:
            opening = {
                "MessageSchemaVersion": "1.0",
                "RequestId": str(uuid.uuid4()),
                "TokenValue": session["tokenValue"],
                "ClientId": str(uuid.uuid4()),
                "ClientVersion": CLIENT_VERSION,
                "Terminal": terminal.is_one,
            }
            socket.send(json.dumps(opening))
            return _Conversation(socket, terminal).run()
    except WebSocketException as error:
        raise Unreachable(endpoint, str(error)) from error


class _Conversation:
    """One session on an open connection."""

    def __init__(self, socket: Any, terminal: Terminal) -> None:
        self._socket = socket
        self._terminal = terminal
        self._sent = 0
        self._sending = threading.Lock()
        self._done = threading.Event()

    def run(self) -> int:
        """Until the cloud closes the channel."""
        code = BROKEN_OFF
        try:
            for data in self._socket:
                message = decode(data if isinstance(data, bytes) else data.encode())
                if message.type in (OUTPUT, CHANNEL_CLOSED):
                    self._send_raw(encode(acknowledgement(message, uuid.uuid4(), _now())))
                if message.type == CHANNEL_CLOSED:
                    self._last_words(message.payload)
                    break
                if message.type == OUTPUT:
                    code = self._take(message, code)
        finally:
            self._done.set()
        return code

    def _take(self, message: Message, code: int) -> int:
        kind = message.payload_type
        if kind == PayloadType.HANDSHAKE_REQUEST:
            self._send(json.dumps(_RESPONSE).encode(), PayloadType.HANDSHAKE_RESPONSE)
        elif kind == PayloadType.HANDSHAKE_COMPLETE:
            threading.Thread(target=self._type, daemon=True).start()
        elif kind == PayloadType.EXIT_CODE:
            return int(message.payload)
        elif kind in (PayloadType.OUTPUT, PayloadType.STDERR):
            stream = sys.stderr if kind == PayloadType.STDERR else sys.stdout
            stream.buffer.write(message.payload)
            stream.flush()
        return code

    def _type(self) -> None:
        with contextlib.suppress(Exception):  # the connection has ended: there is nobody to type for
            if self._terminal.is_one:
                self._tell_size()
            for piece in self._typed():
                self._send(piece, PayloadType.OUTPUT)
            self._send(b"", PayloadType.OUTPUT, Flags.FIN)

    def _typed(self) -> Iterator[bytes]:
        size = shutil.get_terminal_size()
        while not self._done.is_set():
            if self._terminal.is_one and shutil.get_terminal_size() != size:
                size = shutil.get_terminal_size()
                self._tell_size()
            ready, _, _ = select.select([self._terminal.fd], [], [], 0.25)
            if ready:
                data = os.read(self._terminal.fd, PIECE_BYTES)
                if not data:
                    return
                yield data

    def _tell_size(self) -> None:
        size = shutil.get_terminal_size()
        self._send(json.dumps({"cols": size.columns, "rows": size.lines}).encode(), PayloadType.SIZE)

    def _last_words(self, payload: bytes) -> None:
        with contextlib.suppress(ValueError, AttributeError):
            sys.stderr.write(str(json.loads(payload).get("Output", "")))

    def _send(self, payload: bytes, kind: PayloadType, flags: Flags = Flags.DATA) -> None:
        with self._sending:
            message = Message(
                type=INPUT,
                sequence=self._sent,
                payload=payload,
                payload_type=kind,
                flags=flags,
                id=uuid.uuid4(),
                created_ms=_now(),
            )
            self._sent += 1
            self._socket.send(encode(message))

    def _send_raw(self, data: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        with self._sending, contextlib.suppress(ConnectionClosed):  # then nobody waits for it
            self._socket.send(data)


def _now() -> int:
    return time.time_ns() // 1_000_000
