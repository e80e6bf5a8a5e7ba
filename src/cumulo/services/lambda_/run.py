"""Carries transitions to their end: takes a function with unfinished versions, prepares them, saves what came of it.

    creation, update, restart -> want(target) -> prepare -> settle (pure) -> one commit -> Fleet.retire(old)

The only place of the control plane that owns tasks.  Everything it does can be done again: after a kill the
store still says what is unfinished.
"""

import asyncio
import contextlib

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.log import Log
from cumulo.services.lambda_ import states
from cumulo.services.lambda_.code import CodeStore
from cumulo.services.lambda_.images import FunctionImages
from cumulo.services.lambda_.model import LATEST, Fleet, Function, State, Version
from cumulo.services.lambda_.names import Target
from cumulo.services.lambda_.preparation import NotPreparable, Preparation
from cumulo.services.lambda_.registry import Registry
from cumulo.services.lambda_.states import Outcome
from cumulo.state.store import StoreError

TRANSITIONS_MAX = 8  # functions at work at the same time
TIDY_SECONDS = 5.0
REFUSED_SECONDS = 1.0  # until a transition that the disk refused is tried again

log = Log("lambda")


class Transitions:
    """One task that starts a bounded number of others, each of which finishes one function."""

    def __init__(
        self,
        registry: Registry,
        preparation: Preparation,
        code: CodeStore,
        fleet: Fleet,
        clock: Clock,
        ids: Ids,
        images: FunctionImages | None = None,
    ) -> None:
        self._images = images
        self._registry = registry
        self._preparation = preparation
        self._code = code
        self._fleet = fleet
        self._clock = clock
        self._ids = ids
        self._wanted: dict[Target, None] = {}  # at most one entry a function, in order
        self._at_work: set[Target] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._tidier: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Begin, with what a restart left unfinished."""
        for target in self._registry.unfinished():
            self.want(target)
        self._loop = asyncio.create_task(self._run())
        self._tidier = asyncio.create_task(self._tidy())

    async def close(self) -> None:
        """Stop; what is unfinished stays so in the store."""
        for task in (self._loop, self._tidier):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._loop = self._tidier = None
        self._wanted.clear()
        self._at_work.clear()
        self._idle.set()

    def want(self, target: Target) -> None:
        """Finish this function's transitions, soon."""
        self._wanted[target] = None
        self._idle.clear()
        self._wake.set()

    async def settled(self) -> None:
        """Return when nothing is wanted or at work."""
        await self._idle.wait()

    def drop(self, version: Version) -> None:
        """A version serves no longer: its environments take no new calls, its code may go."""
        if version.generation:
            self._preparation.forget(version.generation)
            self._fleet.retire(version.generation)
        self.release_code(version)

    def release_code(self, version: Version) -> None:
        """A version has other code now, or is gone: let its code go if nothing else refers to it."""
        self.release({version.code_sha256})
        if self._images is not None:
            self._images.let_go(version, self._clock.monotonic())

    def release(self, digests: set[str]) -> None:
        """Let code go that nothing refers to any more."""
        self._code.unused(digests - self._registry.digests())

    async def remove_unused_code(self) -> int:
        """Remove code that nothing has referred to for long enough; how many zips went."""
        return await self._code.remove_unused(self._registry.digests())

    async def remove_unused_images(self) -> int:
        """The same for images; how many went."""
        if self._images is None or not self._images.has_unused():
            return 0
        return await self._images.remove_unused(self._registry.images(), self._clock.monotonic())

    async def changed(self, version: Version, lost: Outcome | None) -> None:
        """The image of a callable version was lost, or (None) found again."""
        target = Target(version.account, version.region, version.name)

        def change(one: Version | None) -> Version | None:
            if one is None or one.generation != version.generation:
                return one  # updated meanwhile
            if lost is not None and one.state in {State.ACTIVE, State.INACTIVE}:
                return states.lose(one, lost)
            return states.find(one) if lost is None and one.state is State.INACTIVE else one

        function = self._registry.find(target)
        published = self._registry.find_version(target, version.version)
        if published is not None and (after := change(published)) is not published and after is not None:
            self._registry.put_version(after)
        elif function is not None:
            latest, serving = change(function.latest), change(function.serving)
            assert latest is not None, "it was not None before"
            if latest is not function.latest or serving is not function.serving:
                self._registry.put(msgspec.structs.replace(function, latest=latest, serving=serving))
        await self._registry.commit()

    # -- the loop ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for target in [t for t in self._wanted if t not in self._at_work]:
                    if len(self._at_work) >= TRANSITIONS_MAX:
                        break
                    del self._wanted[target]
                    self._at_work.add(target)
                    group.create_task(self._finish(target))

    async def _finish(self, target: Target) -> None:
        try:
            await self._finish_versions(target)
        except StoreError as error:
            log.error("the store refused a transition; it is tried again", error=str(error))  # noqa: TRY400
            await asyncio.sleep(REFUSED_SECONDS)
            self.want(target)
        except Exception:
            # One function's fate must not end the loop that all others wait for.
            log.exception("a transition failed", function=target.name)
        finally:
            self._at_work.discard(target)
            if not self._at_work and not self._wanted:
                self._idle.set()
            self._wake.set()

    async def _finish_versions(self, target: Target) -> None:
        function = self._registry.find(target)
        if function is None:
            return
        for version in states.unfinished(function, self._registry.published(function)):
            outcome = await self._prepared(version)
            self._settle(target, version, outcome)
            await self._registry.commit()

    async def _prepared(self, version: Version) -> Outcome:
        try:
            host = await self._preparation.prepare(version)
        except NotPreparable as error:
            return Outcome(reason=error.reason, reason_code=error.code)
        except Exception as error:
            log.exception("a preparation failed", function=version.name)
            return Outcome(reason=f"The function could not be prepared: {error}", reason_code="InternalError")
        return Outcome(version_arn=host.version_arn.replace("{region}", version.region))

    def _settle(self, target: Target, version: Version, outcome: Outcome) -> None:
        """Save what became of a version, unless it was deleted or overtaken meanwhile."""
        function = self._registry.find(target)
        if function is None:
            return
        if version.version == LATEST:
            if function.latest.generation == version.generation and states.in_progress(function.latest):
                self._settle_latest(function, outcome)
            return
        found = self._registry.find_version(target, version.version)
        if found is not None and found.generation == version.generation and states.in_progress(found):
            # A published version never changes again, so it keeps the revision it was made with.
            self._registry.put_version(states.settle(found, outcome))

    def _settle_latest(self, function: Function, outcome: Outcome) -> None:
        settled = states.settle_latest(function, outcome)
        latest = msgspec.structs.replace(settled.latest, revision_id=self._ids.uuid())
        serving = latest if settled.serving is settled.latest else settled.serving
        self._registry.put(msgspec.structs.replace(settled, latest=latest, serving=serving))
        if serving is latest and function.serving is not None:
            self.drop(function.serving)

    async def _tidy(self) -> None:
        """Remove unused code, now and then."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            await self.remove_unused_images()
            due = self._code.next_removal()
            if due is not None and due <= self._clock.monotonic():
                try:
                    await self.remove_unused_code()
                except OSError as error:
                    log.error("unused code could not be removed", error=str(error))  # noqa: TRY400
