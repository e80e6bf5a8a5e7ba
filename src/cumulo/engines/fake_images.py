"""Images of the fake engine: what they say of themselves is kept, what is in them is not."""

import asyncio
import tarfile
from pathlib import Path

import msgspec

from cumulo.engines import manifests
from cumulo.engines.engine import Busy
from cumulo.engines.images import Config, Descriptor, Image, Login, Platform, PullError, Source


class FakeImages:
    """Knows what `load` and a Source gave, and what it was built with."""

    def __init__(self, shared: dict[str, Image], used: "set[str]") -> None:
        self._images = shared
        self._used = used  # ids that a container was made from

    def add(self, reference: str, config: Config | None = None) -> Image:
        """Make an image up, for a test that has none."""
        said = f"{reference}:{config}".encode()
        digest = f"sha256:{manifests.sha256(said)}"
        image = Image(id=digest, digest=digest, platform=manifests.this_machine(), config=config or Config())
        return self._keep(image, str(manifests.parse_reference(reference)))

    def _keep(self, image: Image, reference: str) -> Image:
        for other in list(self._images.values()):
            if reference in other.references and other.id != image.id:
                self._forget(other, reference)
        known = self._images.get(image.id, image)
        names = {*known.references, *((reference,) if reference else ())}
        kept = msgspec.structs.replace(known, references=tuple(sorted(names)))
        self._images[kept.id] = kept
        return kept

    def _forget(self, image: Image, reference: str) -> None:
        left = tuple(r for r in image.references if r != reference)
        self._images[image.id] = msgspec.structs.replace(image, references=left)

    async def pull(
        self,
        reference: str,
        *,
        login: Login | None = None,  # noqa: ARG002 - a Source has its own; without one nothing is fetched
        platform: Platform | None = None,
        source: Source | None = None,
        only_missing: bool = False,
    ) -> Image:
        """Read manifest and configuration from the source; without one only what is known is found."""
        parsed = manifests.parse_reference(reference)
        known = await self.get(reference)
        if known is not None and (only_missing or source is None):
            return known
        if source is None:
            raise PullError("not-found", f"the fake engine knows no image {reference} and fetches none")
        pointer, raw = await source.manifest(parsed)
        wanted = platform or manifests.this_machine()
        if pointer.media_type in manifests.INDEX_TYPES:
            chosen = manifests.choose(manifests.document(raw, "index"), wanted)
            by_digest = manifests.parse_reference(f"{parsed.host}/{parsed.repository}@{chosen.digest}")
            pointer, raw = await source.manifest(by_digest)
        said = manifests.document(raw, "manifest")
        config = manifests.descriptor(said.get("config"))
        pieces = [piece async for piece in source.blob(parsed, config)]
        image = _image(pointer, b"".join(pieces), config, wanted)
        return self._keep(image, str(parsed))

    async def load(self, archive: Path, *, platform: Platform | None = None) -> list[Image]:
        """The images that an archive tells of."""
        found = await asyncio.to_thread(_read, archive, platform or manifests.this_machine())
        return [self._keep(image, reference) for image, reference in found]

    async def get(self, name: str) -> Image | None:
        """By id, or by reference."""
        if name in self._images:
            return self._images[name]
        try:
            full = str(manifests.parse_reference(name))
        except PullError:
            return None
        return next((i for i in self._images.values() if full in i.references), None)

    async def list(self) -> "list[Image]":
        """All of them."""
        return list(self._images.values())

    async def remove(self, name: str) -> None:
        """Forget."""
        image = await self.get(name)
        if image is None:
            return
        if name != image.id and len(image.references) > 1:
            self._forget(image, str(manifests.parse_reference(name)))
        elif image.id in self._used and name == image.id:
            raise Busy(f"a container uses the image {image.id}")
        elif image.id in self._used:
            self._forget(image, str(manifests.parse_reference(name)))
        else:
            del self._images[image.id]


def _image(pointer: Descriptor, raw: bytes, config: Descriptor, wanted: Platform) -> Image:
    if manifests.sha256(raw) != config.digest.removeprefix("sha256:"):
        raise PullError("corrupt", f"the configuration is not {config.digest}")
    said = manifests.configured(raw)
    if not manifests.fits(said.platform, wanted):
        raise PullError("platform", f"the image is for {said.platform.architecture}")
    return Image(
        id=config.digest,
        digest=pointer.digest,
        platform=said.platform,
        config=said.config,
        layers=said.layers,
        created_at=said.created_at,
    )


def _read(archive: Path, wanted: Platform) -> list[tuple[Image, str]]:
    """Images of a `docker save` archive with their references; PullError."""
    try:
        with tarfile.open(archive) as tar:
            table = manifests.listing(_member(tar, "manifest.json"))
            return [
                (_of_table(tar, str(row["Config"]), wanted), str(manifests.parse_reference(reference)))
                for row in table
                for reference in row.get("RepoTags") or ()
            ]
    except (tarfile.TarError, KeyError, OSError) as error:
        raise PullError("corrupt", f"{archive.name} is not an archive of images: {error}") from None


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found.read()


def _of_table(tar: tarfile.TarFile, path: str, wanted: Platform) -> Image:
    raw = _member(tar, path)
    pointer = Descriptor(media_type="", digest=f"sha256:{manifests.sha256(raw)}", size=len(raw))
    return _image(pointer, raw, pointer, wanted)
