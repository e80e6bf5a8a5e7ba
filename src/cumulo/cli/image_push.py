"""Pushing the images of an archive to the cloud's registry, over the OCI distribution protocol.

archive ──Source──▶ blobs that are missing ─▶ configuration, layers ─▶ manifest (under its tag)
"""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from cumulo.engines.images import Descriptor, Reference, Source
from cumulo.engines.oci.references import parse

if TYPE_CHECKING:
    import aiohttp

    from cumulo.engines.oci.archives import Packed

ARCHIVE_BYTES_MAX = 1 << 40
DEPTH_MAX = 3  # indexes in indexes
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class NothingToPush(Exception):
    """The archive has no image, or none with a name."""


class PushRefused(Exception):
    """The registry did not take it."""


def push(
    endpoint: str, token: str, archive: Path, name: str | None, need: Callable[[str], None]
) -> list[tuple[str, str]]:
    """Push an archive's images; repository:tag and digest of each.  `need` is told each repository beforehand."""
    return asyncio.run(_push(endpoint, token, archive, name, need))


async def _push(
    endpoint: str, token: str, archive: Path, name: str | None, need: Callable[[str], None]
) -> list[tuple[str, str]]:
    import aiohttp

    from cumulo.engines.oci.archives import opened

    pushed: list[tuple[str, str]] = []
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
    headers = {"Authorization": f"Basic {token}"}
    with tempfile.TemporaryDirectory(prefix="cumulo-archive-") as aside:
        async with (
            opened(archive, aside=Path(aside), bytes_max=ARCHIVE_BYTES_MAX) as source,
            aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session,
        ):
            for reference, repository, tag in names(source.images, name):
                await asyncio.to_thread(need, repository)
                pusher = Pusher(session, f"{endpoint}/v2/{repository}", source, reference)
                pushed.append((f"{repository}:{tag}", await pusher.push(reference, tag)))
    return pushed


def names(found: Sequence["Packed"], name: str | None) -> list[tuple[Reference, str, str]]:
    """Each image's reference in the archive, and the repository and tag that it gets.  NothingToPush."""
    if not found:
        raise NothingToPush("there is no image in the archive")
    if name is None:
        named = [(one.reference, *_name_of(text)) for one in found for text in one.references]
        if not named:
            raise NothingToPush("the image in the archive has no name: say one (repository:tag)")
        return named
    if len({one.reference for one in found}) > 1:
        raise NothingToPush(f"there are {len(found)} images in the archive: leave the name out")
    repository, _, tag = name.partition(":")
    if not TAG.fullmatch(tag or "latest"):
        raise NothingToPush(f"{tag!r} is no tag")
    return [(found[0].reference, repository, tag or "latest")]


def _name_of(text: str) -> tuple[str, str]:
    """The repository and tag that stand for a reference of another place: docker.io/library/alpine:3 is alpine:3."""
    parsed = parse(text)
    return parsed.repository.removeprefix("library/"), parsed.tag or "latest"


class Pusher:
    """Pushes one image to one repository."""

    def __init__(
        self, session: "aiohttp.ClientSession", url: str, source: Source, reference: Reference
    ) -> None:
        self._session = session
        self._url = url
        self._source = source
        self._reference = reference

    async def push(self, reference: Reference, tag: str, depth: int = 0) -> str:
        """Push the manifest of a reference with everything it needs, and name it; its digest."""
        if depth > DEPTH_MAX:
            raise PushRefused("indexes are nested too deeply")
        descriptor, raw = await self._source.manifest(reference)
        manifest = json.loads(raw)
        for child in manifest.get("manifests", ()):
            inner = Reference(reference.host, reference.repository, "", child["digest"])
            await self.push(inner, child["digest"], depth + 1)
        blobs = [manifest["config"], *manifest.get("layers", ())] if "config" in manifest else []
        for blob in blobs:
            await self._blob(_descriptor(blob))
        url = f"{self._url}/manifests/{tag}"
        kind = manifest.get("mediaType") or descriptor.media_type or _kind_of(manifest)
        async with self._session.put(url, data=raw, headers={"Content-Type": kind}) as answer:
            await _taken(answer, 201)
        return descriptor.digest

    async def _blob(self, blob: Descriptor) -> None:
        async with self._session.head(f"{self._url}/blobs/{blob.digest}") as answer:
            if answer.status == 200:
                return
        async with self._session.post(f"{self._url}/blobs/uploads/") as answer:
            await _taken(answer, 202)
            location = urljoin(str(answer.url), answer.headers["Location"])
        location += ("&" if "?" in location else "?") + f"digest={blob.digest}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        async with self._session.put(location, data=self._pieces(blob), headers=headers) as answer:
            await _taken(answer, 201)

    async def _pieces(self, blob: Descriptor) -> AsyncIterator[bytes]:
        async for piece in self._source.blob(self._reference, blob):
            yield piece


def _kind_of(manifest: Mapping[str, Any]) -> str:
    """The media type of a manifest that does not say it: only OCI's may be silent."""
    kind = "index" if "manifests" in manifest else "manifest"
    return f"application/vnd.oci.image.{kind}.v1+json"


def _descriptor(raw: Any) -> Descriptor:
    return Descriptor(media_type=raw.get("mediaType", ""), digest=raw["digest"], size=raw["size"])


async def _taken(answer: "aiohttp.ClientResponse", status: int) -> None:
    if answer.status == status:
        return
    text = await answer.text()
    try:
        error = json.loads(text)["errors"][0]
        text = f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, IndexError, TypeError):
        text = text[:300] or str(answer.reason)
    raise PushRefused(f"the registry answered {answer.status}: {text}")
