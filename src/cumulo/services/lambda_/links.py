"""Download addresses for code: good for ten minutes, for one zip, and not to be guessed."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import BinaryIO
from urllib.parse import parse_qs

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.services.lambda_.code import HEXADECIMAL_DIGITS, CodeStore
from cumulo.wire.http import Request, Response

PREFIX = "/_cumulo/lambda/code/"
VALID_SECONDS = 600
CHUNK_BYTES = 256 * 1024


class Links:
    """Signs addresses with a key that lives as long as the process."""

    def __init__(self, code: CodeStore, clock: Clock, ids: Ids) -> None:
        self._code = code
        self._clock = clock
        self._key = bytes.fromhex(ids.hex(64))

    def address(self, endpoint: str, digest: str) -> str:
        """Where a zip can be fetched from now on."""
        expires = int(self._clock.now()) + VALID_SECONDS
        return f"{endpoint}{PREFIX}{digest}?expires={expires}&token={self._token(digest, expires)}"

    async def download(self, request: Request) -> Response:
        """Answer a request below `PREFIX`."""
        if request.method not in {"GET", "HEAD"}:
            return _refused(405, "Method not allowed", allow="GET, HEAD")
        digest = request.path.removeprefix(PREFIX)
        if not self._is_ours(digest, request.query):
            return _refused(403, "The address is not valid, or has expired; ask GetFunction for another")
        try:
            file = await asyncio.to_thread(self._code.blob(digest).open, "rb")
        except FileNotFoundError:
            return _refused(404, "The code is gone")
        headers = [
            ("Content-Type", "application/zip"),
            ("Content-Disposition", f'attachment; filename="{digest[:12]}.zip"'),
        ]
        if request.method == "HEAD":
            file.close()
            return Response(200, headers)
        return Response(200, headers, _chunks(file))

    def _is_ours(self, digest: str, query: str) -> bool:
        fields = parse_qs(query)
        expires, token = fields.get("expires", [""])[0], fields.get("token", [""])[0]
        if (
            len(digest) != HEXADECIMAL_DIGITS
            or not (expires.isascii() and expires.isdigit())
            or len(expires) > 12
        ):
            return False
        expected = self._token(digest, int(expires))
        return hmac.compare_digest(expected.encode(), token.encode()) and int(expires) > self._clock.now()

    def _token(self, digest: str, expires: int) -> str:
        return hmac.new(self._key, f"{digest}:{expires}".encode(), hashlib.sha256).hexdigest()


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()


def _refused(status: int, why: str, *, allow: str = "") -> Response:
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    if allow:
        headers.append(("Allow", allow))
    return Response(status, headers, f"{why}.\n".encode())
