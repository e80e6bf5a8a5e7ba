"""What EventBridge hears of images: events wait in a durable outbox and leave it once they were delivered.

    pushed, deleted, ... ──▶ outbox (in the change's own transaction) ──▶ run ──▶ EventBus

So an event is delivered at least once.  One that EventBridge refuses is dropped with a word in the log, and so
are the oldest when more wait than the outbox holds.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports import EventBus
from cumulo.services.ecr.model import Image
from cumulo.services.ecr.rules.model import CacheRule, Replication, repository_arn
from cumulo.state.store import Store, StoreError

SOURCE = "aws.ecr"
WAITING_MAX = 10_000
ATTEMPTS_MAX = 10
DELIVER_SECONDS_MAX = 60.0
RETRY_SECONDS_MAX = 60.0
_log = Log("ecr")


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """An event that has not been delivered yet."""

    account: str
    region: str
    detail_type: str
    detail: Mapping[str, str]
    resources: tuple[str, ...] = ()
    at: float


class Outbox:
    """The events that wait."""

    def __init__(self, store: Store, clock: Clock, bus: EventBus) -> None:
        self._store = store
        self._clock = clock
        self._bus = bus
        self._table = store.table("ecr_outbox", Outgoing)
        waiting = [key for key, _ in self._table.items()]
        self._waiting = dict.fromkeys(waiting)
        self._next = int(waiting[-1]) + 1 if waiting else 0
        self._wake = asyncio.Event()

    def send(
        self,
        where: tuple[str, str],
        detail_type: str,
        detail: Mapping[str, str],
        resources: Sequence[str] = (),
    ) -> None:
        """Add an event of an (account, region); durable with the commit that follows."""
        while len(self._waiting) >= WAITING_MAX:
            oldest = next(iter(self._waiting))
            _log.warning("an event was dropped, for too many wait", detail_type=detail_type)
            self._forget(oldest)
        key = f"{self._next:020d}"
        self._next += 1
        self._table.put(
            key,
            Outgoing(
                account=where[0],
                region=where[1],
                detail_type=detail_type,
                detail=detail,
                resources=tuple(resources),
                at=self._clock.now(),
            ),
        )
        self._waiting[key] = None
        self._wake.set()

    async def run(self) -> None:
        """Deliver events, for ever."""
        failures = 0
        while True:
            await self._wake.wait() if not self._waiting else None
            self._wake.clear()
            if await self.deliver():
                failures = 0
                continue
            failures += 1
            if failures >= ATTEMPTS_MAX and self._waiting:
                _log.warning("an event was dropped, for it could not be delivered")
                self._forget(next(iter(self._waiting)))
                failures = 0
            await asyncio.sleep(min(RETRY_SECONDS_MAX, 0.1 * 2**failures))

    async def deliver(self) -> bool:
        """Deliver what waits now, oldest first; False at the first that must be tried again."""
        for key in list(self._waiting):
            event = self._table.get(key)
            try:
                await self._store.commit()  # what was just added is kept before it leaves
                if event is not None:
                    await self._hand_over(event)
                self._forget(key)
                await self._store.commit()
            except AwsError as error:
                if error.status >= 500:
                    return False
                _log.warning("EventBridge refuses an event", error=str(error))
                self._forget(key)
            except (TimeoutError, StoreError):
                return False
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again and then dropped
                _log.error("an event could not be delivered", error=repr(error))
                return False
        return True

    def clear(self) -> None:
        """Forget all."""
        self._table.clear()
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)

    async def _hand_over(self, event: Outgoing) -> None:
        async with asyncio.timeout(DELIVER_SECONDS_MAX):
            await self._bus.put(
                event.account,
                event.region,
                SOURCE,
                event.detail_type,
                event.detail,
                event.resources,
                at=event.at,
            )

    def _forget(self, key: str) -> None:
        self._waiting.pop(key, None)
        self._table.delete(key)


class ImageEvents:
    """Says what happened, in AWS's words."""

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
        self._outbox.send((image.account, image.region), kind, _without_empty(detail))

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
            (job.to.account, job.to.region), "ECR Replication Action", _without_empty(detail), [arn]
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
            (rule.account, rule.region), "ECR Pull Through Cache Action", _without_empty(detail), [arn]
        )


def _without_empty(detail: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in detail.items() if value}
