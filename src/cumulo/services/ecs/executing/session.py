"""One session: what a client types goes to a process in a container, what that prints goes to the client.

client ──open, token──▶ handshake ──▶ input, size ─▶ process
       ◀───────────────────────────── output, closed ◀─┘
"""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec

from cumulo.base.clock import Clock, iso_millis
from cumulo.engines.engine import EngineError, ExecSession
from cumulo.services.ecs.executing.messages import (
    CHANNEL_CLOSED,
    INPUT,
    OUTPUT,
    BadMessage,
    Flags,
    Message,
    PayloadType,
    acknowledgement,
    closed,
    decode,
    encode,
    handshake_complete,
    handshake_request,
)

AGENT_VERSION = "3.3.0.0"
PIECE_BYTES = 1024  # of output in one message: what the agent sends
HANDSHAKE_SECONDS_MAX = 15.0
SIZE_SECONDS_MAX = 0.5  # what a client gets to say how large its terminal is
OWN_SIZE_SECONDS_MAX = 5.0  # ours always says it
IDLE_SECONDS_MAX = 20 * 60.0  # AWS ends a session after twenty minutes without input
OWN_CLIENT = "cumulo"  # a client version that begins so is told the exit code, and may do without a terminal
USUAL_SIZE = (24, 80)
_ROWS_MAX = 10_000
_TERMINATE = 2


class Socket(Protocol):
    """What a session speaks through."""

    async def receive(self) -> str | bytes | None:
        """The next message; None at the end."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one."""
        ...


class Opening(msgspec.Struct, frozen=True, rename="pascal"):
    """The first message of a client, as text."""

    token_value: str
    client_version: str = ""
    terminal: bool = True


