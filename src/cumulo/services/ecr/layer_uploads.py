"""Layers through the API: which are here, uploads in parts, and where to download one.

Docker clients use `/v2/` instead; both keep layers in the same place.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import NamedTuple

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.ecr import refusals
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.downloads import Downloads
from cumulo.services.ecr.finding import repository_of
from cumulo.services.ecr.model import (
    LAYER_PART_BYTES_MAX,
    LAYER_PART_BYTES_MIN,
    Repository,
    invalid,
)
from cumulo.services.ecr.views import named
from cumulo.wire.service import Values

PARTS_MAX = 4_200
UPLOADS_REMEMBERED_MAX = 10_000
DOCKER_LAYER = (
    "application/vnd.docker.image.rootfs.diff.tar.gzip"  # what is uploaded here does not say what it is
)
_DIGEST = re.compile(r"[a-zA-Z0-9\-_+.]+:[a-fA-F0-9]+")
_TOO_SMALL = "All layer parts except the last part should be at least 5MB"


class _Parts(NamedTuple):
    """What is remembered of an upload's parts: how many, and whether one before the last was too small."""

    taken: int = 0
    last_is_small: bool = False
    too_small: bool = False


class LayerUploads:
    """The operations on layers."""

    def __init__(self, catalog: StoredCatalog, layers: Layers, downloads: Downloads) -> None:
        self._catalog = catalog
        self._layers = layers
        self._downloads = downloads
        self._parts: OrderedDict[str, _Parts] = (
            OrderedDict()
        )  # forgotten at a restart: then nothing is too small

    async def check(self, caller: Caller, values: Values) -> Values | None:
        """BatchCheckLayerAvailability."""
        repository = repository_of(self._catalog, caller, values)
        layers, failures = [], []
        for digest in values["layerDigests"]:
            if not digest:
                failures.append(_failure(digest, "MissingLayerDigest", "layer digest cannot be null"))
            elif not _DIGEST.fullmatch(digest):
                failures.append(
                    _failure(
                        digest,
                        "InvalidLayerDigest",
                        "layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
                    )
                )
            else:
                layers.append(self._availability(repository, digest))
        return {"layers": layers, "failures": failures}

    def _availability(self, repository: Repository, digest: str) -> Values:
        layer = self._layers.get(repository, digest)
        if layer is None:
            return {"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}
        return {
            "layerDigest": digest,
            "layerAvailability": "AVAILABLE",
            "layerSize": layer.size_bytes,
            "mediaType": layer.media_type or self._catalog.shelf(repository).kind_of(digest) or DOCKER_LAYER,
        }

    async def url(self, caller: Caller, values: Values) -> Values | None:
        """GetDownloadUrlForLayer."""
        repository = repository_of(self._catalog, caller, values)
        digest = values["layerDigest"]
        if self._layers.get(repository, digest) is None:
            raise refusals.layer_missing(repository, digest)
        if not self._catalog.shelf(repository).needs(digest):
            raise refusals.layer_unused(repository, digest)
        return {"downloadUrl": self._downloads.url(caller.endpoint, digest), "layerDigest": digest}

    async def begin(self, caller: Caller, values: Values) -> Values | None:
        """InitiateLayerUpload."""
        upload = await self._layers.begin(repository_of(self._catalog, caller, values))
        return {"uploadId": upload.id, "partSize": LAYER_PART_BYTES_MAX}

    async def append(self, caller: Caller, values: Values) -> Values | None:
        """UploadLayerPart."""
        repository = repository_of(self._catalog, caller, values)
        upload = self._layers.upload(repository, values["uploadId"])
        data, first, last = values["layerPartBlob"], values["partFirstByte"], values["partLastByte"]
        if last - first + 1 != len(data):
            raise invalid(
                f"The layer part has {len(data)} bytes, but partFirstByte {first} and partLastByte {last} "
                f"describe {max(0, last - first + 1)}"
            )
        parts = self._parts.get(upload.id, _Parts())
        if parts.taken >= PARTS_MAX:
            raise AwsError("LimitExceededException", f"A layer can be uploaded in at most {PARTS_MAX} parts")
        upload = await self._layers.append(upload, first, _once(data))
        self._remember(
            upload.id,
            _Parts(
                parts.taken + 1,
                last_is_small=len(data) < LAYER_PART_BYTES_MIN,
                too_small=parts.too_small or parts.last_is_small,
            ),
        )
        return named(repository, uploadId=upload.id, lastByteReceived=upload.received - 1)

    async def complete(self, caller: Caller, values: Values) -> Values | None:
        """CompleteLayerUpload."""
        repository = repository_of(self._catalog, caller, values)
        upload = self._layers.upload(repository, values["uploadId"])
        if self._parts.get(upload.id, _Parts()).too_small:
            raise AwsError("LayerPartTooSmallException", _TOO_SMALL)
        layer = await self._layers.finish(upload, values["layerDigests"])
        self._parts.pop(upload.id, None)
        return named(repository, uploadId=upload.id, layerDigest=layer.digest)

    def _remember(self, upload_id: str, parts: _Parts) -> None:
        self._parts[upload_id] = parts
        self._parts.move_to_end(upload_id)
        while len(self._parts) > UPLOADS_REMEMBERED_MAX:
            self._parts.popitem(last=False)


def _failure(digest: str, code: str, why: str) -> Values:
    return {
        "layerDigest": digest,
        "failureCode": code,
        "failureReason": f"Invalid request parameters: {why}",
    }


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
