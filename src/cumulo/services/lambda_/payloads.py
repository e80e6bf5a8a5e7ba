"""What a client may send with an Invoke, and AWS's words when it may not.  Pure."""

import base64
import binascii
import json

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.lambda_.calls import EVENT_BYTES_MAX, PAYLOAD_BYTES_MAX

CLIENT_CONTEXT_CHARS_MAX = 3583
EXPLAINED_BYTES_MAX = 64 * 1024
_decode = msgspec.json.Decoder(msgspec.Raw).decode
_TOKENS = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_SOURCE = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
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
            "RequestEntityTooLargeException",
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
            "RequestEntityTooLargeException",
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
        return _no_text(payload, error.start)
    try:
        json.loads(text, parse_constant=_no_constant)
    except _Constant as constant:
        return _unknown_word(payload, text.index(str(constant)), str(constant))
    except json.JSONDecodeError as error:
        return _complaint(payload, text, error)
    except RecursionError:
        return (
            "Document nesting depth (1001) exceeds the maximum allowed (1000, from `StreamReadConstraints`)"
        )
    return "Unexpected content"


def _no_text(payload: bytes, at: int) -> str:
    byte = payload[at]
    if not payload[:at].strip():
        shown = f"(CTRL-CHAR, code {byte})" if byte < 160 else f"'{chr(byte)}' (code {byte})"
        return f"Unexpected character ({shown}): expected a valid value {_TOKENS}{_place(payload, at)}"
    return f"Invalid UTF-8 start byte 0x{byte:x}{_place(payload, at + 1)}"


def _complaint(payload: bytes, text: str, error: json.JSONDecodeError) -> str:
    at = len(text[: error.pos].encode())
    if at >= len(payload) or error.msg.startswith("Unterminated"):
        return _cut_short(payload)
    char = text[error.pos]
    if error.msg.startswith("Expecting value") and (char.isalpha() or char in "_$"):
        return _unknown_word(payload, at, "".join(_take_word(text[error.pos :])))
    expected = f"expected a valid value {_TOKENS}"
    if error.msg.startswith("Expecting property name"):
        expected = "was expecting double-quote to start field name"
    elif error.msg.startswith("Expecting ':'"):
        expected = "was expecting a colon to separate field name and value"
    elif "delimiter" in error.msg:
        kind = next((kind for kind, _ in reversed(_open_ones(payload[:at]))), "Object")
        expected = f"was expecting comma to separate {kind} entries"
    shown = f"(CTRL-CHAR, code {ord(char)})" if ord(char) < 32 else f"'{char}' (code {ord(char)})"
    return f"Unexpected character ({shown}): {expected}{_place(payload, at)}"


def _unknown_word(payload: bytes, at: int, word: str) -> str:
    # The parser stands behind the character that told it that the word has ended.
    end = min(at + len(word.encode()) + 1, len(payload))
    return f"Unrecognized token '{word}': was expecting {_TOKENS}{_place(payload, end)}"


def _cut_short(payload: bytes) -> str:
    open_ones = _open_ones(payload)
    if not open_ones:
        return f"Unexpected end-of-input{_place(payload, len(payload))}"
    kind, start = open_ones[-1]
    if kind == "string":
        return (
            "Unexpected end-of-input: was expecting closing quote for a string value"
            f"{_place(payload, len(payload))}"
        )
    marker = _place(payload, start).removeprefix("\n at ")
    return (
        f"Unexpected end-of-input: expected close marker for {kind} (start marker at {marker})"
        f"{_place(payload, len(payload))}"
    )


def _open_ones(payload: bytes) -> list[tuple[str, int]]:
    """What is open where the payload ends: kinds, and where each began."""
    found: list[tuple[str, int]] = []
    if len(payload) > EXPLAINED_BYTES_MAX:
        return found  # looking through megabytes would keep everybody else waiting
    escaped = False
    for at, byte in enumerate(payload):
        if found and found[-1][0] == "string":
            if byte == ord('"') and not escaped:
                found.pop()
            escaped = byte == ord("\\") and not escaped
        elif byte in b'{["':
            found.append(({ord("{"): "Object", ord("["): "Array"}.get(byte, "string"), at))
        elif byte in b"}]" and found:
            found.pop()
    return found


def _take_word(text: str) -> list[str]:
    word: list[str] = []
    for char in text[:256]:
        if ord(char) > 127 or ord(char) not in _WORD:
            break
        word.append(char)
    return word


def _place(payload: bytes, at: int) -> str:
    """Line and column, both from 1, of what is at index `at`; columns count bytes."""
    line = payload[:at].count(b"\n") + 1
    column = at - payload.rfind(b"\n", 0, at)
    return f"\n at [Source: {_SOURCE}; line: {line}, column: {column}]"


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