class Channel:
    """The messages of one session."""

    def __init__(self, socket: Socket, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock
        self._sent = 0
        self._expected = 0

    async def send(
        self, payload: bytes, payload_type: PayloadType = PayloadType.OUTPUT, *, kind: str = OUTPUT
    ) -> None:
        """Send one message of the agent's stream."""
        flags = Flags.SYN if self._sent == 0 else Flags.DATA
        message = Message(
            type=kind,
            sequence=self._sent,
            payload=payload,
            payload_type=payload_type,
            flags=flags,
            id=uuid.uuid4(),
            created_ms=self._now(),
        )
        self._sent += 1
        await self._socket.send(encode(message))

    async def inputs(self) -> AsyncIterator[Message]:
        """What the client sends, each once and in order; acknowledged.  Ends with the connection, or at nonsense."""
        while (data := await self._socket.receive()) is not None:
            try:
                message = decode(data if isinstance(data, bytes) else data.encode())
            except BadMessage:
                return
            if message.type != INPUT:
                continue  # the client acknowledges what we sent; the connection loses nothing
            if message.sequence > self._expected:
                continue  # it will send again what is missing, and then this
            await self._socket.send(encode(acknowledgement(message, uuid.uuid4(), self._now())))
            if message.sequence == self._expected:
                self._expected += 1
                yield message

    def _now(self) -> int:
        return int(self._clock.now() * 1000)


Start = Callable[[bool, int, int], Awaitable[ExecSession]]
"""Starts the process: with a terminal or not, and that terminal's rows and columns."""


class Session:
    """A command that was asked for; `run` serves it on the client's connection."""

    def __init__(self, session_id: str, start: Start, clock: Clock) -> None:
        self.id = session_id
        self._start = start
        self._clock = clock

    async def run(self, socket: Socket, opening: Opening) -> None:
        """Shake hands, start the process, carry both ways, say how it ended."""
        channel = Channel(socket, self._clock)
        inputs = channel.inputs()
        own = opening.client_version.startswith(OWN_CLIENT)
        try:
            await channel.send(handshake_request(AGENT_VERSION), PayloadType.HANDSHAKE_REQUEST)
            async with asyncio.timeout(HANDSHAKE_SECONDS_MAX):
                answer = await anext(inputs, None)
                if answer is None:
                    return
                # A client that knows no handshake begins with its terminal's size, or with input.
                early = answer if answer.payload_type in (PayloadType.OUTPUT, PayloadType.SIZE) else None
            await channel.send(handshake_complete(), PayloadType.HANDSHAKE_COMPLETE)
            coming = _with_first(early, inputs)
            output = await self._process(channel, coming, own=own, terminal=opening.terminal or not own)
        except TimeoutError:
            output = "The session's handshake took too long."
        await channel.send(
            closed(self.id, output, uuid.uuid4(), iso_millis(self._clock.now())), kind=CHANNEL_CLOSED
        )

    async def _process(
        self, channel: Channel, inputs: AsyncIterator[Message], *, own: bool, terminal: bool
    ) -> str:
        """Run the command; what to say at the end."""
        first = asyncio.ensure_future(anext(inputs, None))
        try:
            # The size of the terminal comes right after the handshake: a process that asks at once must not miss it.
            patience = OWN_SIZE_SECONDS_MAX if own else SIZE_SECONDS_MAX
            await asyncio.wait({first}, timeout=patience if terminal else 0)
            size = _size(first.result()) if first.done() else None
            process = await self._start(terminal, *(size or USUAL_SIZE))
        except EngineError as error:
            first.cancel()
            if own:
                await channel.send(b"127", PayloadType.EXIT_CODE)
            return f"Unable to start command: {error}\n"
        except BaseException:
            first.cancel()
            raise
        typing = asyncio.ensure_future(_type(first, inputs, process))
        printing = asyncio.ensure_future(_print(channel, process, own=own))
        try:
            await asyncio.wait({typing, printing}, return_when=asyncio.FIRST_COMPLETED)
            if not printing.done():  # the client has gone, or wants no more
                return "" if not typing.exception() else "Session ended for want of input.\n"
            printing.result()
            code = await process.wait()
            if own:
                await channel.send(str(code).encode(), PayloadType.EXIT_CODE)
            return ""
        finally:
            for task in (typing, printing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
            await process.close()


async def _with_first(first: Message | None, rest: AsyncIterator[Message]) -> AsyncIterator[Message]:
    if first is not None:
        yield first
    async for message in rest:
        yield message


async def _type(
    first: asyncio.Future[Message | None], inputs: AsyncIterator[Message], process: ExecSession
) -> None:
    """Carry the client's input to the process, `first` first.  TimeoutError when none comes for long."""
    coming: Awaitable[Message | None] = first
    while True:
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            message = await coming
        coming = anext(inputs, None)
        if message is None:
            return
        if message.payload_type == PayloadType.OUTPUT:
            if message.payload:
                with contextlib.suppress(EngineError, OSError):
                    await process.write(message.payload)
            if message.flags & Flags.FIN:
                process.end_input()
        elif (size := _size(message)) is not None:
            with contextlib.suppress(EngineError, OSError):
                process.resize(*size)
        elif message.payload_type == PayloadType.FLAG and int.from_bytes(message.payload) == _TERMINATE:
            return


async def _print(channel: Channel, process: ExecSession, *, own: bool) -> None:
    while (piece := await process.read()) is not None:
        stream, data = piece
        kind = PayloadType.STDERR if own and stream == "stderr" else PayloadType.OUTPUT
        for at in range(0, len(data), PIECE_BYTES):
            await channel.send(data[at : at + PIECE_BYTES], kind)


def _size(message: Message | None) -> tuple[int, int] | None:
    """Rows and columns that a message tells; None when it tells none."""
    if message is None or message.payload_type != PayloadType.SIZE:
        return None
    with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):
        said = json.loads(message.payload)
        rows, columns = int(said["rows"]), int(said["cols"])
        if 0 < rows <= _ROWS_MAX and 0 < columns <= _ROWS_MAX:
            return rows, columns
    return None
