"""Images of a deployment are pinned: what its first task found when it asked the registry is what all its tasks run."""

from msgspec.structs import replace

from cumulo.services.ecs.model import Document, Task
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.scheduling.model import Deployment
from cumulo.services.ecs.scheduling.shelves import Book


class DeploymentPins:
    """running.pinning.Pins, kept with deployments as their revision's `containerImages`."""

    def __init__(self, records: Records, book: Book) -> None:
        self._records = records
        self._book = book

    def pinned(self, task: Task, container: str) -> str:
        """See Pins."""
        deployment = self._deployment(task)
        return "" if deployment is None else str(_image(deployment, container).get("imageDigest", ""))

    def pin(self, task: Task, container: str, digest: str) -> str:
        """See Pins."""
        deployment = self._deployment(task)
        if deployment is None:
            return digest
        known = str(_image(deployment, container).get("imageDigest", ""))
        if known or not digest:
            return known
        images = tuple(
            {**one, "imageDigest": digest} if one["containerName"] == container else one
            for one in deployment.images
        )
        if images != deployment.images:
            self._book.deployments.put(replace(deployment, images=images))
        return digest

    def _deployment(self, task: Task) -> Deployment | None:
        if not task.service:
            return None
        service = self._records.services.get(service_key(task.cluster_arn, task.service))
        return None if service is None else self._book.find(service.arn, task.deployment)


def _image(deployment: Deployment, container: str) -> Document:
    return next((one for one in deployment.images if one["containerName"] == container), {})
