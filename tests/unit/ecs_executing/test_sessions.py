"""Sessions of ExecuteCommand, without a container: who may join, what is carried, how they end."""

import asyncio
import json
import random
import uuid

import pytest

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.engines.engine import EngineError
from cumulo.services.ecs.executing.messages import (
    CHANNEL_CLOSED,
    INPUT,
    OUTPUT,
    Flags,
    Message,
    PayloadType,
    decode,
    encode,
)
from cumulo.services.ecs.executing.sessions import TOKEN_SECONDS, Sessions


class Upper:
    """A process that prints its input in capitals, and ends with its input."""

    def __init__(self):
        self.pieces = asyncio.Queue()
        self.sizes = []
        self.closed = False

    async def read(self):
        return await self.pieces.get()

    async def write(self, data):
        await self.pieces.put(("stdout", data.upper()))
        await self.pieces.put(("stderr", b"!"))

    def end_input(self):
        self.pieces.put_nowait(None)

    def resize(self, rows, columns):
        self.sizes.append((rows, columns))

    async def wait(self):
        return 7

    async def close(self):
        self.closed = True


class Client:
    """A socket with a script: what to send next depends on what came."""

    def __init__(self, opening):
        self.to_server = asyncio.Queue()
        self.to_server.put_nowait(json.dumps(opening))
        self.got = []
        self.sequence = 0

    async def receive(self):
        return await self.to_server.get()

    async def send(self, data):
        message = decode(data)
        if message.type != "acknowledge":
            self.got.append(message)
        if message.payload_type == PayloadType.HANDSHAKE_REQUEST:
            self.say(b"{}", PayloadType.HANDSHAKE_RESPONSE)
        if message.payload_type == PayloadType.HANDSHAKE_COMPLETE:
            self.after_handshake()

    def after_handshake(self):
        self.say(b'{"cols": 90, "rows": 30}', PayloadType.SIZE)
        self.say(b'{"cols": -1, "rows": 30}', PayloadType.SIZE)
        self.say(b"hello", PayloadType.OUTPUT)
        self.say(b"", PayloadType.OUTPUT, Flags.FIN)

    def say(self, payload, kind, flags=Flags.DATA, sequence=None):
        number = self.sequence if sequence is None else sequence
        message = Message(
            type=INPUT,
            sequence=number,
            payload=payload,
            payload_type=kind,
            flags=flags,
            id=uuid.uuid4(),
            created_ms=0,
        )
        self.sequence = number + 1
        self.to_server.put_nowait(encode(message))

    def printed(self, kind=PayloadType.OUTPUT):
        return b"".join(one.payload for one in self.got if one.payload_type == kind and one.type == OUTPUT)


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def sessions(clock):
    return Sessions(clock, Ids(random.Random(1)))


def joined(sessions, client_of, start=None):
    process = Upper()

    async def begin(terminal, rows, columns):
        process.terminal = terminal
        process.began_with = (rows, columns)
        return process

    async def main():
        session_id, token = sessions.offer(start or begin)
        client = client_of(token)
        await asyncio.wait_for(sessions.join(session_id, client), 10)
        return client

    return asyncio.run(main()), process


def test_input_goes_in_output_comes_out_and_the_channel_is_closed(sessions):
    client, process = joined(
        sessions, lambda token: Client({"TokenValue": token, "ClientVersion": "1.2.0.0"})
    )
    assert client.printed() == b"HELLO!"
    assert client.got[-1].type == CHANNEL_CLOSED
    assert process.began_with == (30, 90)
    assert process.sizes == [(30, 90)]
    assert process.terminal is True
    assert process.closed
    assert not client.printed(PayloadType.EXIT_CODE)  # AWS's plugin would print it


def test_our_own_client_gets_streams_apart_and_the_exit_code(sessions):
    opening = {"ClientVersion": "cumulo-1", "Terminal": False}
    client, process = joined(sessions, lambda token: Client(opening | {"TokenValue": token}))
    assert (client.printed(), client.printed(PayloadType.STDERR)) == (b"HELLO", b"!")
    assert client.printed(PayloadType.EXIT_CODE) == b"7"
    assert process.terminal is False


def test_a_message_that_is_sent_twice_counts_once(sessions):
    class Stutters(Client):
        def after_handshake(self):
            self.say(b"once", PayloadType.OUTPUT)
            self.say(b"once", PayloadType.OUTPUT, sequence=self.sequence - 1)
            self.say(b"", PayloadType.OUTPUT, Flags.FIN)

    client, _ = joined(sessions, lambda token: Stutters({"TokenValue": token}))
    assert client.printed() == b"ONCE!"


def test_a_client_that_knows_no_handshake_begins_at_once(sessions):
    class Old(Client):
        async def send(self, data):
            message = decode(data)
            if message.type != "acknowledge":
                self.got.append(message)
            if message.payload_type == PayloadType.HANDSHAKE_REQUEST:
                self.after_handshake()

    client, process = joined(sessions, lambda token: Old({"TokenValue": token}))
    assert client.printed() == b"HELLO!"
    assert process.began_with == (30, 90)


def test_a_client_that_goes_takes_the_process_with_it(sessions):
    class Leaves(Client):
        def after_handshake(self):
            self.to_server.put_nowait(None)

    client, process = joined(sessions, lambda token: Leaves({"TokenValue": token}))
    assert process.closed
    assert client.printed() == b""


def test_a_command_that_cannot_start_says_why(sessions):
    async def fails(*_how):
        raise EngineError("no such command")

    client, _ = joined(sessions, lambda token: Client({"TokenValue": token}), start=fails)
    assert "no such command" in json.loads(client.got[-1].payload)["Output"]


@pytest.mark.parametrize("opening", [{"TokenValue": "wrong"}, {"TokenValue": ""}, {}, [], {"TokenValue": 1}])
def test_nobody_joins_without_the_token(sessions, opening):
    client, process = joined(sessions, lambda _token: Client(opening))
    assert client.got == []
    assert not hasattr(process, "terminal")


def test_a_token_is_good_once_and_not_for_ever(sessions, clock):
    async def main():
        started = []

        async def start(*_how):
            started.append(1)
            return Upper()

        session_id, token = sessions.offer(start)
        await sessions.join(session_id, Client({"TokenValue": token}))
        await sessions.join(session_id, Client({"TokenValue": token}))
        late_id, late_token = sessions.offer(start)
        clock.advance(TOKEN_SECONDS + 1)
        await sessions.join(late_id, Client({"TokenValue": late_token}))
        return len(started)

    assert asyncio.run(main()) == 1
