"""Images for those who run them: what a reference means, and the content of our own repositories as a Source.

resolve(uri) ── ours?  <account>.dkr.ecr.<region>....  or this server's own address ──▶ Catalog ─▶ OwnSource
             └─ else   any other registry ───────────────────────────────────────────▶ its Source
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.images import ResolvedImage
from cumulo.engines.images import Descriptor, PullError, Reference, Source
from cumulo.services.ecr.core import Catalog, Layers
from cumulo.services.ecr.model import INDEXES, MANIFESTS, Image, Repository, invalid, no_repository

PIECE_BYTES = 1024 * 1024
CONFIG_BYTES_MAX = 4 * 1024 * 1024
LOOPBACKS = ("localhost", "127.0.0.1", "[::1]")
_ECR_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(?:localhost|localhost\.localstack\.cloud|amazonaws\.com(?:\.cn)?)(?::\d+)?"
)
_CODES = {
    "not-found": "ImageNotFoundException",
    "unauthorized": "AccessDeniedException",
    "refused": "InvalidParameterException",
    "corrupt": "InvalidParameterException",
}
MayPull = Callable[[Caller, Repository], bool]
"""Whether a caller may pull from a repository of another account."""


class _Place(msgspec.Struct, frozen=True):
    """A repository of ours."""

    account: str
    region: str
    repository: str


class ImageResolver:
    """`ports.ImageRegistry` for Lambda and ECS.

    parse        reads a reference, short forms spelled out; PullError for nonsense
    open_source  a client for all other registries, to be entered
    port         this server's own: `localhost:<port>/repo` is the caller's repository
    may_pull     decides about repositories of other accounts; without it everybody may
    """

    def __init__(
        self,
        catalog: Catalog,
        layers: Layers,
        *,
        parse: Callable[[str], Reference],
        open_source: Callable[[], AbstractAsyncContextManager[Source]],
        port: int,
        may_pull: MayPull | None = None,
    ) -> None:
        self._catalog = catalog
        self._layers = layers
        self._parse = parse
        self._open_source = open_source
        self._own = frozenset(f"{host}:{port}" for host in LOOPBACKS)
        self._may_pull = may_pull

    async def resolve(self, caller: Caller, uri: str) -> ResolvedImage[Source]:
        """See `ports.ImageRegistry`."""
        try:
            reference = self._parse(uri)
        except PullError as error:
            raise invalid(str(error)) from error
        place = place_of(reference, caller, self._own)
        if place is None:
            return await self._elsewhere(reference)
        if not _has_tag_or_digest(uri):
            raise invalid(f"{uri} has neither a tag nor a digest")
        return await self._ours(caller, reference, place)

    async def _ours(self, caller: Caller, reference: Reference, place: _Place) -> ResolvedImage[Source]:
        repository = self._catalog.repository(place.account, place.region, place.repository)
        if (
            repository.account != caller.account
            and self._may_pull is not None
            and not self._may_pull(caller, repository)
        ):
            raise AwsError(
                "AccessDeniedException",
                f"{caller.account} may not pull from {repository.arn}",
                status=403,
            )
        image = self._catalog.image(
            repository, tag="" if reference.digest else reference.tag, digest=reference.digest
        )
        if image.status != "ACTIVE":
            raise AwsError("ImageNotFoundException", f"The image {image.digest} is archived")
        return ResolvedImage(
            uri=f"{reference.host}/{reference.repository}@{image.digest}",
            reference=f"{canonical_host(repository)}/{repository.name}@{image.digest}",
            digest=image.digest,
            media_type=image.media_type,
            architecture=await self._architecture(repository, image),
            ours=True,
            source=OwnSource(self._catalog, self._layers, caller),
        )

    async def _architecture(self, repository: Repository, image: Image) -> str:
        if image.media_type not in MANIFESTS or not self._layers.get(repository, image.config):
            return ""
        return await asyncio.to_thread(_read_architecture, self._layers.path(image.config))

    async def _elsewhere(self, reference: Reference) -> ResolvedImage[Source]:
        try:
            async with self._open_source() as source:
                found, raw = await source.manifest(reference)
                architecture = ""
                if found.media_type not in INDEXES:
                    architecture = await _fetch_architecture(source, reference, raw)
        except PullError as error:
            raise AwsError(_CODES.get(error.kind, "ServerException"), str(error)) from error
        pinned = f"{reference.host}/{reference.repository}@{found.digest}"
        return ResolvedImage(
            uri=pinned,
            reference=pinned,
            digest=found.digest,
            media_type=found.media_type,
            architecture=architecture,
        )


class OwnSource:
    """Our repositories, as engines pull from them: no network, and blobs that are files already.

    caller   on whose behalf, for the record of the last pull
    """

    def __init__(self, catalog: Catalog, layers: Layers, caller: Caller) -> None:
        self._catalog = catalog
        self._layers = layers
        self._caller = caller

    async def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """The manifest or index of a tag or digest.  PullError."""
        try:
            repository = self._repository(reference)
            image = self._catalog.image(
                repository, tag="" if reference.digest else reference.tag, digest=reference.digest
            )
            raw = self._catalog.manifest(image)
        except AwsError as error:
            raise PullError("not-found", error.message) from error
        await self._catalog.pulled(image, self._caller)
        return Descriptor(media_type=image.media_type, digest=image.digest, size=len(raw)), raw

    async def blob(self, reference: Reference, blob: Descriptor) -> AsyncIterator[bytes]:
        """A blob of the repository.  PullError."""
        path = self.path(reference, blob)
        if path is None:
            raise PullError("not-found", f"{reference.repository} has no layer {blob.digest}")
        with await asyncio.to_thread(_open, path) as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece

    def path(self, reference: Reference, blob: Descriptor) -> Path | None:
        """The file of a blob."""
        try:
            repository = self._repository(reference)
        except AwsError:
            return None
        if self._layers.get(repository, blob.digest) is None:
            return None
        path = self._layers.path(blob.digest)
        return path if path.exists() else None

    def _repository(self, reference: Reference) -> Repository:
        place = place_of(reference, self._caller, ())
        if place is None:
            raise no_repository(reference.repository, self._caller.account)
        return self._catalog.repository(place.account, place.region, place.repository)


def place_of(reference: Reference, caller: Caller, own: Collection[str]) -> _Place | None:
    """The repository of this cloud that a reference leads to; None for another registry's."""
    match = _ECR_HOST.fullmatch(reference.host)
    if match is not None:
        return _Place(match["account"], match["region"], reference.repository)
    if reference.host in own:
        return _Place(caller.account, caller.region, reference.repository)
    return None


