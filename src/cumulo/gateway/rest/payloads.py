"""Bodies as text or as bytes: binary media types, content handling, and compression both ways.

Everything here is pure, and hands bytes back as they are when nothing is to be changed.
"""

import base64
import binascii
import zlib
from collections.abc import Callable, Sequence
from typing import Final

from cumulo.gateway.rest.failures import misconfigured
from cumulo.gateway.visit import Refused

PAYLOAD_BYTES_MAX: Final = 10 * 1024 * 1024
JSON: Final = "application/json"
_GZIP: Final = 16 + zlib.MAX_WBITS

IsBinary = Callable[[str], bool]


def media_type(value: str) -> str:
    """The first media type of a Content-Type or Accept header, in lower case and without parameters."""
    return value.partition(",")[0].partition(";")[0].strip().lower()


def binary_types(patterns: Sequence[str]) -> IsBinary:
    """Whether a header (Content-Type, Accept) names what an API calls binary: `image/png`, `image/*`, `*/*`."""
    if not patterns:
        return _never
    exact = frozenset(pattern.lower() for pattern in patterns)
    if "*/*" in exact:
        return _always
    groups = tuple(pattern[:-1] for pattern in exact if pattern.endswith("/*"))

    def is_binary(header: str) -> bool:
        kind = media_type(header)
        return kind in exact or (bool(groups) and kind.startswith(groups))

    return is_binary


def _never(_header: str) -> bool:
    return False


def _always(_header: str) -> bool:
    return True


def as_text(body: bytes) -> bytes:
    """A body that went through text: what is not UTF-8 is replaced."""
    if body.isascii():
        return body
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode(errors="replace").encode()
    return body


def request_body(body: bytes, *, binary: bool, handling: str) -> bytes:
    """A request's body for its integration; `binary`: whether its Content-Type is.  Refused when it is no base64."""
    if binary:
        return base64.b64encode(body) if handling == "CONVERT_TO_TEXT" else body
    return from_base64(body) if handling == "CONVERT_TO_BINARY" else as_text(body)


def response_body(body: bytes, *, binary: bool, wanted: bool, handling: str) -> bytes:
    """An integration's body for the client.  Refused when it is no base64.

    binary  whether the integration's Content-Type is binary;  wanted  whether the client's Accept is
    """
    text = handling == "CONVERT_TO_TEXT" or (not handling and not wanted)
    if binary:
        return base64.b64encode(body) if text else body
    return as_text(body) if text else from_base64(body)


def from_base64(body: bytes) -> bytes:
    """Decode base64.  Refused, for AWS takes this for a mistake in the API's configuration."""
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise misconfigured("Unable to base64 decode the body.") from None


def decompress(body: bytes, coding: str, bytes_max: int = PAYLOAD_BYTES_MAX) -> bytes:
    """Undo a Content-Encoding of gzip, deflate or identity.  Refused when it cannot be, or grows beyond the bound."""
    if coding in {"", "identity"}:
        return body
    if coding not in {"gzip", "deflate"}:
        raise Refused("UNSUPPORTED_MEDIA_TYPE")
    try:
        return _inflate(body, _GZIP if coding == "gzip" else zlib.MAX_WBITS, bytes_max)
    except zlib.error:
        if coding == "deflate":  # many mean by it the format without a head
            try:
                return _inflate(body, -zlib.MAX_WBITS, bytes_max)
            except zlib.error:
                pass
        raise Refused("BAD_REQUEST_BODY", "Unable to decompress the request body") from None


def _inflate(body: bytes, window: int, bytes_max: int) -> bytes:
    machine = zlib.decompressobj(window)
    plain = machine.decompress(body, bytes_max)
    if machine.unconsumed_tail:
        raise Refused("REQUEST_TOO_LARGE")
    if not machine.eof:
        raise zlib.error("cut short")
    return plain


def coding_for(accept_encoding: str) -> str:
    """Whichever of gzip and deflate a client's Accept-Encoding prefers; empty when it takes neither."""
    best, best_weight = "", 0.0
    for entry in accept_encoding.lower().split(",")[:32]:
        name, _, parameters = entry.partition(";")
        name = {"*": "gzip", "x-gzip": "gzip"}.get(name.strip(), name.strip())
        weight = _weight(parameters)
        if name in {"gzip", "deflate"} and weight > best_weight:
            best, best_weight = name, weight
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def compress(body: bytes, coding: str) -> bytes:
    """The body in gzip or deflate."""
    machine = zlib.compressobj(6, zlib.DEFLATED, _GZIP if coding == "gzip" else zlib.MAX_WBITS)
    return machine.compress(body) + machine.flush()
