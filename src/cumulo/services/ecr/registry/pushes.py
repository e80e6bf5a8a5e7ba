"""Pushing manifests, and deleting: manifests, tags, blobs."""

import hashlib
from collections.abc import Callable

from cumulo.base.errors import AwsError
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.model import MANIFEST_BYTES_MAX, Image, Layer, Repository
from cumulo.services.ecr.mutability import TAG_RULE
from cumulo.services.ecr.refusals import constraint
from cumulo.services.ecr.registry.access import Visit
from cumulo.services.ecr.registry.answers import RegistryError, answer, bad_digest, no_blob, no_manifest
from cumulo.services.ecr.registry.desk import Desk
from cumulo.services.ecr.registry.routes import is_tag
from cumulo.state.content import is_digest
from cumulo.wire.http import BodyCutShort, Request, Response

Needs = Callable[[Layer], bool]
"""Whether an image of a layer's repository needs it."""


class Pushes:
    """PUT of manifests; DELETE."""

    def __init__(self, desk: Desk, layers: Layers, needs: Needs) -> None:
        self._desk = desk
        self._layers = layers
        self._needs = needs

    async def manifest(self, visit: Visit, request: Request, name: str, reference: str) -> Response:
        """PUT /v2/<name>/manifests/<reference>."""
        repository = await self._desk.to_push(visit, name, "ecr:PutImage")
        by_digest = ":" in reference
        if by_digest and not is_digest(reference):
            raise bad_digest(reference)
        if not by_digest and not is_tag(reference):
            raise constraint("imageTag", TAG_RULE)
        try:
            data = await request.body.read(MANIFEST_BYTES_MAX)
        except BodyCutShort:
            raise RegistryError(400, "SIZE_INVALID", "the body ended before its announced end") from None
        media_type = request.headers.get("content-type").partition(";")[0].strip()
        image = await self._put(
            repository,
            data,
            media_type,
            tag="" if by_digest else reference,
            digest=reference if by_digest else "",
        )
        headers = [
            ("Location", f"/v2/{name}/manifests/{image.digest}"),
            ("Docker-Content-Digest", image.digest),
        ]
        if image.subject:
            headers.append(("OCI-Subject", image.subject))
        return answer(201, headers)

    async def _put(
        self, repository: Repository, data: bytes, media_type: str, *, tag: str, digest: str
    ) -> Image:
        catalog = self._desk.catalog
        try:
            return await catalog.put_image(repository, data, media_type=media_type, tag=tag, digest=digest)
        except AwsError as error:
            if error.code != "ImageAlreadyExistsException":
                raise
        return catalog.image(repository, digest=f"sha256:{hashlib.sha256(data).hexdigest()}")

    async def delete_manifest(self, visit: Visit, name: str, reference: str) -> Response:
        """DELETE /v2/<name>/manifests/<reference>: an image with all its tags, or one tag."""
        repository = self._desk.known(visit, name, "ecr:BatchDeleteImage")
        if ":" in reference and not is_digest(reference):
            raise bad_digest(reference)
        image = self._desk.image(repository, reference)
        if image is None:
            raise no_manifest({"Name": name, "Reference": reference[:300]})
        await self._desk.catalog.delete([image], tags=() if ":" in reference else (reference,))
        return answer(202)

    async def delete_blob(self, visit: Visit, name: str, digest: str) -> Response:
        """DELETE /v2/<name>/blobs/<digest>: one that no image needs."""
        repository = self._desk.known(visit, name, "ecr:BatchDeleteImage")
        if not is_digest(digest):
            raise bad_digest(digest)
        layer = self._layers.get(repository, digest)
        if layer is None:
            raise no_blob(digest)
        if self._needs(layer):
            raise RegistryError(
                405, "UNSUPPORTED", "an image needs this blob; it goes when the image is deleted"
            )
        await self._layers.remove(repository, digest)
        return answer(202)
