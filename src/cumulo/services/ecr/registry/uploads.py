"""Pushing blobs: begin, chunks, status, end, cancel; in one piece; mounting from another repository."""

from collections.abc import AsyncIterator, Callable
from itertools import islice

from cumulo.base.errors import AwsError
from cumulo.services.ecr.core import Layers, Upload
from cumulo.services.ecr.model import Layer, Repository
from cumulo.services.ecr.registry.access import Visit
from cumulo.services.ecr.registry.answers import RegistryError, answer, as_registry_error, bad_digest
from cumulo.services.ecr.registry.desk import Desk
from cumulo.services.ecr.registry.ranges import Part, chunk_of, received
from cumulo.services.ecr.registry.routes import Query, is_name
from cumulo.state.content import is_digest
from cumulo.wire.http import BodyCutShort, Request, Response

SOURCES_MAX = 100  # looked at when a client does not say where a blob is
_BEGIN, _PART, _END = "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"
_LOOK = "ecr:BatchCheckLayerAvailability"

Sources = Callable[[str, str, str], list[Layer]]
"""(account, region, digest): where in a registry a blob is shown."""

Mounts = Callable[[str, str], bool]
"""(account, region): whether a registry takes layers of other repositories of its own."""


class Uploads:
    """Everything under /v2/<name>/blobs/uploads/."""

    def __init__(self, desk: Desk, layers: Layers, sources: Sources, mounts: Mounts | None = None) -> None:
        self._desk = desk
        self._layers = layers
        self._sources = sources
        self._mounts = mounts

    async def begin(self, visit: Visit, request: Request, name: str, query: Query) -> Response:
        """POST: begin an upload, or have it all in this request (digest), or take it from elsewhere (mount)."""
        repository = await self._desk.to_push(visit, name, _BEGIN)
        mount, digests = query.get("mount"), query.get_all("digest")
        if mount is not None:
            if not is_digest(mount):
                raise bad_digest(mount)
            layer = await self._mounted(visit, repository, mount, query.get("from"))
            if layer is not None:
                return _created(name, layer.digest)
        elif digests:
            _check_digests(digests)
            return await self._at_once(request, repository, digests)
        upload = await self._layers.begin(repository)
        return answer(202, _progress(upload))

    async def status(self, visit: Visit, name: str, upload_id: str) -> Response:
        """GET: how far it has come."""
        upload = self._layers.upload(self._desk.known(visit, name, _PART), upload_id)
        return answer(204, _progress(upload))

    async def chunk(self, visit: Visit, request: Request, name: str, upload_id: str) -> Response:
        """PATCH: add bytes."""
        upload = self._layers.upload(self._desk.known(visit, name, _PART), upload_id)
        return answer(202, _progress(await self._append(upload, request)))

    async def end(self, visit: Visit, request: Request, name: str, upload_id: str, query: Query) -> Response:
        """PUT: add the rest, if there is any, and end it."""
        repository = self._desk.known(visit, name, _END)
        upload = self._layers.upload(repository, upload_id)
        digests = query.get_all("digest")
        _check_digests(digests)
        if _has_body(request):
            upload = await self._append(upload, request)
        return await self._finish(upload, digests)

    async def cancel(self, visit: Visit, name: str, upload_id: str) -> Response:
        """DELETE: forget it."""
        await self._layers.cancel(self._layers.upload(self._desk.known(visit, name, _PART), upload_id))
        return answer(204)

    async def _at_once(self, request: Request, repository: Repository, digests: list[str]) -> Response:
        upload = await self._layers.begin(repository)
        try:
            upload = await self._append(upload, request)
            return await self._finish(upload, digests)
        except BaseException:
            await self._layers.cancel(upload)  # the client does not know where to go on
            raise

    async def _append(self, upload: Upload, request: Request) -> Upload:
        said = request.headers.get("content-range")
        part = chunk_of(said) if said else None
        if said and part is None:
            raise _out_of_range(upload, f"the Content-Range {said[:100]} is malformed")
        length = request.headers.get("content-length")
        if part is not None and length and int(length) != part.count:
            raise RegistryError(
                400, "SIZE_INVALID", f"the Content-Range {said} and the Content-Length {length} differ"
            )
        pieces = request.body.chunks()
        if part is not None and not length:
            pieces = _exactly(pieces, part)
        try:
            return await self._layers.append(upload, part.first if part is not None else None, pieces)
        except AwsError as error:
            if error.code != "InvalidLayerPartException":
                raise
            raise _misplaced(upload, error) from None
        except BodyCutShort:
            raise RegistryError(
                400, "SIZE_INVALID", "the body ended before its announced end; what came is kept"
            ) from None

    async def _finish(self, upload: Upload, digests: list[str]) -> Response:
        try:
            layer = await self._layers.finish(upload, digests)
        except AwsError as error:
            if error.code == "LayerAlreadyExistsException":
                return _created(upload.repository, str(error.fields.get("layerDigest", digests[0])))
            if error.code == "InvalidLayerException":
                await self._layers.cancel(upload)
            if error.code == "InvalidLayerPartException":
                raise _misplaced(upload, error) from None
            raise
        return _created(upload.repository, layer.digest)

    async def _mounted(
        self, visit: Visit, target: Repository, digest: str, source: str | None
    ) -> Layer | None:
        """Show a blob of another repository of the registry, that the caller may see, here too."""
        if self._layers.get(target, digest) is not None:
            return self._layers.get(target, digest)
        if self._mounts is not None and not self._mounts(visit.account, visit.region):
            return None
        shown = islice(self._sources(visit.account, visit.region, digest), SOURCES_MAX)
        names = [source] if source else [one.repository for one in shown]
        for name in names:
            found = self._visible(visit, name)
            layer = await self._layers.mount(found, target, digest) if found is not None else None
            if layer is not None:
                return layer
        return None

    def _visible(self, visit: Visit, name: str) -> Repository | None:
        found = self._desk.catalog.find(visit.account, visit.region, name) if is_name(name) else None
        if found is None:
            return None
        try:
            self._desk.authorize(visit.caller, _LOOK, found)
        except AwsError:
            return None
        return found


async def _exactly(pieces: AsyncIterator[bytes], part: Part) -> AsyncIterator[bytes]:
    """A body without a length, which must have the one that its range says."""
    left = part.count
    async for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise RegistryError(
            400, "SIZE_INVALID", f"the body does not have the {part.count} bytes of its range"
        )


def _check_digests(digests: list[str]) -> None:
    if not digests:
        raise RegistryError(400, "DIGEST_INVALID", "the parameter digest is missing")
    if not any(is_digest(one) for one in digests):
        raise bad_digest(digests[0])


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _progress(upload: Upload) -> list[tuple[str, str]]:
    return [
        ("Location", f"/v2/{upload.repository}/blobs/uploads/{upload.id}"),
        ("Range", received(upload.received)),
        ("Docker-Upload-Uuid", upload.id),
    ]


def _created(name: str, digest: str) -> Response:
    return answer(201, [("Location", f"/v2/{name}/blobs/{digest}"), ("Docker-Content-Digest", digest)])


def _misplaced(upload: Upload, error: AwsError) -> RegistryError:
    count = int(error.fields.get("lastValidByteReceived", upload.received - 1)) + 1
    found = as_registry_error(error)
    found.headers = (
        ("Location", f"/v2/{upload.repository}/blobs/uploads/{upload.id}"),
        ("Range", received(count)),
    )
    return found


def _out_of_range(upload: Upload, message: str) -> RegistryError:
    return RegistryError(416, "BLOB_UPLOAD_INVALID", message, headers=_progress(upload))
