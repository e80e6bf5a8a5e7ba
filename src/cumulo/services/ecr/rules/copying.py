"""Copies an image from one repository of this cloud into another: records only, the blobs are shared files."""

from collections.abc import Sequence

from cumulo.base.errors import AwsError
from cumulo.services.ecr.core import Catalog, Layers
from cumulo.services.ecr.model import Image, Repository
from cumulo.services.ecr.rules.arrivals import Arrivals

_DEPTH_MAX = 8  # indexes in indexes


class Copier:
    """Copies images."""

    def __init__(self, catalog: Catalog, layers: Layers, arrivals: Arrivals) -> None:
        self._catalog = catalog
        self._layers = layers
        self._arrivals = arrivals

    async def copy(
        self, source: Repository, image: Image, target: Repository, tags: Sequence[str], *, depth: int = 0
    ) -> None:
        """Bring an image with all that it needs, and these tags (the empty one stands for none).

        What is there already is left.  AwsError when something is missing, or the target refuses it.
        """
        if depth > _DEPTH_MAX:
            raise AwsError("InvalidParameterException", "The index contains too many levels of indexes")
        for digest in image.children:
            child = self._catalog.image(source, digest=digest)
            await self.copy(source, child, target, ("",), depth=depth + 1)
        for digest in {image.config: None} | dict.fromkeys(image.layers):
            if not digest or self._layers.get(target, digest) is not None:
                continue
            if await self._layers.mount(source, target, digest) is None:
                raise AwsError("LayersNotFoundException", f"The layer with digest '{digest}' does not exist")
        manifest = self._catalog.manifest(image)
        for tag in tags:
            try:
                with self._arrivals:
                    await self._catalog.put_image(
                        target, manifest, media_type=image.media_type, tag=tag, digest=image.digest
                    )
            except AwsError as error:
                if error.code != "ImageAlreadyExistsException":
                    raise
