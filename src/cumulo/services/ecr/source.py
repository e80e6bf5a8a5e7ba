"""Where engines get images of this cloud's own registry: manifests from the catalog, blobs as files, nothing copied."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from cumulo.base.errors import AwsError
from cumulo.engines.images import Descriptor, PullError, Reference
from cumulo.services.ecr.core import Catalog, Layers
from cumulo.services.ecr.model import Repository

PIECE_BYTES = 1024 * 1024


class RepositorySource:
    """One repository, as a Source of `engines/images.py`."""

    def __init__(self, catalog: Catalog, layers: Layers, repository: Repository) -> None:
        self._catalog = catalog
        self._layers = layers
        self._repository = repository

    async def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """The manifest or index of a tag or digest.  PullError."""
        try:
            image = self._catalog.image(self._repository, tag=reference.tag, digest=reference.digest)
            data = self._catalog.manifest(image)
        except AwsError as error:
            raise PullError("not-found", error.message) from error
        return Descriptor(media_type=image.media_type, digest=image.digest, size=len(data)), data

    async def blob(self, reference: Reference, blob: Descriptor) -> AsyncIterator[bytes]:
        """A blob of the repository, in pieces.  PullError."""
        path = self.path(reference, blob)
        if path is None:
            raise PullError("not-found", f"{self._repository.name} has no layer {blob.digest}")
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as error:
            raise PullError("not-found", f"the layer {blob.digest} cannot be read: {error.strerror}") from error
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
        finally:
            file.close()

    def path(self, _reference: Reference, blob: Descriptor) -> Path | None:
        """The file of a blob that the repository shows."""
        layer = self._layers.get(self._repository, blob.digest)
        return self._layers.path(blob.digest) if layer is not None else None
