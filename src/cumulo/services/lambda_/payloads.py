"""What a client may send with an Invoke, and AWS's words when it may not.  Pure."""

import base64
import binascii
import json

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.lambda_.calls import EVENT_BYTES_MAX, PAYLOAD_BYTES_MAX

CLIENT_CONTEXT_CHARS_MAX = 3583
_decode = msgspec.json.Decoder(msgspec.Raw).decode
_TOKENS = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$")


def well_formed(payload: bytes) -> bool:
    """Whether it is one JSON value; nothing is built, so that it costs next to nothing."""
    try:
        _decode(payload)
        if not payload.isascii():
            payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _lenient(payload)
    except RecursionError:
        return False
    return True


def event_of(payload: bytes, invocation_type: str) -> bytes:
    """The event that the function gets: the payload, `{}` for none; AwsError when it is too large or no JSON."""
    limit = EVENT_BYTES_MAX if invocation_type == "Event" else PAYLOAD_BYTES_MAX
    if len(payload) > limit:
        raise AwsError(
            "RequestTooLargeException",
            f"{len(payload)} byte payload is too large for the {invocation_type} invocation type "
            f"(limit {limit} bytes)",
            status=413,
            fields={"Type": "User"},
        )
    if not payload:
        return b"{}"
    if not well_formed(payload):
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {diagnose(payload)}",
            fields={"Type": "User"},
        )
    return payload


def client_context_of(encoded: str) -> bytes:
    """The client context as JSON on one line; AwsError when it is too long, no base64 or no JSON object."""
    if not encoded:
        return b""
    if len(encoded) > CLIENT_CONTEXT_CHARS_MAX:
        raise AwsError(
            "RequestTooLargeException",
            f"{len(encoded)} byte client context is too large (limit {CLIENT_CONTEXT_CHARS_MAX} bytes)",
            status=413,
            fields={"Type": "User"},
        )
    try:
        context = msgspec.json.decode(base64.b64decode(encoded, validate=True), type=dict[str, object])
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AwsError(
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
            fields={"Type": "User"},
        ) from None
    return msgspec.json.encode(context)


def diagnose(payload: bytes) -> str:
    """Say where it stops being JSON, as the parser on AWS's side does."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        return f"Invalid UTF-8 start byte 0x{payload[error.start]:x}{_place(payload, error.start + 1)}"
    try:
        json.loads(text, parse_constant=_no_constant)
    except _Constant as constant:
        word = str(constant)
        return f"Unrecognized token '{word}': was expecting {_TOKENS}{_place(payload, len(word))}"
    except json.JSONDecodeError as error:
        at = len(text[: error.pos].encode())
        return _complaint(text, error, at) + _place(payload, at + 1)
    except RecursionError:
        return (
            "Document nesting depth (1001) exceeds the maximum allowed (1000, from `StreamReadConstraints`)"
        )
    return "Unexpected content"


def _complaint(text: str, error: json.JSONDecodeError, at: int) -> str:
    if at >= len(text.encode()) or error.msg.startswith("Unterminated"):
        return "Unexpected end-of-input"
    char = text[error.pos]
    if error.msg.startswith("Expecting value") and char.isalpha():
        word = "".join(_take_word(text[error.pos :]))
        return f"Unrecognized token '{word}': was expecting {_TOKENS}"
    expected = f"expected a valid value {_TOKENS}"
    if error.msg.startswith("Expecting property name"):
        expected = "was expecting double-quote to start field name"
    elif "delimiter" in error.msg:
        expected = "was expecting comma to separate entries"
    return f"Unexpected character ('{char}' (code {ord(char)})): {expected}"


def _take_word(text: str) -> list[str]:
    word: list[str] = []
    for char in text[:256]:
        if ord(char) > 127 or ord(char) not in _WORD:
            break
        word.append(char)
    return word


def _place(payload: bytes, column: int) -> str:
    line = payload[:column].count(b"\n") + 1
    column -= payload.rfind(b"\n", 0, max(0, column - 1)) + 1
    shown = payload[:500].decode("utf-8", "replace")
    more = f"[truncated {len(payload) - 500} bytes]" if len(payload) > 500 else ""
    return f'\n at [Source: (byte[])"{shown}"{more}; line: {line}, column: {column}]'


def _lenient(payload: bytes) -> bool:
    """JSON that our quick check refuses and AWS's does not: escaped lone surrogates."""
    if b"\\u" not in payload:
        return False
    try:
        json.loads(payload.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


class _Constant(ValueError):
    """NaN or Infinity, which Python reads and JSON has not."""


def _no_constant(word: str) -> object:
    raise _Constant(word)
