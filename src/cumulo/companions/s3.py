"""Reads objects of S3 through the companions, wherever S3 lives."""

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote, urlencode

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.companions.calls import told_in_xml
from cumulo.companions.companions import Companions
from cumulo.wire.http import Response

ERROR_BYTES_MAX: Final = 64 * 1024

_BY_STATUS: Final = {403: "AccessDenied", 404: "NoSuchKey", 503: "ServiceUnavailable"}


class S3Reader:
    """The ObjectReader of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def read_object(
        self, caller: Caller, bucket: str, key: str, version: str | None, *, bytes_max: int
    ) -> bytes:
        """Read an object's bytes.  AwsError NoSuchBucket, NoSuchKey, NoSuchVersion, or EntityTooLarge."""
        path = f"/{quote(bucket, safe='')}/{quote(key, safe='/')}"
        query = urlencode({"versionId": version}) if version else ""
        answer = await self._companions.call("s3", "GET", path, caller=caller, query=query)
        if answer.status != 200:
            raise _error(answer.status, await _read(answer, ERROR_BYTES_MAX))
        length = next((value for name, value in answer.headers if name.lower() == "content-length"), "")
        if length.isdigit() and int(length) > bytes_max:
            await _leave(answer)
            raise _too_large(bytes_max)
        return await _read(answer, bytes_max)


async def _read(answer: Response, bytes_max: int) -> bytes:
    if isinstance(answer.body, bytes):
        if len(answer.body) > bytes_max:
            raise _too_large(bytes_max)
        return answer.body
    pieces = bytearray()
    async for piece in answer.body:
        pieces += piece
        if len(pieces) > bytes_max:
            await _leave(answer)
            raise _too_large(bytes_max)
    return bytes(pieces)


async def _leave(answer: Response) -> None:
    """Stop reading an answer, so that its connection is given up."""
    if isinstance(answer.body, AsyncIterator):
        close = getattr(answer.body, "aclose", None)
        if close is not None:
            await close()


def _too_large(bytes_max: int) -> AwsError:
    return AwsError("EntityTooLarge", f"The object is larger than {bytes_max} bytes")


def _error(status: int, body: bytes) -> AwsError:
    code, message = told_in_xml(body)
    name = code or _BY_STATUS.get(status, "InternalError")
    return AwsError(name, message or f"S3 answered with status {status}", status=status)
