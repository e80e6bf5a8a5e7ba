"""Whether a pushed manifest may come in, and what is recorded of it.  Pure but for the question which blobs are here."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from cumulo.services.ecr import refusals
from cumulo.services.ecr.manifests import Manifest
from cumulo.services.ecr.model import INDEXES, Image, Layer, Repository
from cumulo.services.ecr.mutability import is_immutable
from cumulo.services.ecr.shelf import Shelf

IMAGES_MAX = 100_000  # in a repository
TAGS_MAX = 1_000  # of an image

Find = Callable[[str], Layer | None]
"""The blob of a digest, when the repository may show it."""


class Push(NamedTuple):
    """A manifest that wants in: what it says, its digest and size, the tag it is to get (or none), and now."""

    manifest: Manifest
    digest: str
    size_bytes: int
    tag: str
    now: float


def accept(push: Push, repository: Repository, shelf: Shelf, find: Find) -> Image:
    """The image as it will be recorded.

    AwsError ImageTagAlreadyExistsException, ImageAlreadyExistsException, LimitExceededException,
    LayersNotFoundException, ReferencedImagesNotFoundException.
    """
    old = shelf.images.get(push.digest)
    tagged = shelf.tags.get(push.tag) if push.tag else None
    restores = old is not None and old.status != "ACTIVE"  # a push brings an image back from the archive
    stays = tagged is not None and tagged.digest == push.digest
    if tagged is not None and is_immutable(repository, push.tag) and not (restores and stays):
        raise refusals.tag_is_immutable(repository, push.tag)
    if old is None:
        if len(shelf.images) >= IMAGES_MAX:
            raise refusals.too_many("images", IMAGES_MAX, refusals.within(repository))
        return _new(push, repository, _size(push.manifest, repository, shelf, find))
    if restores:
        return replace(old, status="ACTIVE", activated_at=push.now)
    if not push.tag or stays:
        raise refusals.image_exists(repository, push.digest, push.tag)
    if len(shelf.tags_of(push.digest)) >= TAGS_MAX:
        raise refusals.too_many("tags", TAGS_MAX, f"image with digest '{push.digest}'")
    return old


def _new(push: Push, repository: Repository, size_bytes: int) -> Image:
    manifest = push.manifest
    return Image(
        account=repository.account,
        region=repository.region,
        repository=repository.name,
        digest=push.digest,
        media_type=manifest.media_type,
        manifest_bytes=push.size_bytes,
        size_bytes=size_bytes,
        config=manifest.config.digest if manifest.config else "",
        config_media_type=manifest.config.media_type if manifest.config else "",
        layers=tuple(layer.digest for layer in manifest.layers),
        children=tuple(child.digest for child in manifest.children),
        subject=manifest.subject,
        artifact_type=manifest.artifact_type,
        annotations=manifest.annotations,
        pushed_at=push.now,
    )


def _size(manifest: Manifest, repository: Repository, shelf: Shelf, find: Find) -> int:
    """The size that AWS shows: of an index, that of its largest image; else configuration and layers, each once."""
    if manifest.media_type in INDEXES:
        children = dict.fromkeys(child.digest for child in manifest.children)
        absent = [digest for digest in children if digest not in shelf.images]
        if absent:
            raise refusals.images_missing(repository, absent)
        return max((shelf.images[digest].size_bytes for digest in children), default=0)
    assert manifest.config is not None, "only an index has no configuration"
    needed = dict.fromkeys([manifest.config.digest, *(layer.digest for layer in manifest.layers)])
    found = {digest: find(digest) for digest in needed}
    missing = [digest for digest, layer in found.items() if layer is None]
    if missing:
        raise refusals.layers_missing(repository, missing)
    return sum(layer.size_bytes for layer in found.values() if layer is not None)
