"""Pulling: manifests by tag or digest, blobs, parts of blobs."""

import asyncio
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.model import INDEXES, MANIFESTS, Image, Layer, Repository
from cumulo.services.ecr.registry.accepts import accepted
from cumulo.services.ecr.registry.access import Visit
from cumulo.services.ecr.registry.answers import RegistryError, answer, bad_digest, no_blob, no_manifest
from cumulo.services.ecr.registry.desk import Desk
from cumulo.services.ecr.registry.ranges import Unsatisfiable, part_of
from cumulo.services.ecr.registry.routes import is_tag
from cumulo.state.content import is_digest
from cumulo.state.store import StoreError
from cumulo.wire.http import Request, Response
from cumulo.wire.sendfile import FileBody

SMALL_BYTES_MAX = 64 * 1024  # not worth a file of its own on the way out
_BLOB_TYPE = "application/octet-stream"


class _Platform(msgspec.Struct, frozen=True):
    os: str = ""
    architecture: str = ""


class _Child(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    platform: _Platform | None = None


class _Index(msgspec.Struct, frozen=True):
    manifests: list[_Child] = []


class Pulls:
    """GET and HEAD of what images are made of."""

    def __init__(self, desk: Desk, layers: Layers) -> None:
        self._desk = desk
        self._layers = layers
        self._log = Log("ecr")

    # -- manifests -----------------------------------------------------------------------------------------

    async def manifest(self, visit: Visit, request: Request, name: str, reference: str) -> Response:
        """GET and HEAD /v2/<name>/manifests/<reference>."""
        if ":" in reference and not is_digest(reference):
            raise bad_digest(reference)
        if ":" not in reference and not is_tag(reference):
            self._desk.known(visit, name, "ecr:BatchGetImage")
            raise no_manifest({"Name": name, "Reference": reference[:300]})
        look = partial(self._named, reference)
        repository, image = await self._desk.pull(visit, name, reference, look)
        if image is None:
            raise no_manifest({"Name": name, "Reference": reference[:300]})
        data = self._desk.catalog.manifest(image)
        if ":" not in reference and image.media_type in INDEXES:
            image, data = self._for_client(request, repository, image, data)
        headers = [
            ("Content-Type", image.media_type),
            ("Docker-Content-Digest", image.digest),
            ("Etag", f'"{image.digest}"'),
        ]
        if _has_it(request, image.digest):
            return answer(304, headers)
        if request.method == "GET":
            await self._remember(visit, image)
        return answer(200, headers, data)

    def _named(self, reference: str, repository: Repository) -> Image | None:
        return self._desk.image(repository, reference)

    def _for_client(
        self, request: Request, repository: Repository, image: Image, data: bytes
    ) -> tuple[Image, bytes]:
        """The image of an index for a client that says it understands images, but no index: that for Linux on amd64."""
        types = accepted(request.headers.get_all("accept"))
        if not types or types & INDEXES or not types & MANIFESTS:
            return image, data
        wanted = _Platform("linux", "amd64")
        try:
            children = msgspec.json.decode(data, type=_Index).manifests
        except msgspec.DecodeError:
            return image, data
        for child in children:
            found = self._desk.image(repository, child.digest) if child.platform == wanted else None
            if found is not None and found.media_type in types:
                return found, self._desk.catalog.manifest(found)
        return image, data

    async def _remember(self, visit: Visit, image: Image) -> None:
        try:
            await self._desk.catalog.pulled(image, visit.caller)
        except StoreError as error:  # a full disk does not stop pulls
            self._log.warning("pull_not_remembered", image=image.digest, error=str(error))

    # -- blobs ---------------------------------------------------------------------------------------------

    async def blob(self, visit: Visit, request: Request, name: str, digest: str) -> Response:
        """GET and HEAD /v2/<name>/blobs/<digest>."""
        if not is_digest(digest):
            raise bad_digest(digest)
        layer = await self._layer(visit, name, digest)
        headers = [
            ("Content-Type", _BLOB_TYPE),
            ("Docker-Content-Digest", digest),
            ("Etag", f'"{digest}"'),
            ("Cache-Control", "max-age=31536000"),
            ("Accept-Ranges", "bytes"),
        ]
        if _has_it(request, digest):
            return answer(304, headers)
        size = layer.size_bytes
        if request.method == "HEAD":
            return answer(200, [*headers, ("Content-Length", str(size))])
        wanted = request.headers.get("range")
        condition = request.headers.get("if-range")
        if not wanted or (condition and condition.strip() != f'"{digest}"'):
            return await self._send(layer, 200, headers, 0, size)
        try:
            part = part_of(wanted, size)
        except Unsatisfiable:
            raise RegistryError(
                416,
                "SIZE_INVALID",
                f"the range {wanted} is not within the {size} bytes of the blob",
                headers=[("Content-Range", f"bytes */{size}"), ("Docker-Content-Digest", digest)],
            ) from None
        if part is None:
            return await self._send(layer, 200, headers, 0, size)
        span = f"bytes {part.first}-{part.first + part.count - 1}/{size}"
        return await self._send(layer, 206, [*headers, ("Content-Range", span)], part.first, part.count)

    async def _layer(self, visit: Visit, name: str, digest: str) -> Layer:
        _, layer = await self._desk.pull(
            visit, name, digest, lambda repository: self._layers.get(repository, digest)
        )
        if layer is None:
            raise no_blob(digest)
        return layer

    async def _send(
        self, layer: Layer, status: int, headers: list[tuple[str, str]], first: int, count: int
    ) -> Response:
        path = self._layers.path(layer.digest)
        try:
            if count <= SMALL_BYTES_MAX:
                return answer(status, headers, await asyncio.to_thread(_read, path, first, count))
            file = await asyncio.to_thread(_open, path)
        except OSError as error:
            self._log.error("blob_unreadable", digest=layer.digest, error=str(error))
            raise AwsError("ServerException", "The layer cannot be read.", status=500) from error
        response = answer(status, headers)
        response.body = FileBody(file, first, count)
        return response


def _has_it(request: Request, digest: str) -> bool:
    """Whether the client says that it has this already."""
    said = request.headers.get("if-none-match")
    tags = {tag.strip().removeprefix("W/") for tag in said.split(",")} if said else set()
    return f'"{digest}"' in tags or "*" in tags


def _read(path: Path, first: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(first)
        return file.read(count)


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
