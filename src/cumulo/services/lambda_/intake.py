"""Takes in the code that a request brings or points to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError, not_implemented
from cumulo.base.ports import ObjectReader
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.code import CodeStore
from cumulo.services.lambda_.images import FunctionImages
from cumulo.services.lambda_.model import IMAGE
from cumulo.services.lambda_.quotas import UNZIPPED_BYTES_MAX, ZIP_BYTES_MAX
from cumulo.services.lambda_.run import Transitions
from cumulo.wire.service import Values

NO_ENGINE = "container images need an engine, and none runs here (`cumulo doctor` names what to install)"
_OBJECT = ("S3Bucket", "S3Key", "S3ObjectVersion")


class Taken(msgspec.Struct, frozen=True):
    """Code that is safe: the fields of Version that say which, and its bytes of AWS's storage for code."""

    fields: dict[str, Any]
    size: int


class Intake:
    """From `Code` (or UpdateFunctionCode's members) to a zip that is safe, or to an image that is pinned."""

    def __init__(
        self,
        code: CodeStore,
        objects: ObjectReader,
        transitions: Transitions,
        images: FunctionImages | None = None,
    ) -> None:
        self._code = code
        self._objects = objects
        self._transitions = transitions
        self._images = images

    def check(self, operation: str, package_type: str) -> None:
        """Say what is missing when images cannot be run here."""
        if package_type != IMAGE:
            return
        if why := NO_ENGINE if self._images is None else self._images.why_not():
            raise not_implemented("lambda", f"{operation} with PackageType Image", why)

    @asynccontextmanager
    async def take(
        self, caller: Caller, source: Values, operation: str, package_type: str
    ) -> AsyncIterator[Taken]:
        """Keep the code while the block runs, and afterwards if something refers to it by then."""
        if package_type == IMAGE:
            yield await self._image(caller, source, operation)
            return
        _check_source(source, operation)
        async with self._code.keep(await self._bytes(caller, source)) as kept:
            try:
                yield Taken({"code_sha256": kept.digest, "code_size": kept.size}, kept.size)
            finally:
                self._transitions.release({kept.digest})

    async def _image(self, caller: Caller, source: Values, operation: str) -> Taken:
        self.check(operation, IMAGE)
        assert self._images is not None, "checked"
        uri: str = source.get("ImageUri") or ""
        if not uri or any(source.get(name) for name in ("ZipFile", *_OBJECT)):
            raise errors.invalid(
                f"Please provide ImageUri when {_verb(operation)} a function with packageType Image."
            )
        image, digest = await self._images.resolve(caller, uri)
        return Taken({"code_sha256": digest, "code_size": 0, "package_type": IMAGE, "image": image}, 0)

    async def _bytes(self, caller: Caller, source: Values) -> bytes:
        zipped: bytes | None = source.get("ZipFile")
        if zipped is not None:
            if len(zipped) > ZIP_BYTES_MAX:
                raise errors.too_large(f"Zipped size must be smaller than {ZIP_BYTES_MAX} bytes")
            return zipped
        try:
            return await self._objects.read_object(
                caller,
                source["S3Bucket"],
                source["S3Key"],
                source.get("S3ObjectVersion"),
                bytes_max=UNZIPPED_BYTES_MAX,
            )
        except AwsError as error:
            if error.code == "EntityTooLarge":
                raise errors.invalid(
                    f"Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes"
                ) from error
            raise errors.invalid(
                f"Error occurred while GetObject. S3 Error Code: {error.code}."
                f" S3 Error Message: {error.message}"
            ) from error


def _verb(operation: str) -> str:
    return "creating" if operation == "CreateFunction" else "updating"


def _check_source(source: Values, operation: str) -> None:
    given = [name for name in _OBJECT if source.get(name)]
    if "ImageUri" in source:
        raise errors.invalid(
            f"Please don't provide ImageUri when {_verb(operation)} a function with packageType Zip."
        )
    if source.get("S3ObjectStorageMode") == "REFERENCE":
        raise not_implemented("lambda", f"{operation} with S3ObjectStorageMode REFERENCE")
    if "ZipFile" in source:
        if given:
            raise errors.invalid(
                "Please do not provide other FunctionCode parameters when providing a ZipFile."
            )
        return
    if not given:
        raise errors.invalid("Please provide a source for function code.")
    for name in ("S3Bucket", "S3Key"):
        if name not in given:
            raise errors.invalid(f"Please provide {name} together with {' and '.join(given)}.")
