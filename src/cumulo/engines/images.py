"""Images as engines use them: found by reference, kept by id, each layer once.  Nothing here knows AWS.

reference ──Source (a registry, our own ECR)──▶ manifest, config, layers ──▶ Images (unpacked, or in Docker)
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec


class Reference(msgspec.Struct, frozen=True):
    """host[:port]/repository[:tag][@digest].  Docker's short forms are spelled out: `alpine` is
    docker.io/library/alpine:latest.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        text = f"{self.host}/{self.repository}"
        text += f":{self.tag}" if self.tag else ""
        return text + (f"@{self.digest}" if self.digest else "")


class Login(msgspec.Struct, frozen=True):
    """User and password (or token) for a registry."""

    user: str
    password: str


class Platform(msgspec.Struct, frozen=True):
    """What an image is for, in OCI's words: amd64, arm64; linux; v8."""

    architecture: str
    os: str = "linux"
    variant: str = ""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What an image says of how to run it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    cwd: str = ""
    user: str = ""
    stop_signal: str = ""
    labels: Mapping[str, str] = {}
    exposed: tuple[str, ...] = ()  # 80/tcp
    volumes: tuple[str, ...] = ()


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image that is ready to run.

    id          digest of its configuration: sha256:<64 hex>
    digest      of its manifest; of the one for this platform when the reference led to an index
    layers      digests of the uncompressed layers (diff ids), lowest first
    size_bytes  unpacked
    """

    id: str
    digest: str
    references: tuple[str, ...] = ()
    platform: Platform
    config: Config
    layers: tuple[str, ...] = ()
    size_bytes: int = 0
    created_at: float = 0.0


class Descriptor(msgspec.Struct, frozen=True, kw_only=True):
    """Points to content by digest."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None


class Source(Protocol):
    """One place that images of one host come from."""

    async def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """The manifest or index of a tag or digest, its digest checked.  PullError."""
        ...

    def blob(self, reference: Reference, blob: Descriptor) -> AsyncIterator[bytes]:
        """A blob of the repository, in pieces.  Its receiver checks digest and size.  PullError."""
        ...

    def path(self, reference: Reference, blob: Descriptor) -> Path | None:
        """The file of a blob that is on this machine, whole and already checked; None when it must be fetched."""
        ...


class PullError(Exception):
    """An image could not be had.  `kind`: not-found, unauthorized, unreachable, corrupt (digests, broken archives),
    refused (malicious layers, bombs, limits), platform (not for this machine), no-space.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Images(Protocol):
    """The images that an engine can run.  Layers are shared; an image in use is not removed under a container."""

    async def pull(
        self,
        reference: str,
        *,
        login: Login | None = None,
        platform: Platform | None = None,
        source: Source | None = None,
        only_missing: bool = False,
    ) -> Image:
        """Have the image ready to run; PullError.  Many may pull the same at once: the work is done once.

        platform       None: this machine's
        source         None: the registry that the reference names
        only_missing   do not ask the registry when the reference is known already
        """
        ...

    async def load(self, archive: Path, *, platform: Platform | None = None) -> list[Image]:
        """Take the images of a `docker save` or OCI archive (or layout folder).  PullError."""
        ...

    async def get(self, name: str) -> Image | None:
        """By id, or by reference."""
        ...

    async def list(self) -> "list[Image]":
        """All of them."""
        ...

    async def remove(self, name: str) -> None:
        """Forget a reference, or an id with all its references; layers go when nothing needs them.

        EngineError Busy when a container uses the id.  Harmless when there is none.
        """
        ...
