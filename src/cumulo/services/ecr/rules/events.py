"""What EventBridge hears of images, in AWS's words."""

from collections.abc import Mapping
from datetime import UTC, datetime

from cumulo.services.ecr.model import Image
from cumulo.services.ecr.rules.model import CacheRule, Replication, repository_arn
from cumulo.state.outbox import Outbox

SOURCE = "aws.ecr"


class ImageEvents:
    """Says what happened."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def pushed(self, image: Image, tag: str) -> None:
        """A push was completed."""
        self._image(image, "PUSH", tag)

    def deleted(self, image: Image, tag: str) -> None:
        """An image, or a tag of it, was deleted."""
        self._image(image, "DELETE", tag)

    def moved(self, image: Image) -> None:
        """An image went into the archive, or came back from it."""
        archived = image.status == "ARCHIVED"
        at = datetime.fromtimestamp(image.activated_at, UTC)
        detail = {
            "target-storage-class": "ARCHIVE" if archived else "STANDARD",
            "last-activated-at": "" if archived else f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        }
        self._image(image, "UPDATE_STORAGE_CLASS", "", detail)

    def _image(self, image: Image, action: str, tag: str, more: Mapping[str, str] | None = None) -> None:
        kind = "ECR Referrer Action" if image.subject else "ECR Image Action"
        detail = {
            "result": "SUCCESS",
            "repository-name": image.repository,
            "image-digest": image.digest,
            "action-type": action,
            "image-tag": tag,
            "manifest-media-type": image.media_type,
            "artifact-media-type": image.artifact_type or image.config_media_type,
            **(more or {}),
        }
        self._outbox.send((image.account, image.region), kind, _without_empty(detail), lane=image.repository)

    def replicated(self, job: Replication, tag: str) -> None:
        """A replication has come to an end; its destination hears of it."""
        detail = {
            "result": "FAILED" if job.failure else "SUCCESS",
            "repository-name": job.repository,
            "image-digest": job.digest,
            "source-account": job.account,
            "action-type": "REPLICATE",
            "source-region": job.region,
            "image-tag": tag,
        }
        arn = repository_arn(job.to.account, job.to.region, job.repository)
        self._outbox.send(
            (job.to.account, job.to.region), "ECR Replication Action", _without_empty(detail), [arn], lane=arn
        )

    def cached(self, rule: CacheRule, name: str, tag: str, digest: str, *, failure: tuple[str, str]) -> None:
        """A pull through the cache was tried; `failure` is a code and a reason, empty when it was a success."""
        detail = {
            "rule-version": "1",
            "sync-status": "FAILURE" if failure[0] else "SUCCESS",
            "ecr-repository-prefix": rule.prefix,
            "repository-name": name,
            "upstream-registry-url": rule.upstream_url,
            "image-tag": tag,
            "image-digest": digest,
            "failure-code": failure[0],
            "failure-reason": failure[1],
        }
        arn = repository_arn(rule.account, rule.region, name)
        self._outbox.send(
            (rule.account, rule.region),
            "ECR Pull Through Cache Action",
            _without_empty(detail),
            [arn],
            lane=arn,
        )


def _without_empty(detail: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in detail.items() if value}
