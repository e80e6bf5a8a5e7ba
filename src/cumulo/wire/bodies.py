"""Undoes what clients wrap around a body: gzip and aws-chunked."""

import zlib

from cumulo.base.errors import AwsError
from cumulo.wire.http import Headers
from cumulo.wire.protocols.base import Malformed

_CHUNK_LINE_BYTES_MAX = 1024


def unwrap(headers: Headers, body: bytes, bytes_max: int) -> bytes:
    """The body as the client meant it; Malformed, or AwsError 413 when it would grow beyond `bytes_max`."""
    encodings = [part.strip() for part in headers.get("content-encoding").lower().split(",") if part.strip()]
    if "aws-chunked" in encodings or headers.get("x-amz-content-sha256").startswith("STREAMING-"):
        body = unchunk(body)
    if "gzip" in encodings:
        body = gunzip(body, bytes_max)
    return body


def gunzip(body: bytes, bytes_max: int) -> bytes:
    """Decompress, at most to `bytes_max`."""
    engine = zlib.decompressobj(wbits=31)
    try:
        data = engine.decompress(body, bytes_max + 1)
    except zlib.error:
        raise Malformed("The request body is not valid gzip", "encoding") from None
    if len(data) > bytes_max:
        raise AwsError(
            "RequestEntityTooLargeException", f"Request must be smaller than {bytes_max} bytes", status=413
        )
    if not engine.eof or engine.unused_data:
        raise Malformed("The request body is not valid gzip", "encoding")
    return data


def unchunk(body: bytes) -> bytes:
    """The data of an aws-chunked body: size;chunk-signature=... CRLF data CRLF ... 0 CRLF trailers."""
    pieces: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at, at + _CHUNK_LINE_BYTES_MAX)
        if end < 0:
            raise Malformed("The aws-chunked body is malformed", "encoding")
        digits = body[at:end].split(b";", 1)[0].strip()
        if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
            raise Malformed("The aws-chunked body is malformed", "encoding")
        size = int(digits, 16)
        if size == 0:
            return b"".join(pieces)
        at = end + 2
        if body[at + size : at + size + 2] != b"\r\n":
            raise Malformed("The aws-chunked body is malformed", "encoding")
        pieces.append(body[at : at + size])
        at += size + 2
