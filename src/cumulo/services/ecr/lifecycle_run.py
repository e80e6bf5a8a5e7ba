"""Carries out what `lifecycle_plan` decides: soon after a policy or an image has come, and once an hour for the rest.

AWS takes up to a day for it.  Plans are made outside the event loop, from a copy of the lists; an image that got
another tag or went away meanwhile is left for the next time.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.services.ecr import lifecycle_rules
from cumulo.services.ecr.catalog import Change, StoredCatalog
from cumulo.services.ecr.images import archive
from cumulo.services.ecr.lifecycle_plan import Action, Candidate, plan
from cumulo.services.ecr.model import Image, Repository, Tag
from cumulo.services.ecr.previews import Preview, Previews, Row
from cumulo.state.store import StoreError

SETTLE_SECONDS = 5.0  # after a push, so that a burst of them is one evaluation
EVERY_SECONDS = 3600.0
DELETED_AT_ONCE = 100


class LifecycleRun:
    """Run it beside the service; `look_at` and `wake` say that there is something to do."""

    def __init__(
        self, catalog: StoredCatalog, clock: Clock, *, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self.previews = Previews(clock)
        self._catalog = catalog
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._due: dict[str, Repository] = {}
        self._woken = asyncio.Event()
        catalog.listeners.append(self._hear)

    def _hear(self, change: Change) -> None:
        if change.kind in {"pushed", "untagged"} and change.repository.lifecycle:
            self.look_at(change.repository)

    def look_at(self, repository: Repository) -> None:
        """Evaluate a repository's policy soon."""
        self._due[repository.key] = repository
        self._woken.set()

    def wake(self) -> None:
        """A preview was asked for."""
        self._woken.set()

    async def run(self) -> None:
        """Evaluate for ever."""
        everything_at = self._clock.monotonic()  # at the start too: what was due while we were down
        while True:
            self._woken.clear()
            await self.make_previews()
            if self._clock.monotonic() >= everything_at:
                everything_at = self._clock.monotonic() + EVERY_SECONDS
                self._due |= {one.key: one for one in self._catalog.all_repositories() if one.lifecycle}
            with contextlib.suppress(StoreError):  # the disk refuses: every request hears of it
                await self.evaluate_due()
            await self._wait(everything_at - self._clock.monotonic())

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), max(seconds, 0.0))
            if not self.previews.waiting():
                await asyncio.sleep(self._settle_seconds)

    async def evaluate_due(self) -> None:
        """Evaluate what was noted since the last time.  StoreError: the rest stays noted."""
        while self._due:
            key, noted = next(iter(self._due.items()))
            repository = self._catalog.find(noted.account, noted.region, noted.name)
            if repository is not None and repository.lifecycle:
                with contextlib.suppress(
                    AwsError
                ):  # a policy from elsewhere that we cannot read does nothing
                    await self.evaluate(repository)
            if self._due.get(key) is noted:
                del self._due[key]

    async def evaluate(self, repository: Repository) -> int:
        """Apply a repository's policy; how many images were removed or archived."""
        rules = lifecycle_rules.read(repository.lifecycle)
        now = self._clock.now()
        candidates, actions = await self._plan(repository, rules, now)
        done = 0
        for at in range(0, len(actions), DELETED_AT_ONCE):
            done += await self._carry_out(repository, actions[at : at + DELETED_AT_ONCE], candidates)
        with contextlib.suppress(AwsError):  # the repository went meanwhile
            current = self._catalog.repository(repository.account, repository.region, repository.name)
            if current.lifecycle == repository.lifecycle:
                await self._catalog.update(repository, lifecycle_evaluated_at=now)
        return done

    async def _plan(
        self, repository: Repository, rules: Sequence[lifecycle_rules.Rule], now: float
    ) -> tuple[dict[str, Candidate], list[Action]]:
        shelf = self._catalog.shelf(repository)
        images, tags = list(shelf.images.values()), list(shelf.tags.values())

        def think() -> tuple[dict[str, Candidate], list[Action]]:
            found = candidates_of(images, tags)
            return {one.digest: one for one in found}, plan(found, rules, now)

        return await asyncio.to_thread(think)

    async def _carry_out(
        self, repository: Repository, actions: Sequence[Action], candidates: dict[str, Candidate]
    ) -> int:
        """Do what still fits; how many."""
        expire: list[Image] = []
        move: list[Image] = []
        for action in actions:
            with contextlib.suppress(AwsError):
                image = self._catalog.image(repository, digest=action.digest)
                if tuple(self._catalog.tags_of(image)) == candidates[action.digest].tags:
                    (expire if action.kind == "expire" else move).append(image)
        # Each by itself, in one commit: what is protected by now must not keep the others.
        results = await asyncio.gather(
            *(self._catalog.delete([image]) for image in expire),
            *(archive(self._catalog, image, self._clock.now(), restore=False) for image in move),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, AwsError):
                raise result
        return sum(result is None for result in results)

    # -- previews ----------------------------------------------------------------------------------------

    async def make_previews(self) -> None:
        """Work out the previews that were asked for."""
        for preview in self.previews.waiting():
            self.previews.put(await self._preview(preview))

    async def _preview(self, preview: Preview) -> Preview:
        asked = preview.repository
        try:
            repository = self._catalog.repository(asked.account, asked.region, asked.name)
            rules = lifecycle_rules.read(preview.text)
        except AwsError:
            return replace(preview, status="FAILED")
        candidates, actions = await self._plan(repository, rules, self._clock.now())
        rows = tuple(_row(candidates[action.digest], action) for action in actions if action.priority)
        return replace(preview, status="COMPLETE", rows=rows)


def candidates_of(images: Sequence[Image], tags: Sequence[Tag]) -> list[Candidate]:
    """Images as the rules look at them."""
    tags_of: dict[str, list[str]] = {}
    for tag in tags:
        tags_of.setdefault(tag.digest, []).append(tag.tag)
    parents: dict[str, list[str]] = {}
    for image in images:
        for child in image.children:
            parents.setdefault(child, []).append(image.digest)
    return [
        Candidate(
            digest=image.digest,
            tags=tuple(sorted(tags_of.get(image.digest, ()))),
            pushed_at=image.pushed_at,
            pulled_at=image.pulled_at,
            archived_at=image.archived_at,
            activated_at=image.activated_at,
            archived=image.status != "ACTIVE",
            parents=tuple(parents.get(image.digest, ())),
            subject=image.subject,
        )
        for image in images
    ]


def _row(candidate: Candidate, action: Action) -> Row:
    return Row(
        digest=candidate.digest,
        tags=candidate.tags,
        pushed_at=candidate.pushed_at,
        archived=candidate.archived,
        kind=action.kind,
        priority=action.priority,
    )
