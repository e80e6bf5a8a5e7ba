"""The registry's answers: errors in the specification's form, with AWS's sentences."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cumulo.base.errors import AwsError
from cumulo.wire.http import Response

VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
JSON = ("Content-Type", "application/json; charset=utf-8")
_CODES: Mapping[str, tuple[int, str]] = {
    "RepositoryNotFoundException": (404, "NAME_UNKNOWN"),
    "ImageNotFoundException": (404, "MANIFEST_UNKNOWN"),
    "LayersNotFoundException": (404, "MANIFEST_BLOB_UNKNOWN"),
    "ReferencedImagesNotFoundException": (404, "MANIFEST_BLOB_UNKNOWN"),
    "ImageDigestDoesNotMatchException": (400, "DIGEST_INVALID"),
    "ImageTagAlreadyExistsException": (400, "TAG_INVALID"),
    "ImageReferencedByManifestList": (405, "UNSUPPORTED"),
    "InvalidParameterException": (405, "UNSUPPORTED"),
    "InvalidLayerException": (400, "DIGEST_INVALID"),
    "InvalidLayerPartException": (416, "BLOB_UPLOAD_INVALID"),
    "EmptyUploadException": (400, "BLOB_UPLOAD_INVALID"),
    "UploadNotFoundException": (404, "BLOB_UPLOAD_UNKNOWN"),
    "LayerInaccessibleException": (404, "BLOB_UNKNOWN"),
    "RepositoryPolicyNotFoundException": (403, "DENIED"),
    "AccessDeniedException": (403, "DENIED"),
    "RequestEntityTooLargeException": (413, "SIZE_INVALID"),
    "LimitExceededException": (403, "DENIED"),
    "ThrottlingException": (429, "TOOMANYREQUESTS"),
    "KmsException": (400, "DENIED"),
}
_STATUSES = {413: "SIZE_INVALID", 429: "TOOMANYREQUESTS"}


class RegistryError(Exception):
    """An error of the specification."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: Any = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = tuple(headers)


def answer(status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Response:
    """An answer without, or with, bytes."""
    return Response(status, [VERSION, *headers], body)


def json_answer(value: Any, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """A list."""
    return Response(200, [VERSION, JSON, *headers], msgspec.json.encode(value))


def error_answer(error: RegistryError) -> Response:
    """An error in the specification's form."""
    fault: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.detail is not None:
        fault["detail"] = error.detail
    body = msgspec.json.encode({"errors": [fault]})
    return Response(error.status, [VERSION, JSON, *error.headers], body)


def as_registry_error(error: AwsError) -> RegistryError:
    """What an error of ECR's API is here."""
    status, code = _CODES.get(error.code, (0, ""))
    if error.status in _STATUSES:
        status, code = error.status, _STATUSES[error.status]
    if not status:
        status = error.status
        code = "UNAVAILABLE" if status >= 500 else "UNSUPPORTED" if status == 405 else "DENIED"
    return RegistryError(status, code, error.message, headers=tuple(error.headers.items()))


def no_manifest(detail: Any = None) -> RegistryError:
    """AWS's sentence for an image that is not here."""
    return RegistryError(404, "MANIFEST_UNKNOWN", "Requested image not found", detail=detail)


def no_blob(digest: str) -> RegistryError:
    """A blob that this repository does not show."""
    return RegistryError(404, "BLOB_UNKNOWN", "blob unknown to registry", detail={"digest": digest})


def bad_digest(text: str) -> RegistryError:
    """Something else than a digest."""
    return RegistryError(400, "DIGEST_INVALID", f"'{text}' is not a digest that this registry knows")
