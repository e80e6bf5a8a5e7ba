"""What may be sent with an Invoke."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.errors import AwsError
from cumulo.services.lambda_.payloads import client_context_of, diagnose, event_of, well_formed

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_every_json_value_is_an_event(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert event_of(text, "RequestResponse") == text


@given(st.binary(max_size=40))
def test_what_is_no_json_is_refused_with_a_place(data):
    try:
        json.loads(data.decode(), parse_constant=lambda word: 1 / 0)
        valid = True
    except (ValueError, ZeroDivisionError):
        valid = False
    if data and not valid:
        assert not well_formed(data)
        assert diagnose(data)
    elif data:
        assert well_formed(data)


def test_the_message_is_awss():
    with pytest.raises(AwsError) as refused:
        event_of(b"abc def", "RequestResponse")
    assert refused.value.code == "InvalidRequestContentException"
    assert refused.value.message.startswith(
        "Could not parse request body into json: Could not parse payload into json: "
        "Unrecognized token 'abc': was expecting (JSON String, Number"
    )
    assert diagnose(b"{'a': 1}").startswith(
        "Unexpected character (''' (code 39)): was expecting double-quote"
    )
    assert diagnose(b'{"a": 1').startswith("Unexpected end-of-input")
    assert diagnose(b'{"a": ?}').startswith("Unexpected character ('?' (code 63)): expected a valid value")
    assert diagnose(b"[\xff]").startswith("Invalid UTF-8 start byte 0xff")
    assert "line: 2, column: 1]" in diagnose(b"[\n?]")


def test_no_payload_is_an_empty_event():
    assert event_of(b"", "RequestResponse") == b"{}"


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6291456), ("Event", 1048576)])
def test_a_payload_has_a_limit(kind, limit):
    fits = b'"' + b"x" * (limit - 2) + b'"'
    assert event_of(fits, kind) == fits
    with pytest.raises(AwsError) as refused:
        event_of(fits + b" ", kind)
    assert refused.value.code == "RequestEntityTooLargeException"
    assert refused.value.message == (
        f"{limit + 1} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
    )


def test_deep_nesting_is_refused_and_does_not_crash():
    with pytest.raises(AwsError):
        event_of(b"[" * 100_000 + b"]" * 100_000, "RequestResponse")


def test_a_client_context_is_an_object_on_one_line():
    raw = base64.b64encode(b'{"custom":\n {"a": "\xc3\xa4"}}').decode()
    assert client_context_of(raw) == '{"custom":{"a":"ä"}}'.encode()
    for bad in (
        "###",
        base64.b64encode(b"[1]").decode(),
        base64.b64encode(b"x\r\nEvil: 1").decode(),
        "x" * 4000,
    ):
        with pytest.raises(AwsError):
            client_context_of(bad)
