"""ECR's nouns as its API shows them."""

from collections.abc import Iterable

from cumulo.base.caller import Caller
from cumulo.services.ecr.model import Image, Repository, repository_uri
from cumulo.wire.service import Values


def repository_view(repository: Repository, caller: Caller) -> Values:
    """A repository as CreateRepository, DescribeRepositories and DeleteRepository show it."""
    return {
        "repositoryArn": repository.arn,
        "registryId": repository.account,
        "repositoryName": repository.name,
        "repositoryUri": repository_uri(repository, caller.endpoint),
        "createdAt": moment(repository.created_at),
        "imageTagMutability": repository.mutability,
        "imageTagMutabilityExclusionFilters": filters_view(repository),
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": {
            "encryptionType": repository.encryption_type,
            "kmsKey": repository.kms_key or None,
        },
    }


def moment(seconds: float) -> float:
    """A moment to the millisecond, as AWS shows it."""
    return round(seconds, 3)


def filters_view(repository: Repository) -> list[Values] | None:
    """The exceptions to a repository's mutability, when it has any."""
    filters = repository.mutability_filters
    return [{"filterType": one.filter_type, "filter": one.filter} for one in filters] or None


def named(repository: Repository, **more: object) -> Values:
    """An answer that begins with whose repository it is about."""
    return {"registryId": repository.account, "repositoryName": repository.name, **more}


def image_id(digest: str, tag: str = "") -> Values:
    """An image's identifier."""
    return {"imageDigest": digest or None, "imageTag": tag or None}


def detail_view(image: Image, tags: list[str]) -> Values:
    """An image as DescribeImages shows it."""
    return {
        "registryId": image.account,
        "repositoryName": image.repository,
        "imageDigest": image.digest,
        "imageTags": tags or None,
        "imageSizeInBytes": image.size_bytes,
        "imagePushedAt": moment(image.pushed_at),
        "imageManifestMediaType": image.media_type,
        "artifactMediaType": image.artifact_type or None,
        "lastRecordedPullTime": moment(image.pulled_at) or None,
        "subjectManifestDigest": image.subject or None,
        "imageStatus": image.status,
        "lastArchivedAt": moment(image.archived_at) or None,
        "lastActivatedAt": moment(image.activated_at) or None,
    }


def image_view(image: Image, manifest: bytes, tag: str) -> Values:
    """An image with its manifest, as PutImage and BatchGetImage show it."""
    return {
        "registryId": image.account,
        "repositoryName": image.repository,
        "imageId": image_id(image.digest, tag),
        "imageManifest": manifest.decode(),
        "imageManifestMediaType": image.media_type,
    }


def referrer_view(image: Image) -> Values:
    """An artifact as ListImageReferrers shows it."""
    return {
        "digest": image.digest,
        "mediaType": image.media_type,
        "artifactType": image.artifact_type or None,
        "size": image.manifest_bytes,
        "annotations": dict(image.annotations) or None,
        "artifactStatus": image.status,
    }


def tag_list(tags: Iterable[tuple[str, str]]) -> list[Values]:
    """A resource's tags, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags)]
