"""Images of the fake engine: what they say of themselves is kept, what is in them is not."""

import tempfile
from pathlib import Path

import msgspec

from cumulo.engines.engine import Busy
from cumulo.engines.images import Config, Image, Login, Platform, PullError, Reference, Source
from cumulo.engines.oci import archives, manifests, pulling, references

_ARCHIVE_BYTES_MAX = 10 << 30  # uncompressed


class FakeImages:
    """Knows what `load` and a Source gave, and what it was built with."""

    def __init__(self, shared: dict[str, Image], used: "set[str]") -> None:
        self._images = shared
        self._used = used  # ids that a container was made from

    def add(self, reference: str, config: Config | None = None) -> Image:
        """Make an image up, for a test that has none."""
        said = f"{reference}:{config}".encode()
        digest = manifests.digest_of(said)
        image = Image(id=digest, digest=digest, platform=manifests.host_platform(), config=config or Config())
        return self._keep(image, str(references.parse(reference)))

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
        parsed = references.parse(reference)
        known = await self.get(reference)
        if known is not None and (only_missing or source is None):
            return known
        if source is None:
            raise PullError("not-found", f"the fake engine knows no image {reference} and fetches none")
        image = await _read(source, parsed, platform or manifests.host_platform())
        return self._keep(image, str(parsed))

    async def load(self, archive: Path, *, platform: Platform | None = None) -> list[Image]:
        """The images that an archive tells of."""
        wanted = platform or manifests.host_platform()
        aside = Path(tempfile.gettempdir())
        async with archives.opened(archive, aside=aside, bytes_max=_ARCHIVE_BYTES_MAX) as found:
            images = []
            for entry in found.fitting(wanted):
                image = await _read(found, entry.reference, wanted)
                for name in entry.references or ("",):
                    image = self._keep(image, name)
                images.append(image)
        return images

    async def get(self, name: str) -> Image | None:
        """By id, or by reference."""
        if name in self._images:
            return self._images[name]
        try:
            full = str(references.parse(name))
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
            self._forget(image, str(references.parse(name)))
        elif image.id in self._used and name == image.id:
            raise Busy(f"a container uses the image {image.id}")
        elif image.id in self._used:
            self._forget(image, str(references.parse(name)))
        else:
            del self._images[image.id]


async def _read(source: Source, reference: Reference, wanted: Platform) -> Image:
    """What an image says of itself, its layers left where they are.  PullError."""
    found = await pulling.find(source, reference, wanted)
    config, _ = await pulling.configuration(source, found, wanted)
    return pulling.image_of(found, config)
