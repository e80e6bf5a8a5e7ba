"""WebSocket frames and selection expressions, whatever comes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway_kit import visit
from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from cumulo.gateway.websocket.expressions import mapping, selection
from cumulo.gateway.websocket.turn import NO_JSON, Reply, Turn, parsed
from cumulo.wire.websocket_frames import Broken, FrameReader, Kind, close_of, frames_of

FRAME, MESSAGE = 300, 1000


def reader():
    return FrameReader(frame_bytes_max=FRAME, message_bytes_max=MESSAGE)


def masked(opcode, data, *, fin=True):
    size = len(data)
    head = bytes([opcode | (0x80 if fin else 0)])
    head += bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def drained(frames, pieces):
    heard = []
    for piece in pieces:
        frames.feed(piece)
        while (said := frames.next()) is not None:
            heard.append(said)
    return heard


def cut(data, draw):
    pieces, at = [], 0
    while at < len(data):
        size = draw(st.integers(1, max(1, len(data) // 3)))
        pieces.append(data[at : at + size])
        at += size
    return pieces


messages = st.lists(
    st.one_of(
        st.tuples(st.just(Kind.TEXT), st.text(max_size=80).map(str.encode)),
        st.tuples(st.just(Kind.BINARY), st.binary(max_size=FRAME)),
        st.tuples(st.just(Kind.PING), st.binary(max_size=125)),
    ),
    max_size=8,
)


@settings(max_examples=30)
@given(st.data(), messages)
def test_what_a_client_says_arrives_however_it_is_cut(data, said):
    sent = b""
    for kind, body in said:
        if kind is Kind.PING or data.draw(st.booleans()):
            sent += masked(kind, body)
            continue
        parts = cut(body, data.draw) or [b""]
        for at, part in enumerate(parts):
            sent += masked(0 if at else kind, part, fin=at == len(parts) - 1)
            if data.draw(st.booleans()):
                sent += masked(Kind.PONG, b"")
    heard = drained(reader(), cut(sent, data.draw))
    assert [tuple(one) for one in heard if one.kind is not Kind.PONG] == said


@given(st.data(), st.binary(max_size=400))
def test_noise_is_broken_or_harmless_and_held_within_bounds(data, noise):
    frames = reader()
    try:
        for said in drained(frames, cut(noise, data.draw)):
            if said.kind is Kind.CLOSE:
                close_of(said.data)
    except Broken as broken:
        assert broken.code in {1002, 1007, 1009}
    assert len(frames._rest) - frames._at <= max(FRAME + 14, len(noise))


@given(st.binary(max_size=2000), st.integers(1, 300), st.sampled_from([Kind.TEXT, Kind.BINARY]))
def test_what_the_server_says_is_understood_by_a_client(body, frame_max, kind):
    if kind is Kind.TEXT:
        body = body.hex().encode()
    client = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=(None, frame_max))
    client.receive_data(frames_of(kind, body, frame_max))
    frames = client.events_received()
    assert client.parser_exc is None
    assert b"".join(frame.data for frame in frames) == body
    assert frames[-1].fin and int(frames[0].opcode) == kind


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc") | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def turn(body):
    return Turn(visit(), variables={"v": "1"}, body=body)


@given(json_values)
def test_a_members_value_is_the_key(value):
    found = selection("$request.body.a")(turn(json.dumps(value).encode()), None)
    there = value.get("a") if isinstance(value, dict) else None
    if there is None or isinstance(there, str):
        assert found == there
    else:
        assert json.loads(found) == there
    assert selection("${request.body.a}")(turn(json.dumps(value).encode()), None) == found


@given(st.text(max_size=60), st.one_of(st.binary(max_size=60), json_values.map(json.dumps).map(str.encode)))
def test_no_expression_and_no_message_raises(text, body):
    reply = Reply(200, (("a", "b"),), body)
    for prefix in (
        "",
        "$request.body.",
        "${request.body.",
        "$integration.response.body.",
        "route.request.",
        "$context.",
    ):
        for compiled in (selection(prefix + text), mapping(prefix + text)):
            for answer in (None, reply):
                found = compiled(turn(body), answer)
                assert found is None or isinstance(found, str)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("\\$default", "$default"),
        ("static", "static"),
        ("${request.body.a}-x", "1-x"),
        ("$request.body.a.", "1."),
        ("$request.body.a$stageVariables.v", "11"),
        ("$request.body.l[1]", "y"),
        ("${request.body.l[-1]}", "y"),
        ("$request.body.o", '{"k":2}'),
        ("$request.body.none", None),
        ("x$request.body.none", None),
        ("$integration.response.statuscode", "418"),
        ("$integration.response.header.X-A", "2"),
        ("${integration.response.multivalueheader.x-a}", "1,2"),
        ("$integration.response.body.e", "boom"),
        ("$context.identity.sourceIp", "203.0.113.7"),
        ("$unknown.thing", "$unknown.thing"),
    ],
)
def test_keys_are_made_as_the_language_says(text, key):
    reply = Reply(418, (("x-a", "1"), ("X-A", "2")), b'{"e":"boom"}')
    body = b'{"a":1,"l":["x","y"],"o":{"k":2}}'
    assert selection(text)(turn(body), reply) == key


def test_what_is_no_json_is_told_from_null():
    assert parsed(b"null") is None
    assert parsed(b"\xff") is NO_JSON
    assert parsed(b"[" * 100_000) is NO_JSON
