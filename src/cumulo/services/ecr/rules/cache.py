"""The cache behind pull through cache rules: fetches from upstream what is asked for and not here.

    pull ──▶ fresh(name, reference)
               here, compared with upstream in the last day?  ──▶ nothing to do
               else  upstream's manifest ──▶ its blobs, each to a file, checked ──▶ repository, image, tag

Many who pull the same at once wait for one fetch.  When upstream cannot be reached, what is here serves.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.tasks import cancel_all
from cumulo.engines.images import Descriptor, Login, PullError, Reference, Source
from cumulo.services.ecr.core import Catalog
from cumulo.services.ecr.model import Repository
from cumulo.services.ecr.mutability import tag_problem
from cumulo.services.ecr.rules import policy, upstreams
from cumulo.services.ecr.rules.copying import Copier
from cumulo.services.ecr.rules.events import ImageEvents
from cumulo.services.ecr.rules.fetching import Fetcher
from cumulo.services.ecr.rules.model import Cached, CacheRule, repository_arn
from cumulo.services.ecr.rules.plan import Upstream
from cumulo.services.ecr.rules.pull_through import PullThroughRules
from cumulo.services.ecr.rules.templates import PULL_THROUGH_CACHE, Templates
from cumulo.state.store import Store, join_key

FRESH_SECONDS = 24 * 3600.0
RETRY_SECONDS = 60.0  # after upstream could not be reached, while a copy serves
FETCHES_AT_ONCE = 4
FETCH_SECONDS_MAX = 3600.0
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CODES = {
    "unauthorized": "UpstreamAccessDenied",
    "unreachable": "UpstreamUnavailable",
    "corrupt": "UpstreamUnavailable",
    "no-space": "ServerException",
}
_STATUSES = {
    "UpstreamAccessDenied": 403,
    "ServerException": 507,
}  # as the registry answers; the API has AWS's 400
_log = Log("ecr")

OpenSource = Callable[[Login | None], AbstractAsyncContextManager[Source]]
"""A client for other registries, with credentials; it speaks plain HTTP to this machine."""


class PullCache:
    """Fetches on demand."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        catalog: Catalog,
        templates: Templates,
        rules: PullThroughRules,
        fetcher: Fetcher,
        copier: Copier,
        events: ImageEvents,
        open_source: OpenSource,
    ) -> None:
        self._store = store
        self._clock = clock
        self._catalog = catalog
        self._templates = templates
        self._rules = rules
        self._fetcher = fetcher
        self._copier = copier
        self._events = events
        self._open_source = open_source
        self._table = store.table("ecr_cached", Cached)
        self._running: dict[str, asyncio.Task[bool]] = {}
        self._slots = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._not_before: dict[str, float] = {}  # of stale tags whose upstream could not be reached
        rules.probe = self.probe

    async def fresh(self, account: str, region: str, name: str, reference: str) -> bool:
        """Have an image (by tag or digest) here and fresh, if a rule says that this repository is a cache.

        False when no rule does, or upstream has no such image.  AwsError UnableToGetUpstreamImageException when
        it is not here and could not be fetched.
        """
        upstream = self._rules.upstream(account, region, name)
        if upstream is None or (not _DIGEST.fullmatch(reference) and tag_problem(reference)):
            return False
        key = join_key(account, region, name, reference)
        if not self._is_stale(upstream.rule, name, reference, key):
            return True
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch_in_turn(upstream, name, reference, key))
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        # A client that goes away leaves the fetch to the others, and to the next who asks.
        return await asyncio.shield(task)

    async def probe(self, rule: CacheRule) -> str:
        """Why an upstream does not let us in; empty when it does."""
        home = upstreams.registry_of(rule.upstream_url)
        if home is not None:
            return ""
        try:
            repository, tag = upstreams.known_image(rule.upstream_url)
            async with self._open_source(await self._rules.login(rule)) as source:
                await source.manifest(Reference(rule.upstream_url, repository, tag))
        except AwsError as error:
            return error.message
        except PullError as error:
            # Whether there is such an image does not matter: only whether we may ask.
            return "" if error.kind == "not-found" else str(error)
        return ""

    async def close(self) -> None:
        """End what runs; what was fetched so far is fetched again when it is asked for."""
        await cancel_all(self._running.values())

    def clear(self) -> None:
        """Forget what came from where."""
        self._table.clear()
        self._not_before.clear()

    def forget(self, repository: Repository, tags: Iterable[str]) -> None:
        """Forget where tags came from, for they were deleted, or pushed by somebody."""
        for tag in tags:
            key = join_key(repository.key, tag)
            self._table.delete(key)
            self._not_before.pop(key, None)

    def removed(self, repository: Repository) -> None:
        """Forget all of a repository."""
        prefix = join_key(repository.key, "")
        self.forget(repository, [key.removeprefix(prefix) for key, _ in self._table.items(prefix)])

    # -- inside ------------------------------------------------------------------------------------------

    def _is_stale(self, rule: CacheRule, name: str, reference: str, key: str) -> bool:
        """Whether upstream must be asked: for what is not here, and once a day for a tag that came from there."""
        repository = self._catalog.find(rule.account, rule.region, name)
        if repository is None or not self._is_here(repository, reference):
            return True
        cached = self._table.get(key)
        if cached is None:  # a digest, which cannot change; or a tag that somebody has pushed
            return False
        now = self._clock.now()
        return now - cached.checked_at >= FRESH_SECONDS and now >= self._not_before.get(key, 0.0)

    def _is_here(self, repository: Repository, reference: str) -> bool:
        try:
            self._catalog.image(repository, **_asked(reference))
        except AwsError:
            return False
        return True

    def _ended(self, key: str, task: "asyncio.Task[bool]") -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _fetch_in_turn(self, upstream: Upstream, name: str, reference: str, key: str) -> bool:
        rule = upstream.rule
        failure = ("ServerException", "")
        try:
            async with self._slots, asyncio.timeout(FETCH_SECONDS_MAX):
                digest = await self._fetch(upstream, name, reference)
            if not _DIGEST.fullmatch(reference):
                self._table.put(key, Cached(digest=digest, checked_at=self._clock.now()))
            self._not_before.pop(key, None)
            self._tell(rule, name, reference, digest, ("", ""))
            await self._store.commit()
            return True
        except PullError as error:
            failure = (_CODES.get(error.kind, "UpstreamUnavailable"), str(error))
            missing = error.kind == "not-found"
        except AwsError as error:
            failure = (error.code, error.message)
            missing = error.code in ("ImageNotFoundException", "RepositoryNotFoundException")
        except TimeoutError:
            failure, missing = ("UpstreamUnavailable", "The upstream registry takes too long"), False
        return await self._fall_back(rule, name, reference, key, failure, missing=missing)

    async def _fall_back(
        self, rule: CacheRule, name: str, reference: str, key: str, failure: tuple[str, str], *, missing: bool
    ) -> bool:
        """Let the copy serve when there is one; otherwise say why there is nothing."""
        _log.info("a pull through the cache failed", repository=name, reference=reference, why=failure[1])
        repository = self._catalog.find(rule.account, rule.region, name)
        here = repository is not None and self._is_here(repository, reference)
        if here:
            self._not_before[key] = self._clock.now() + RETRY_SECONDS
        if missing and not here:
            return False
        self._tell(rule, name, reference, "", failure)
        await self._store.commit()
        if here:
            return True
        raise AwsError(
            "UnableToGetUpstreamImageException",
            f"The image '{name}' with reference '{reference}' could not be pulled from the upstream registry"
            f" {rule.upstream_url}: {failure[1]}",
            status=_STATUSES.get(failure[0], 502),
            fields={"failureCode": failure[0]},
        )

    def _tell(
        self, rule: CacheRule, name: str, reference: str, digest: str, failure: tuple[str, str]
    ) -> None:
        is_digest = _DIGEST.fullmatch(reference) is not None
        tag = "" if is_digest else reference
        found = digest or (reference if is_digest else "")
        self._events.cached(rule, name, tag, found, failure=failure)

    async def _fetch(self, upstream: Upstream, name: str, reference: str) -> str:
        """Bring the image here; its digest.  PullError, AwsError."""
        home = upstreams.registry_of(upstream.rule.upstream_url)
        if home is not None:
            return await self._copy(upstream, home, name, reference)
        async with self._open_source(await self._rules.login(upstream.rule)) as source:
            return await self._bring(source, upstream, name, reference)

    async def _bring(self, source: Source, upstream: Upstream, name: str, reference: str) -> str:
        rule = upstream.rule
        asked = Reference(rule.upstream_url, upstream.repository, **_asked(reference))
        found, manifest = await source.manifest(asked)
        repository = self._catalog.find(rule.account, rule.region, name)
        if repository is not None and self._has(repository, reference, found):
            return found.digest
        if repository is None:
            repository = await self._templates.make(rule.account, rule.region, name, PULL_THROUGH_CACHE)
        tag = _asked(reference).get("tag", "")
        await self._fetcher.bring(source, asked, repository, found, manifest, tag=tag)
        return found.digest

    def _has(self, repository: Repository, reference: str, found: Descriptor) -> bool:
        try:
            return self._catalog.image(repository, **_asked(reference)).digest == found.digest
        except AwsError:
            return False

    async def _copy(self, upstream: Upstream, home: tuple[str, str], name: str, reference: str) -> str:
        """From another registry of this cloud: records only."""
        rule = upstream.rule
        source = self._catalog.repository(*home, upstream.repository)
        self._permit(rule, source)
        image = self._catalog.image(source, **_asked(reference))
        repository = self._catalog.find(rule.account, rule.region, name)
        if repository is None:
            repository = await self._templates.make(rule.account, rule.region, name, PULL_THROUGH_CACHE)
        await self._copier.copy(source, image, repository, (_asked(reference).get("tag", ""),))
        return image.digest

    def _permit(self, rule: CacheRule, source: Repository) -> None:
        """Another account's repository must allow its images to be pulled."""
        if source.account == rule.account:
            return
        from cumulo.base.policy import Question, Who

        for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"):
            asked = Question(
                action=action,
                resource=repository_arn(source.account, source.region, source.name),
                who=Who(rule.account, rule.role_arn),
                keys={"aws:principalaccount": rule.account, "aws:principalarn": rule.role_arn},
            )
            if not policy.allows(source.policy, asked):
                raise AwsError("UpstreamAccessDenied", f"The upstream repository does not allow {action}")


def _asked(reference: str) -> dict[str, str]:
    return {"digest": reference} if _DIGEST.fullmatch(reference) else {"tag": reference}
