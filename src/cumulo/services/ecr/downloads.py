"""Layers by a link that needs no further authorization for a while, as S3's presigned links are on AWS.

    /_cumulo/ecr/layers/<digest>?expires=<seconds since the epoch>&signature=<hmac-sha256>

The key lives as long as the process: a link does not outlive a restart.
"""

import asyncio
import hmac
import os
import re
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

import msgspec

from cumulo.base.clock import Clock
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.manifests import is_digest
from cumulo.wire.http import Request, Response
from cumulo.wire.sendfile import FileBody

PREFIX = "/_cumulo/ecr/layers/"
LINK_SECONDS = 3600
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Downloads:
    """Makes the links, and answers them: a handler for GET and HEAD under `PREFIX`."""

    def __init__(self, layers: Layers, clock: Clock, key: bytes) -> None:
        self._layers = layers
        self._clock = clock
        self._key = key

    def url(self, endpoint: str, digest: str) -> str:
        """A link to a layer, on the host that the client used."""
        expires = int(self._clock.now()) + LINK_SECONDS
        return f"{endpoint}{PREFIX}{quote(digest)}?expires={expires}&signature={self._sign(digest, expires)}"

    def _sign(self, digest: str, expires: int) -> str:
        return hmac.new(self._key, f"{digest}\n{expires}".encode(), "sha256").hexdigest()

    async def __call__(self, request: Request) -> Response:
        """Answer a link."""
        if request.method not in {"GET", "HEAD"}:
            return _refusal(405, "MethodNotAllowed", "A layer can be read, and nothing else.")
        digest = unquote(request.path.removeprefix(PREFIX))
        if not is_digest(digest) or not self._may(digest, request.query):
            return _refusal(403, "AccessDenied", "The link is not one of ours, or it has expired.")
        return await asyncio.to_thread(_answer, request, self._layers.path(digest))

    def _may(self, digest: str, query: str) -> bool:
        fields = parse_qs(query)
        expires, signature = fields.get("expires", [""])[0], fields.get("signature", [""])[0]
        if not (expires.isascii() and expires.isdigit() and len(expires) < 16 and signature.isascii()):
            return False
        right = hmac.compare_digest(self._sign(digest, int(expires)), signature)
        return right and self._clock.now() < int(expires)


def _answer(request: Request, path: Path) -> Response:
    try:
        file = path.open("rb")
    except OSError:
        return _refusal(404, "NoSuchKey", "The layer is gone.")
    size = os.fstat(file.fileno()).st_size
    headers = [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes")]
    first, last, status = 0, size - 1, 200
    asked = request.headers.get("range")
    if asked:
        found = span(asked, size)
        if found is None:
            file.close()
            return Response(416, [*headers, ("Content-Range", f"bytes */{size}")])
        first, last = found
        status = 206
        headers.append(("Content-Range", f"bytes {first}-{last}/{size}"))
    count = last - first + 1
    if request.method == "HEAD":
        file.close()
        return Response(status, [*headers, ("Content-Length", str(count))])
    return Response(status, headers, FileBody(file, first, count))


def span(asked: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header with one range; None when it cannot be satisfied."""
    match = _RANGE.fullmatch(asked.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        return (size - length, size - 1) if length else None
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    return (first, last) if first <= last else None


def _refusal(status: int, code: str, message: str) -> Response:
    body = msgspec.json.encode({"code": code, "message": message})
    return Response(status, [("Content-Type", "application/json")], body)
