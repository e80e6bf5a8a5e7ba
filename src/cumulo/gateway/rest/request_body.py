"""Reads a request's body: whole, bounded, and without the client's coding where the API undoes it."""

from typing import Final

from cumulo.base.errors import AwsError
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import Failed
from cumulo.gateway.rest.payloads import PAYLOAD_BYTES_MAX, decompress
from cumulo.gateway.visit import Refused, Visit
from cumulo.wire.http import BodyCutShort

HEADERS_BYTES_MAX: Final = 10_240


def refuse_large(visit: Visit) -> None:
    """Refused when the head is larger than AWS's limit, or says that the body is."""
    raw = visit.request.headers.raw
    if sum(len(name) + len(value) + 4 for name, value in raw) > HEADERS_BYTES_MAX:
        raise Failed("DEFAULT_4XX", "Request Header Fields Too Large", status=431)
    length = visit.request.headers.get("content-length")
    if length.isdigit() and int(length) > PAYLOAD_BYTES_MAX:
        raise Refused("REQUEST_TOO_LARGE")


async def read_body(visit: Visit, *, decompress_it: bool, call: Call) -> bytes:
    """The whole body, which an authorizer may have read already.  Refused when it is too large, or cut short."""
    body = visit.body
    if body is None:
        try:
            body = await visit.request.body.read(PAYLOAD_BYTES_MAX)
        except AwsError:
            raise Refused("REQUEST_TOO_LARGE") from None
        except BodyCutShort:
            raise Failed("DEFAULT_4XX", status=400) from None
        visit.body = body
    coding = call.header("content-encoding") if decompress_it else None
    if not coding or not body:
        return body
    del call.headers["content-encoding"]
    return decompress(body, coding.strip().lower())
