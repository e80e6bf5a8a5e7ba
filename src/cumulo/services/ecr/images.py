"""Images: list, describe, get, put, delete; artifacts about them; the archive."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.finding import account_of, image_of, no_paging, one_page, repository_of
from cumulo.services.ecr.model import Image, Repository
from cumulo.services.ecr.mutability import TAG_PATTERN, tag_problem
from cumulo.services.ecr.refusals import constraint, no_image
from cumulo.services.ecr.shelf import Shelf
from cumulo.services.ecr.views import detail_view, image_id, image_view, named, referrer_view
from cumulo.wire.service import Values

REFERRERS_PAGE = 50
_DIGEST_PATTERN = "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+"
_DIGEST = re.compile(r"[a-zA-Z0-9\-_+.]+:[a-fA-F0-9]+")
_SEPARATOR = "\x1f"


Missing = Callable[[str, str, str, str], Awaitable[Repository | None]]
"""(account, region, repository, reference): awaited before an image is pulled, so that a cache can fetch it."""


class Failure(NamedTuple):
    """Why one image of a batch is not in the answer."""

    code: str
    reason: str


_NOTHING = Failure("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
_BAD_DIGEST = Failure(
    "InvalidImageDigest",
    f"Invalid request parameters: image digest should satisfy the regex '{_DIGEST_PATTERN}'",
)
_BAD_TAG = Failure(
    "InvalidImageTag", f"Invalid request parameters: image tag should satisfy the regex '{TAG_PATTERN}'"
)
_NOT_FOUND = Failure("ImageNotFound", "Requested image not found")
_NO_MATCH = Failure(
    "ImageTagDoesNotMatchDigest", "Invalid request parameters: given tag does not map to the given digest"
)
_ARCHIVED = Failure(
    "ImageInaccessible", "Requested image is archived and must be restored before it can be pulled"
)


class Images:
    """The operations on images."""

    def __init__(self, catalog: StoredCatalog, clock: Clock, missing: Missing | None = None) -> None:
        self._catalog = catalog
        self._clock = clock
        self._missing = missing

    # -- looking -----------------------------------------------------------------------------------------

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListImages: a line for each tag, and one for each image without."""
        shelf = self._catalog.shelf(repository_of(self._catalog, caller, values))

        def after(key: str) -> Iterator[tuple[Image, str]]:
            for image in shelf.starting(key.partition(_SEPARATOR)[0]):
                for tag in shelf.tags_of(image.digest) or [""]:
                    if f"{image.digest}{_SEPARATOR}{tag}" > key:
                        yield image, tag

        found, token = await one_page(
            after,
            lambda row: f"{row[0].digest}{_SEPARATOR}{row[1]}",
            values,
            wanted=lambda row: _wanted(row[0], shelf, values, "ACTIVE"),
        )
        return {"imageIds": [image_id(image.digest, tag) for image, tag in found], "nextToken": token}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeImages."""
        repository = repository_of(self._catalog, caller, values)
        shelf = self._catalog.shelf(repository)
        no_paging(values, "imageIds")
        if values.get("imageIds"):
            found = self._named(repository, values["imageIds"])
            chosen = [image for image in found if _wanted(image, shelf, values, "ANY")]
            return {"imageDetails": [detail_view(image, shelf.tags_by_age(image.digest)) for image in chosen]}

        def after(digest: str) -> Iterator[Image]:
            for image in shelf.starting(digest):
                if image.digest > digest:
                    yield image

        found, token = await one_page(
            after,
            lambda image: image.digest,
            values,
            wanted=lambda image: _wanted(image, shelf, values, "ACTIVE"),
        )
        details = [detail_view(image, shelf.tags_by_age(image.digest)) for image in found]
        return {"imageDetails": details, "nextToken": token}

    def _named(self, repository: Repository, ids: list[Values]) -> list[Image]:
        """Each image once.  AwsError InvalidParameterException, ImageNotFoundException: for the first that is not there."""
        found: dict[str, Image] = {}
        for one in ids:
            tag, digest = one.get("imageTag", ""), one.get("imageDigest", "")
            well_formed(one)
            image = self._catalog.image(repository, tag=tag, digest=digest)
            found[image.digest] = image
        return list(found.values())

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """BatchGetImage: what a client pulls, so it counts as a pull."""
        if self._missing is not None:
            await self._fetch(self._missing, caller, values)
        repository = repository_of(self._catalog, caller, values)
        accepted = values.get("acceptedMediaTypes")
        images: list[Values] = []
        failures: list[Values] = []
        pulled: dict[str, Image] = {}
        for one in values["imageIds"]:
            found = self._find(repository, one)
            if isinstance(found, Image) and found.status != "ACTIVE":
                found = _ARCHIVED
            if isinstance(found, Image) and accepted and found.media_type not in accepted:
                found = _NOT_FOUND
            if isinstance(found, Failure):
                failures.append(_failed(one, found))
                continue
            images.append(image_view(found, self._catalog.manifest(found), one.get("imageTag", "")))
            pulled[found.digest] = found
        await asyncio.gather(*(self._catalog.pulled(image, caller) for image in pulled.values()))
        return {"images": images, "failures": failures}

    async def _fetch(self, missing: Missing, caller: Caller, values: Values) -> None:
        """Have what a pull-through cache knows of here, and fresh."""
        account, name = account_of(caller, values), values["repositoryName"]
        for one in values["imageIds"]:
            reference = one.get("imageDigest") or one.get("imageTag")
            if reference:
                await missing(account, caller.region, name, reference)

    def _find(self, repository: Repository, one: Values) -> Image | Failure:
        """The image that an identifier of a batch means."""
        tag, digest = one.get("imageTag", ""), one.get("imageDigest", "")
        if not tag and not digest:
            return _NOTHING
        if digest and not _DIGEST.fullmatch(digest):
            return _BAD_DIGEST
        if tag and tag_problem(tag):
            return _BAD_TAG
        shelf = self._catalog.shelf(repository)
        known = shelf.tags.get(tag) if tag else None
        if tag and known is None:
            return _NOT_FOUND
        image = shelf.images.get(digest or (known.digest if known else ""))
        if image is None:
            return _NOT_FOUND
        return _NO_MATCH if known is not None and known.digest != image.digest else image

    # -- changing ----------------------------------------------------------------------------------------

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutImage."""
        repository = repository_of(self._catalog, caller, values)
        manifest, tag = values["imageManifest"].encode(), values.get("imageTag", "")
        image = await self._catalog.put_image(
            repository,
            manifest,
            media_type=values.get("imageManifestMediaType", ""),
            tag=tag,
            digest=values.get("imageDigest", ""),
        )
        return {"image": image_view(image, manifest, tag)}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """BatchDeleteImage, one after the other as they are named, and all in one commit."""
        repository = repository_of(self._catalog, caller, values)
        parts = await asyncio.gather(*(self._delete(repository, one) for one in values["imageIds"]))
        gone = [row for rows, _ in parts for row in rows]
        return {"imageIds": gone, "failures": [failure for _, failure in parts if failure is not None]}

    async def _delete(self, repository: Repository, one: Values) -> tuple[list[Values], Values | None]:
        found = self._find(repository, one)
        if isinstance(found, Failure):
            return [], _failed(one, found)
        tag = one.get("imageTag", "")
        tags = [tag] if tag else self._catalog.tags_of(found)
        try:
            await self._catalog.delete([found], tags=[tag] if tag else ())
        except AwsError as error:
            if error.code != "ImageReferencedByManifestList":
                raise
            return [], _failed(one, Failure(error.code, error.message))
        return [image_id(found.digest, name) for name in tags or [""]], None

    async def move(self, caller: Caller, values: Values) -> Values | None:
        """UpdateImageStorageClass: into the archive, where nobody can pull it, and back (at once)."""
        repository = repository_of(self._catalog, caller, values)
        one = values["imageId"]
        well_formed(one)
        image = image_of(self._catalog, repository, one)
        await archive(
            self._catalog, image, self._clock.now(), restore=values["targetStorageClass"] == "STANDARD"
        )
        moved = self._catalog.image(repository, digest=image.digest)
        return named(
            repository, imageId=image_id(moved.digest, one.get("imageTag", "")), imageStatus=moved.status
        )

    # -- artifacts and scans -----------------------------------------------------------------------------

    async def referrers(self, caller: Caller, values: Values) -> Values | None:
        """ListImageReferrers, oldest first."""
        repository = repository_of(self._catalog, caller, values)
        asked = values.get("filter", {})
        types, status = asked.get("artifactTypes"), asked.get("artifactStatus", "ACTIVE")
        found = [
            image
            for image in self._catalog.referrers(repository, values["subjectId"]["imageDigest"])
            if (not types or image.artifact_type in types) and status in ("ANY", image.status)
        ]

        def after(key: str) -> Iterator[Image]:
            return (image for image in found if _age(image) > key)

        rows, token = await one_page(after, _age, values, default=REFERRERS_PAGE)
        return {"referrers": [referrer_view(image) for image in rows], "nextToken": token}