def canonical_host(repository: Repository) -> str:
    """One name of a registry, whatever port this server listens on today."""
    return f"{repository.account}.dkr.ecr.{repository.region}.localhost"


def _has_tag_or_digest(uri: str) -> bool:
    """AWS wants one of them: `latest` is not meant by silence."""
    return "@" in uri or ":" in uri.rpartition("/")[2]


def _read_architecture(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _architecture_in(file.read(CONFIG_BYTES_MAX))
    except OSError:
        return ""


async def _fetch_architecture(source: Source, reference: Reference, manifest: bytes) -> str:
    """What the configuration of an image elsewhere says.  PullError."""
    try:
        config: dict[str, Any] = msgspec.json.decode(manifest, type=dict[str, Any])["config"]
        described = Descriptor(
            media_type=str(config.get("mediaType", "")),
            digest=str(config["digest"]),
            size=int(config["size"]),
        )
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PullError("corrupt", f"the manifest of {reference} names no configuration") from error
    raw = b""
    async for piece in source.blob(reference, described):
        raw += piece
        if len(raw) > CONFIG_BYTES_MAX:
            raise PullError("refused", f"the configuration of {reference} is too large")
    return _architecture_in(raw)


def _architecture_in(config: bytes) -> str:
    try:
        found = msgspec.json.decode(config, type=dict[str, Any]).get("architecture", "")
    except msgspec.MsgspecError:
        return ""
    return found if isinstance(found, str) else ""


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
