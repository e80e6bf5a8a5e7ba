"""The bytes of Session Manager's data channel."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.services.ecs.executing.messages import (
    INPUT,
    BadMessage,
    Message,
    PayloadType,
    acknowledgement,
    decode,
    encode,
)

messages = st.builds(
    Message,
    type=st.sampled_from(["input_stream_data", "output_stream_data", "acknowledge", "channel_closed"]),
    sequence=st.integers(0, 2**63 - 1),
    payload=st.binary(max_size=2000),
    payload_type=st.integers(0, 12),
    flags=st.integers(0, 3),
    id=st.uuids(),
    created_ms=st.integers(0, 2**64 - 1),
)


@given(messages)
def test_what_is_encoded_is_decoded(message):
    assert decode(encode(message)) == message


@given(st.binary(max_size=400))
def test_nonsense_is_told_apart(data):
    with pytest.raises(BadMessage):
        decode(data)


def test_the_layout_is_the_agents():
    name = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    raw = encode(
        Message(
            type=INPUT,
            sequence=7,
            payload=b"ls\n",
            payload_type=PayloadType.OUTPUT,
            flags=1,
            id=name,
            created_ms=5,
        )
    )
    assert raw[:4] == (116).to_bytes(4)
    assert raw[4:36] == b"input_stream_data".ljust(32)
    assert raw[36:40] == (1).to_bytes(4)
    assert raw[40:48] == (5).to_bytes(8)
    assert raw[48:56] == (7).to_bytes(8)
    assert raw[56:64] == (1).to_bytes(8)
    assert raw[64:80] == bytes.fromhex("8899aabbccddeeff0011223344556677")  # the lower half comes first
    assert raw[112:116] == (1).to_bytes(4)
    assert raw[116:120] == (3).to_bytes(4)
    assert raw[120:] == b"ls\n"


def test_an_acknowledgement_names_what_arrived():
    of = Message(type=INPUT, sequence=3, payload=b"x", id=uuid.uuid4(), created_ms=0)
    said = acknowledgement(of, uuid.uuid4(), 1).payload.decode()
    assert str(of.id) in said
    assert '"AcknowledgedMessageSequenceNumber": 3' in said
