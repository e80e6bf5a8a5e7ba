"""AWS's errors about repositories, images and layers, in AWS's sentences."""

from collections.abc import Iterable

from cumulo.base.errors import AwsError
from cumulo.services.ecr.model import Repository, invalid


def constraint(parameter: str, rule: str) -> AwsError:
    """A parameter that breaks a rule which the model does not state."""
    return invalid(f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{rule}'")


def repository_exists(name: str, account: str) -> AwsError:
    """CreateRepository of a name that is taken."""
    return AwsError(
        "RepositoryAlreadyExistsException",
        f"The repository with name '{name}' already exists in the registry with id '{account}'",
    )


def not_empty(repository: Repository) -> AwsError:
    """DeleteRepository without force."""
    return AwsError(
        "RepositoryNotEmptyException",
        f"The repository with name '{repository.name}' in registry with id '{repository.account}' "
        "cannot be deleted because it still contains images",
    )


def image_id_text(digest: str, tag: str) -> str:
    """An image's identifier as AWS prints it inside sentences."""
    return f"{{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}}"


def no_image(repository: Repository, digest: str, tag: str) -> AwsError:
    """There is no such image."""
    return AwsError(
        "ImageNotFoundException",
        f"The image with imageId {image_id_text(digest, tag)} does not exist within the {within(repository)}",
    )


def image_exists(repository: Repository, digest: str, tag: str) -> AwsError:
    """PutImage that would change nothing."""
    return AwsError(
        "ImageAlreadyExistsException",
        f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the repository with name "
        f"'{repository.name}' in registry with id '{repository.account}'",
    )


def tag_is_immutable(repository: Repository, tag: str) -> AwsError:
    """A tag that may not be given a second time."""
    return AwsError(
        "ImageTagAlreadyExistsException",
        f"The image tag '{tag}' already exists in the '{repository.name}' repository "
        "and cannot be overwritten because the tag is immutable.",
    )


def digest_differs() -> AwsError:
    """The digest that was sent is not the manifest's."""
    return AwsError(
        "ImageDigestDoesNotMatchException",
        "The specified image digest does not match the digest that Amazon ECR calculated for the image.",
    )


def layers_missing(repository: Repository, digests: Iterable[str]) -> AwsError:
    """A manifest names blobs that the repository does not have."""
    return AwsError(
        "LayersNotFoundException",
        f"Layers with digests '[{', '.join(digests)}]' required for pushing image into {within(repository)} "
        "do not exist",
    )


def images_missing(repository: Repository, digests: Iterable[str]) -> AwsError:
    """An index names manifests that the repository does not have."""
    return AwsError(
        "ReferencedImagesNotFoundException",
        f"Images with digests '[{', '.join(digests)}]' required for pushing image into {within(repository)} "
        "do not exist",
    )


def layer_missing(repository: Repository, digest: str) -> AwsError:
    """A layer that the repository does not have."""
    return AwsError(
        "LayersNotFoundException",
        f"The layer with digest '{digest}' does not exist within the {within(repository)}",
    )


def layer_unused(repository: Repository, digest: str) -> AwsError:
    """A layer that no image has."""
    return AwsError(
        "LayerInaccessibleException",
        f"The layer with digest '{digest}' in the {within(repository)} is not available because it is not "
        "associated with an image. Unassociated image layers may be cleaned up at any time.",
    )


def no_scan(repository: Repository, digest: str, tag: str) -> AwsError:
    """No scan of this image ever ran."""
    return AwsError(
        "ScanNotFoundException",
        f"Image scan does not exist for the image with '{image_id_text(digest, tag)}' in the {within(repository)}",
    )


def no_policy(code: str, what: str, repository: Repository) -> AwsError:
    """A repository has no policy of this kind."""
    return AwsError(code, f"{what} does not exist for the {within(repository)}")


def referenced(parents: Iterable[str]) -> AwsError:
    """An image that a manifest list needs; the code is that of a failure in BatchDeleteImage."""
    return AwsError(
        "ImageReferencedByManifestList",
        f"Requested image referenced by manifest list: [{', '.join(sorted(parents))}]",
    )


def too_many(what: str, limit: int, where: str) -> AwsError:
    """A quota is used up."""
    return AwsError(
        "LimitExceededException",
        f"The {where} already has the maximum allowed number of {what} which is '{limit}'",
    )


def within(repository: Repository) -> str:
    """Where something is, as AWS prints it inside sentences."""
    return f"repository with name '{repository.name}' in the registry with id '{repository.account}'"
