"""Finds images by what callers call them: `ImageRegistry` of base/ports.py, for Lambda and whoever runs containers.

    <account>.dkr.ecr.<region>.amazonaws.com/app:1   this cloud's registry of that account and region
    <account>.dkr.ecr.<region>.localhost:4566/app:1  the same
    localhost:4566/app@sha256:...                    this cloud's, of the caller's account and region
    docker.io/library/alpine:3                       any other registry, asked for the digest
"""

import asyncio
import re
from collections.abc import Callable

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports import ResolvedImage
from cumulo.engines.images import Login, PullError, Reference, Source
from cumulo.engines.oci.references import parse
from cumulo.services.ecr.core import Catalog, Layers
from cumulo.services.ecr.model import Image, Repository
from cumulo.services.ecr.source import RepositorySource

OpenSource = Callable[[str, Login | None], Source]
ASK_SECONDS_MAX = 30.0
CONFIG_BYTES_MAX = 4 * 1024 * 1024
_OURS = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|localhost)(?::\d+)?"
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class _Said(msgspec.Struct):
    """What of a configuration counts here."""

    architecture: str = ""


class ImageResolver:
    """Resolves references.

    port         the cloud's own: localhost:<port>/... is its registry
    open_source  a client for another registry
    """

    def __init__(self, catalog: Catalog, layers: Layers, *, port: int, open_source: OpenSource) -> None:
        self._catalog = catalog
        self._layers = layers
        self._port = port
        self._open_source = open_source

    async def resolve(self, caller: Caller, uri: str) -> ResolvedImage[Source]:
        """The image that a reference means now; see `ImageRegistry.resolve`."""
        try:
            reference = parse(uri)
        except PullError as error:
            raise AwsError("InvalidParameterException", str(error)) from error
        place = self.place_of(caller, reference)
        if place is None:
            return await self._of_others(reference)
        repository = self._catalog.repository(*place, reference.repository)
        image = self._catalog.image(repository, tag=reference.tag, digest=reference.digest)
        return await self._of_ours(reference, repository, image)

    def place_of(self, caller: Caller, reference: Reference) -> tuple[str, str] | None:
        """The account and region of the registry of ours that a reference names; None when it is another's."""
        match = _OURS.fullmatch(reference.host)
        if match is not None:
            return match["account"], match["region"]
        host, _, port = reference.host.rpartition(":")
        if host in _LOOPBACK and port == str(self._port):
            return caller.account, caller.region
        return None

    async def _of_ours(
        self, reference: Reference, repository: Repository, image: Image
    ) -> ResolvedImage[Source]:
        host = f"{repository.account}.dkr.ecr.{repository.region}.amazonaws.com"
        return ResolvedImage(
            uri=f"{reference.host}/{repository.name}@{image.digest}",
            reference=f"{host}/{repository.name}@{image.digest}",
            digest=image.digest,
            media_type=image.media_type,
            architecture=await asyncio.to_thread(self._architecture, image) if image.config else "",
            ours=True,
            source=RepositorySource(self._catalog, self._layers, repository),
        )

    async def _of_others(self, reference: Reference) -> ResolvedImage[Source]:
        source = self._open_source(reference.host, None)
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                found, _ = await source.manifest(reference)
        except TimeoutError as error:
            raise AwsError("ServerException", f"{reference.host} does not answer", status=500) from error
        except PullError as error:
            raise _told(error) from error
        pinned = Reference(reference.host, reference.repository, digest=found.digest)
        return ResolvedImage(
            uri=str(pinned),
            reference=str(pinned),
            digest=found.digest,
            media_type=found.media_type,
            source=source,
        )

    def _architecture(self, image: Image) -> str:
        try:
            with self._layers.path(image.config).open("rb") as file:
                return msgspec.json.decode(file.read(CONFIG_BYTES_MAX), type=_Said).architecture
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return ""  # an artifact, or no configuration of an image: pulling it will say what is wrong


def _told(error: PullError) -> AwsError:
    match error.kind:
        case "not-found":
            return AwsError("ImageNotFoundException", str(error))
        case "unauthorized":
            return AwsError("AccessDeniedException", str(error), status=403)
        case _:
            return AwsError("ServerException", str(error), status=500)
