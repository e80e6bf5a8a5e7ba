"""What the parts of ECR ask of one another; `service.py` puts the real ones together.

registry (/v2/)  ─┐                          ┌─▶ Content (state/content.py): blobs by digest
API operations   ─┼─▶ Catalog ── Layers ─────┤
pull-through ...  ─┘   images     blobs       └─▶ Store: records
"""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from cumulo.base.caller import Caller
from cumulo.services.ecr.model import Image, Layer, Repository


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that is still arriving.  `received` bytes are safe from a kill of the server."""

    id: str
    account: str
    region: str
    repository: str
    received: int
    started_at: float


class Layers(Protocol):
    """Blobs of repositories, and their uploads.  Everything large goes through files in pieces."""

    def get(self, repository: Repository, digest: str) -> Layer | None:
        """The layer, when this repository may show it."""
        ...

    def path(self, digest: str) -> Path:
        """The file of a blob that is here."""
        ...

    async def begin(self, repository: Repository) -> Upload:
        """Begin an upload."""
        ...

    def upload(self, repository: Repository, upload_id: str) -> Upload:
        """An upload that goes on.  AwsError UploadNotFoundException."""
        ...

    async def append(self, upload: Upload, first: int | None, pieces: AsyncIterator[bytes]) -> Upload:
        """Add bytes.  `first` must be what was received so far when it is given: AwsError InvalidLayerPartException
        with the fields registryId, repositoryName, uploadId and lastValidByteReceived.  One writer at a time.
        """
        ...

    async def finish(self, upload: Upload, digests: Sequence[str], media_type: str = "") -> Layer:
        """End an upload: check it against the digest (of several given, one must fit), keep it, and show it in its
        repository, durably.  AwsError InvalidLayerException (another digest), EmptyUploadException, LayerAlreadyExistsException.
        """
        ...

    async def cancel(self, upload: Upload) -> None:
        """Forget an upload."""
        ...

    async def put(self, repository: Repository, data: bytes, media_type: str = "") -> Layer:
        """Keep something small (a configuration) as a layer."""
        ...

    async def mount(self, source: Repository, target: Repository, digest: str) -> Layer | None:
        """Show in one repository what another has; None when it has not."""
        ...

    async def take_file(self, repository: Repository, digest: str, file: Path, media_type: str = "") -> Layer:
        """Keep a file (moved, its digest checked) as a layer: for pull-through and imports."""
        ...

    async def remove(self, repository: Repository, digest: str) -> bool:
        """Show a blob no longer; False when the repository did not.  The caller has checked that no image needs it."""
        ...

    def forget(self, repository: Repository) -> None:
        """Drop all layers and uploads of a repository that goes; the caller commits."""
        ...


class Catalog(Protocol):
    """Repositories, images and tags: the one place that changes them.  What is committed when it returns is durable."""

    def repository(self, account: str, region: str, name: str) -> Repository:
        """The repository.  AwsError RepositoryNotFoundException."""
        ...

    def find(self, account: str, region: str, name: str) -> Repository | None:
        """The repository, or None."""
        ...

    async def create(self, repository: Repository) -> Repository:
        """Add one.  AwsError RepositoryAlreadyExistsException, LimitExceededException."""
        ...

    def image(self, repository: Repository, *, tag: str = "", digest: str = "") -> Image:
        """The image of a tag or digest (or both, which must fit).  AwsError ImageNotFoundException with AWS's sentence."""
        ...

    def tags_of(self, image: Image) -> list[str]:
        """Its tags, sorted."""
        ...

    def tags(self, repository: Repository) -> list[str]:
        """All tags of the repository, sorted."""
        ...

    def manifest(self, image: Image) -> bytes:
        """Its manifest, to the byte."""
        ...

    async def put_image(
        self,
        repository: Repository,
        manifest: bytes,
        *,
        media_type: str = "",
        tag: str = "",
        digest: str = "",
    ) -> Image:
        """Add a manifest, and a tag to it.  Checks everything that AWS checks: that it can be read, that all it needs
        is there (LayersNotFoundException, ReferencedImagesNotFoundException), its digest (ImageDigestDoesNotMatchException),
        immutable tags (ImageTagAlreadyExistsException), and, when it changes nothing, ImageAlreadyExistsException.
        Events, replication and scanning follow from it.
        """
        ...

    async def delete(self, images: Sequence[Image], *, tags: Sequence[str] = ()) -> None:
        """Remove images with their tags, or, with `tags`, only these tags of the first (it goes with its last tag)."""
        ...

    async def pulled(self, image: Image, caller: Caller) -> None:
        """Somebody has pulled it: remember when."""
        ...

    def referrers(self, repository: Repository, digest: str, artifact_type: str = "") -> list[Image]:
        """The artifacts whose subject is this digest, oldest first."""
        ...
