"""Messages of Session Manager's data channel, as bytes; pure.

The layout, all numbers big-endian (amazon-ssm-agent, agent/session/contracts):

      0  header length (116)      4  message type, 32 bytes    36  schema version      40  created, milliseconds
     48  sequence number         56  flags                     64  message id, 16      80  SHA-256 of the payload, 32
    112  payload type           116  payload length           120  payload
"""

import hashlib
import json
import struct
import uuid
from enum import IntEnum, IntFlag

import msgspec

INPUT = "input_stream_data"
OUTPUT = "output_stream_data"
ACKNOWLEDGE = "acknowledge"
CHANNEL_CLOSED = "channel_closed"
HEADER_LENGTH = 116
SCHEMA_VERSION = 1
_HEAD = struct.Struct(">I32sIQqQ16s32sII")


class PayloadType(IntEnum):
    """What a stream message carries."""

    NONE = 0
    OUTPUT = 1
    ERROR = 2
    SIZE = 3
    PARAMETER = 4
    HANDSHAKE_REQUEST = 5
    HANDSHAKE_RESPONSE = 6
    HANDSHAKE_COMPLETE = 7
    FLAG = 10
    STDERR = 11
    EXIT_CODE = 12


class Flags(IntFlag):
    """Of a message within its stream."""

    DATA = 0
    SYN = 1
    FIN = 2
    ACK = 3


class BadMessage(Exception):
    """Bytes that are no message of the data channel."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message.  `created_ms` since the epoch; `flags` as Flags."""

    type: str
    sequence: int
    payload: bytes
    payload_type: int = PayloadType.NONE
    flags: int = Flags.DATA
    id: uuid.UUID
    created_ms: int


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    head = _HEAD.pack(
        HEADER_LENGTH,
        message.type.encode().ljust(32),
        SCHEMA_VERSION,
        message.created_ms,
        message.sequence,
        message.flags,
        message.id.bytes[8:] + message.id.bytes[:8],
        hashlib.sha256(message.payload).digest(),
        message.payload_type,
        len(message.payload),
    )
    return head + message.payload


def decode(data: bytes) -> Message:
    """The message that bytes hold.  BadMessage.

    The digest is not checked, as the agent does not: there are clients that write half of it, and TCP has sums of its own.
    """
    if len(data) < _HEAD.size:
        raise BadMessage("it is shorter than a head")
    length, kind, _, created, sequence, flags, name, _, payload_type, size = _HEAD.unpack_from(data)
    payload = data[_HEAD.size :]
    if length != HEADER_LENGTH or size != len(payload):
        raise BadMessage("its lengths are wrong")
    return Message(
        type=kind.strip(b" \0").decode(errors="replace"),
        sequence=sequence,
        payload=payload,
        payload_type=payload_type,
        flags=flags,
        id=uuid.UUID(bytes=name[8:] + name[:8]),
        created_ms=created,
    )


def acknowledgement(of: Message, name: uuid.UUID, created_ms: int) -> Message:
    """What says that a message has arrived."""
    said = {
        "AcknowledgedMessageType": of.type,
        "AcknowledgedMessageId": str(of.id),
        "AcknowledgedMessageSequenceNumber": of.sequence,
        "IsSequentialMessage": True,
    }
    payload = json.dumps(said).encode()
    return Message(
        type=ACKNOWLEDGE, sequence=0, payload=payload, flags=Flags.ACK, id=name, created_ms=created_ms
    )


def handshake_request(agent_version: str) -> bytes:
    """The payload with which the agent's side begins: a session with a terminal, nothing encrypted."""
    action = {
        "ActionType": "SessionType",
        "ActionParameters": {"SessionType": "InteractiveCommands", "Properties": {}},
    }
    return json.dumps({"AgentVersion": agent_version, "RequestedClientActions": [action]}).encode()


def handshake_complete() -> bytes:
    """The payload that ends the handshake."""
    return json.dumps({"HandshakeTimeToComplete": 0, "CustomerMessage": ""}).encode()


def closed(session_id: str, output: str, name: uuid.UUID, created: str) -> bytes:
    """The payload of the last message."""
    return json.dumps(
        {
            "MessageType": CHANNEL_CLOSED,
            "MessageId": str(name),
            "DestinationId": session_id,
            "SessionId": session_id,
            "SchemaVersion": SCHEMA_VERSION,
            "CreatedDate": created,
            "Output": output,
        }
    ).encode()
