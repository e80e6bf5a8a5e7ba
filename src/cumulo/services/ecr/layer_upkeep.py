"""Tidies up behind pushes: uploads that nobody ends, layers that no image needs, files that no record names.

A layer may be pushed long before the manifest that needs it, and a client that was told that a layer is here will not
push it again; so a layer goes only when nobody has pushed it, or asked for it, for a day.
"""

import asyncio
from collections.abc import Callable

from cumulo.base.log import Log
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.layers import StoredLayers
from cumulo.services.ecr.model import Layer
from cumulo.state.store import StoreBroken, StoreError

UPLOAD_SECONDS_MAX = 24 * 3600.0
LAYER_SECONDS_MIN = 24 * 3600.0
FILE_SECONDS_MIN = 3600.0  # between keeping a file and committing its record; a commit takes milliseconds
ROUND_SECONDS = 600.0
FIRST_ROUND_SECONDS = 60.0
SLICE = 500  # records looked at in one turn of the event loop


class LayerUpkeep:
    """One round after the other.  `needs` says whether an image of the layer's repository needs it."""

    def __init__(self, layers: StoredLayers, needs: Callable[[Layer], bool]) -> None:
        self._layers = layers
        self._needs = needs
        self._log = Log("ecr")
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Tidy for ever.  Every round begins at the beginning, so a restart loses nothing."""
        await asyncio.sleep(FIRST_ROUND_SECONDS)
        while True:
            try:
                await self.tidy()
            except StoreBroken:
                raise
            except (OSError, StoreError) as error:
                self._log.error("upkeep_failed", error=str(error))
            await asyncio.sleep(ROUND_SECONDS)

    async def tidy(self, *, file_seconds_min: float = FILE_SECONDS_MIN) -> int:
        """One round; gives how many files went."""
        async with self._lock:
            await self._layers.store.ready()
            await self._end_uploads()
            await self._drop_layers()
            layers = self._layers
            return await layers.content.collect(
                layers.shown, layers.arriving, layers.clock.now() - file_seconds_min
            )

    async def _end_uploads(self) -> None:
        layers = self._layers
        before = layers.clock.now() - UPLOAD_SECONDS_MAX
        for row in layers.uploads.scan():
            if layers.idle_since(row) < before and not layers.writing(row):
                layers.drop_upload(row)
                await layers.store.commit()
                await layers.content.discard(row.id)

    async def _drop_layers(self) -> None:
        layers = self._layers
        before = layers.clock.now() - LAYER_SECONDS_MIN
        digests = layers.digests()
        for start in range(0, len(digests), SLICE):
            for key in (key for digest in digests[start : start + SLICE] for key in layers.places(digest)):
                layer = layers.layers.get(key)
                if layer is not None and not self._is_young(key, layer, before) and not self._needs(layer):
                    layers.drop_layer(key)
            await layers.store.commit()
            await asyncio.sleep(0)

    def _is_young(self, key: str, layer: Layer, before: float) -> bool:
        return layer.added_at >= before or self._layers.seen.get(key, 0.0) >= before


def needed_by(catalog: StoredCatalog) -> Callable[[Layer], bool]:
    """Whether an image of a layer's repository needs it, by the catalog."""

    def needs(layer: Layer) -> bool:
        repository = catalog.find(layer.account, layer.region, layer.repository)
        return repository is not None and catalog.shelf(repository).needs(layer.digest)

    return needs
