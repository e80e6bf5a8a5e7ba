"""The images of the local engine, on disk.  Implements `engines/images.py:Images`.

    images/<hex of id>.json        what is known of an image, with its manifest and configuration, byte for byte
    references/<sha256>.json       a reference, and the id that it leads to
    layers/, incoming/             see layers.py

An image is there once its record is; its layers are there before.  A reference moves by one rename.
"""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from cumulo.base.clock import Clock
from cumulo.engines.engine import Busy
from cumulo.engines.images import Image, Login, Platform, PullError, Reference, Source
from cumulo.engines.oci import archives, manifests, pulling, records, references
from cumulo.engines.oci.flights import Flights
from cumulo.engines.oci.layers import Layers
from cumulo.engines.oci.refusals import Bounds
from cumulo.engines.oci.registry import Registry
from cumulo.state.blobs import sync_folder


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much an image may be; generous, for they are there against malice.

    image_bytes_max  of files, over all layers
    entries_max      files, folders and links of a layer
    ratio_max        uncompressed : compressed, of layers beyond `ratio_from` bytes
    free_min         bytes that stay free on the disk
    """

    image_bytes_max: int = 64 << 30
    entries_max: int = 2_000_000
    ratio_max: int = 2000
    ratio_from: int = 4 << 30
    free_min: int = 256 << 20


class _ImageRecord(msgspec.Struct, frozen=True):
    image: Image  # its `references` are in files of their own
    manifest: bytes
    config: bytes


class _ReferenceRecord(msgspec.Struct, frozen=True):
    reference: str
    image: str


_Record = TypeVar("_Record", bound=msgspec.Struct)


class ImageStore:
    """The images that are here.  `start` comes first, `close` last.

    in_use   whether a container was made from the image of an id
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Clock,
        in_use: Callable[[str], bool],
        limits: Limits | None = None,
        registry: Callable[[Login | None], Registry] | None = None,
    ) -> None:
        limits = limits or Limits()
        self._images_folder = root / "images"
        self._references_folder = root / "references"
        self._in_use = in_use
        self._limits = limits
        self._registry = registry or (lambda login: Registry(login, clock=clock))
        self._layers = Layers(
            root,
            Bounds(
                limits.image_bytes_max,
                limits.entries_max,
                limits.ratio_max,
                limits.ratio_from,
                limits.free_min,
            ),
        )
        self._images: dict[str, _ImageRecord] = {}
        self._references: dict[str, str] = {}  # text -> id
        self._pulls: Flights[Image] = Flights()
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Read what is here, and sweep what an earlier process left half done."""
        await asyncio.to_thread(self._load)
        self._layers.collect(self._needed())

    def _load(self) -> None:
        for folder in (self._images_folder, self._references_folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._layers.load()
        for path in self._images_folder.iterdir():
            record = _read(path, _ImageRecord)
            if record is None or not all(map(self._layers.has, record.image.layers)):
                path.unlink()  # its layers did not reach the disk before the machine went down
            else:
                self._images[record.image.id] = record
        for path in self._references_folder.iterdir():
            found = _read(path, _ReferenceRecord)
            if found is None or found.image not in self._images:
                path.unlink()
            else:
                self._references[found.reference] = found.image

    def folder(self, diff_id: str) -> Path:
        """The files of a layer, ready to be a lowerdir of overlayfs; KeyError when it is not here."""
        return self._layers.folder(diff_id)

    async def pull(
        self,
        reference: str,
        *,
        login: Login | None = None,
        platform: Platform | None = None,
        source: Source | None = None,
        only_missing: bool = False,
    ) -> Image:
        """See Images.pull."""
        parsed = references.parse(reference)
        wanted = platform or manifests.host_platform()
        known = await self.get(str(parsed))
        if only_missing and known is not None and manifests.fits(known.platform, wanted):
            return known
        key = (str(parsed), login, wanted, None if source is None else id(source))
        return await self._pulls.join(key, lambda: self._pull(parsed, login, wanted, source))

    async def _pull(
        self, reference: Reference, login: Login | None, wanted: Platform, source: Source | None
    ) -> Image:
        if source is not None:
            return await self._take(source, reference, wanted, (str(reference),))
        async with self._registry(login) as registry:
            return await self._take(registry, reference, wanted, (str(reference),))

    async def load(self, archive: Path, *, platform: Platform | None = None) -> list[Image]:
        """See Images.load.  An image without a name in the archive has none here: it is known by its id."""
        wanted = platform or manifests.host_platform()
        async with archives.opened(
            archive, aside=self._layers.incoming, bytes_max=self._limits.image_bytes_max
        ) as found:
            fitting = found.fitting(wanted)
            return [await self._take(found, entry.reference, wanted, entry.references) for entry in fitting]

    async def _take(
        self, source: Source, reference: Reference, wanted: Platform, names: tuple[str, ...]
    ) -> Image:
        """Have what the reference leads to at a source, under some names."""
        found = await pulling.find(source, reference, wanted)
        record = self._same(found.descriptor.digest, wanted)
        if record is None:
            config, raw = await pulling.configuration(source, found, wanted)
            try:
                with self._layers.pinned(config.diff_ids):
                    await pulling.fetch_layers(
                        source, found, config.diff_ids, self._layers, self._limits.image_bytes_max
                    )
                    size = sum(self._layers.size(diff_id) for diff_id in set(config.diff_ids))
                    record = _ImageRecord(pulling.image_of(found, config, size), found.raw, raw)
                    await self._commit(record, names)
            except BaseException:
                self._layers.collect(self._needed())  # what only this image would have needed
                raise
        else:
            with self._layers.pinned(record.image.layers):  # whoever removes it now leaves us the layers
                await self._commit(record, names)
        self._layers.settle()
        image = await self.get(record.image.id)
        if image is None:  # somebody removed it the moment it was here
            raise PullError("not-found", f"{reference} was removed while it was pulled")
        return image

    def _same(self, digest: str, wanted: Platform) -> _ImageRecord | None:
        for record in self._images.values():
            if record.image.digest == digest and manifests.fits(record.image.platform, wanted):
                return record
        return None

    async def _commit(self, record: _ImageRecord, names: tuple[str, ...]) -> None:
        async with self._writing:
            image_id = record.image.id
            if self._images.get(image_id) != record:
                await self._write(self._images_folder, image_id.removeprefix("sha256:"), record)
                self._images[image_id] = record
            for name in names:
                if self._references.get(name) != image_id:
                    await self._write(self._references_folder, _hex(name), _ReferenceRecord(name, image_id))
                    self._references[name] = image_id

    async def _write(self, folder: Path, name: str, record: msgspec.Struct) -> None:
        data = msgspec.json.encode(record)
        try:
            await asyncio.to_thread(records.write, self._layers.incoming, folder / f"{name}.json", data)
        except OSError as error:
            raise PullError(
                "no-space", f"the record of an image cannot be written: {error.strerror}"
            ) from error

    async def tag(self, name: str, reference: str) -> Image:
        """Give an image (by id or reference) a further reference.  PullError not-found."""
        text = str(references.parse(reference))
        image = await self.get(name)
        if image is None:
            raise PullError("not-found", f"there is no image {name}")
        await self._commit(self._images[image.id], (text,))
        found = await self.get(image.id)
        assert found is not None, "it was written just now"
        return found

    async def get(self, name: str) -> Image | None:
        """See Images.get."""
        record = self._images.get(self._id_of(name) or "")
        return self._shown(record) if record else None

    def _id_of(self, name: str) -> str | None:
        if references.is_digest(name):
            return name
        if name in self._references:
            return self._references[name]
        try:
            return self._references.get(str(references.parse(name)))
        except references.BadReference:
            return None

    def _shown(self, record: _ImageRecord) -> Image:
        names = tuple(
            sorted(name for name, image_id in self._references.items() if image_id == record.image.id)
        )
        return msgspec.structs.replace(record.image, references=names)

    async def list(self) -> "list[Image]":
        """See Images.list."""
        return [self._shown(record) for record in self._images.values()]

    async def remove(self, name: str) -> None:
        """See Images.remove.  A reference beside others only loses its name."""
        async with self._writing:
            image_id = self._id_of(name)
            record = self._images.get(image_id or "")
            if record is None:
                return
            names = self._shown(record).references
            if not references.is_digest(name):
                named = name if name in self._references else str(references.parse(name))
                if len(names) > 1:
                    await self._forget_references((named,))
                    return
            await self._remove(record, names)

    async def prune(self) -> tuple[Image, ...]:
        """Remove the images that have lost all references and that no container uses; returns them."""
        async with self._writing:
            named = set(self._references.values())
            lost = [
                record
                for image_id, record in self._images.items()
                if image_id not in named and not self._in_use(image_id)
            ]
            for record in lost:
                await self._remove(record, ())
            return tuple(record.image for record in lost)

    async def _remove(self, record: _ImageRecord, names: tuple[str, ...]) -> None:
        image_id = record.image.id
        if self._in_use(image_id):
            raise Busy(f"a container uses the image {names[0] if names else image_id}")
        await self._forget_references(names)
        await asyncio.to_thread(
            self._unlink, self._images_folder / f"{image_id.removeprefix('sha256:')}.json"
        )
        del self._images[image_id]
        self._layers.collect(self._needed())

    async def _forget_references(self, names: tuple[str, ...]) -> None:
        for name in names:
            await asyncio.to_thread(self._unlink, self._references_folder / f"{_hex(name)}.json")
            del self._references[name]

    @staticmethod
    def _unlink(path: Path) -> None:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

    def _needed(self) -> set[str]:
        return {diff_id for record in self._images.values() for diff_id in record.image.layers}

    async def close(self) -> None:
        """End what is under way, and wait for the disk."""
        await self._pulls.close()
        await self._layers.close()


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path, kind: type[_Record]) -> _Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