def well_formed(one: Values) -> None:
    """Check how the identifier of an image is spelled, as operations on a single image do."""
    digest, tag = one.get("imageDigest"), one.get("imageTag")
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise constraint("imageDigest", f"must satisfy regular expression '{_DIGEST_PATTERN}'")
    if tag is not None and tag_problem(tag):
        raise constraint("imageTag", tag_problem(tag))


async def archive(catalog: StoredCatalog, image: Image, now: float, *, restore: bool) -> None:
    """Move an image into the archive, or back.  AwsError ImageStorageClassUpdateNotSupportedException."""
    repository = catalog.repository(image.account, image.region, image.repository)
    shelf = catalog.shelf(repository)
    if image.digest not in shelf.images:
        raise no_image(repository, image.digest, "")
    if (image.status == "ACTIVE") == restore:
        state = "standard" if restore else "archive"
        raise _unsupported(f"the image is already in the {state} storage class")
    if not restore and any(shelf.images[one].status == "ACTIVE" for one in shelf.parents_of(image.digest)):
        raise _unsupported("the image is referenced by a manifest list that is not archived")
    if restore:
        await catalog.change_image(replace(image, status="ACTIVE", activated_at=now), "activated")
    else:
        await catalog.change_image(replace(image, status="ARCHIVED", archived_at=now), "archived")


def _unsupported(why: str) -> AwsError:
    return AwsError(
        "ImageStorageClassUpdateNotSupportedException",
        f"The requested image storage class update is not supported: {why}.",
    )


def _wanted(image: Image, shelf: Shelf, values: Values, default_status: str) -> bool:
    """Whether an image passes the filter of a listing."""
    asked = values.get("filter", {})
    status, tagged = str(asked.get("imageStatus", default_status)), str(asked.get("tagStatus", "ANY"))
    if status not in ("ANY", image.status):
        return False
    return tagged == "ANY" or shelf.is_tagged(image.digest) == (tagged == "TAGGED")


def _failed(one: Values, failure: Failure) -> Values:
    return {
        "imageId": image_id(one.get("imageDigest", ""), one.get("imageTag", "")),
        "failureCode": failure.code,
        "failureReason": failure.reason,
    }


def _age(image: Image) -> str:
    return f"{image.pushed_at:020.6f}{image.digest}"
