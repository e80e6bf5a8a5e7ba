"""AWS's errors about layers and uploads."""

from cumulo.base.errors import AwsError
from cumulo.services.ecr.core import Upload
from cumulo.services.ecr.model import LAYER_BYTES_MAX, MIB, Repository


def no_upload(place: Repository | Upload, upload_id: str) -> AwsError:
    """There is no such upload (any more)."""
    return AwsError(
        "UploadNotFoundException",
        f"{_the_upload(place, upload_id)} does not exist",
    )


def out_of_order(upload: Upload, first: int, received: int) -> AwsError:
    """A part that does not follow on what is here."""
    return _part(upload, f"First byte of the layer part is {first} instead of {received}", received)


def busy(upload: Upload) -> AwsError:
    """Somebody else writes at this moment."""
    return _part(upload, "Another part of this layer is being uploaded", upload.received)


def too_large(upload: Upload) -> AwsError:
    """A layer beyond AWS's bound."""
    return AwsError(
        "LimitExceededException",
        f"{_the_upload(upload, upload.id)} is larger than the {LAYER_BYTES_MAX // MIB} MiB that a layer may have",
        status=413,
    )


def too_many_uploads(upload: Upload, limit: int) -> AwsError:
    """A bound of ours."""
    return AwsError(
        "LimitExceededException",
        f"The repository with name '{upload.repository}' in registry with id '{upload.account}' already has "
        f"{limit} uploads that are not completed",
        status=429,
    )


def empty(upload: Upload) -> AwsError:
    """An upload without a byte."""
    return AwsError(
        "EmptyUploadException",
        f"{_the_upload(upload, upload.id)} cannot be completed because it does not have any parts",
    )


def wrong_digest(wanted: str, found: str) -> AwsError:
    """The bytes are others than the digest says."""
    has = f" It has the digest '{found}'." if found else ""
    return AwsError("InvalidLayerException", f"The layer does not have the digest '{wanted}'.{has}")


def layer_exists(upload: Upload, digest: str) -> AwsError:
    """The repository has it already."""
    return AwsError(
        "LayerAlreadyExistsException",
        f"The layer with digest '{digest}' already exists in the repository with name '{upload.repository}' "
        f"in registry with id '{upload.account}'",
        fields={"layerDigest": digest},
    )


def _part(upload: Upload, message: str, received: int) -> AwsError:
    return AwsError(
        "InvalidLayerPartException",
        message,
        fields={
            "registryId": upload.account,
            "repositoryName": upload.repository,
            "uploadId": upload.id,
            "lastValidByteReceived": received - 1,
        },
    )


def _the_upload(place: Repository | Upload, upload_id: str) -> str:
    name = place.name if isinstance(place, Repository) else place.repository
    return f"The upload with id '{upload_id}' in the repository with name '{name}' in registry with id '{place.account}'"
