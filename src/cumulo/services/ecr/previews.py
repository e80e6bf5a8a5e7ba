"""Previews of lifecycle policies: asked for, worked out by `lifecycle_run`, and kept for a while in memory."""

from collections import OrderedDict

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.services.ecr.model import Repository
from cumulo.services.ecr.refusals import no_policy

PREVIEWS_MAX = 100  # the oldest is forgotten
KEPT_SECONDS = 24 * 3600.0


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An image that a policy would remove (`expire`) or archive (`transition`)."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: float
    archived: bool
    kind: str
    priority: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would do.  `status` is IN_PROGRESS, COMPLETE, EXPIRED or FAILED."""

    repository: Repository
    text: str
    status: str = "IN_PROGRESS"
    started_at: float
    rows: tuple[Row, ...] = ()


class Previews:
    """The last preview of each repository."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_key: OrderedDict[str, Preview] = OrderedDict()

    def start(self, repository: Repository, text: str) -> Preview:
        """Ask for one.  AwsError LifecyclePolicyPreviewInProgressException."""
        old = self._by_key.get(repository.key)
        if old is not None and old.status == "IN_PROGRESS":
            raise AwsError(
                "LifecyclePolicyPreviewInProgressException",
                "The previous lifecycle policy preview request has not completed. Wait and try again.",
            )
        made = Preview(repository=repository, text=text, started_at=self._clock.now())
        self.put(made)
        return made

    def put(self, preview: Preview) -> None:
        """Keep one as it is now."""
        self._by_key[preview.repository.key] = preview
        self._by_key.move_to_end(preview.repository.key)
        while len(self._by_key) > PREVIEWS_MAX:
            self._by_key.popitem(last=False)

    def get(self, repository: Repository) -> Preview | None:
        """The last one of a repository, of this life of the repository."""
        found = self._by_key.get(repository.key)
        if found is None or found.repository.created_at != repository.created_at:
            return None
        if self._clock.now() - found.started_at > KEPT_SECONDS:
            return msgspec.structs.replace(found, status="EXPIRED", rows=())
        return found

    def waiting(self) -> list[Preview]:
        """Those that are still to be worked out."""
        return [one for one in self._by_key.values() if one.status == "IN_PROGRESS"]

    def clear(self) -> None:
        """Forget all."""
        self._by_key.clear()


def no_preview(repository: Repository) -> AwsError:
    """Nobody asked for a preview of this repository, or it is forgotten."""
    return no_policy("LifecyclePolicyPreviewNotFoundException", "Lifecycle policy preview", repository)
