"""The loop of one task: step, save in one transaction, carry out, wait.

           ┌────────── something came of a verb, somebody wants it stopped, time has passed
           ▼
step ─▶ put ─▶ step ... ─▶ todo ─▶ verbs (each a task of its own) ─▶ wait
         └───▶ commit ┄┄┄┄┄┄┄┄┄┄┄┄┄▲ what takes away traces waits for it

A verb does not wait until the task's progress is on disk: a kill in between leaves a record that is behind the engine,
and `look` catches up.  Only what the engine would not know any more (how a container has ended) is on disk first.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.tasks import cancel_all
from cumulo.engines.engine import EngineError
from cumulo.services.ecs.model import Task, TaskDefinition, TaskStatus
from cumulo.services.ecs.running.facts import Action, Facts, Failure, Verb
from cumulo.services.ecs.running.plan import is_wanted, step, todo
from cumulo.services.ecs.running.refusal import CannotStart
from cumulo.services.ecs.running.verbs import Change, Verbs
from cumulo.services.ecs.running.world import World
from cumulo.services.ecs.task_news import is_news
from cumulo.state.store import StoreBroken, StoreError

RETRY_SECONDS: Final = 0.5
RETRY_SECONDS_MAX: Final = 15.0
DISK_SECONDS: Final = 1.0
_BRINGS_UP: Final = frozenset({Verb.PULL, Verb.CREATE, Verb.PREPARE, Verb.ATTACH, Verb.PROBE})
_log = Log("ecs")


class Life:
    """One task's."""

    def __init__(self, world: World, arn: str, definition: TaskDefinition, *, fresh: bool) -> None:
        """`fresh`: it has just come into being, so that there are no pods of it."""
        self._world = world
        self._arn = arn
        self._definition = definition
        self._verbs = Verbs(world, definition)
        self._facts = Facts(looked=fresh)
        self._doing: dict[Action, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._last: Task | None = None  # as it was last seen
        self._saving: asyncio.Task[None] | None = None
        self._unsaved = False  # there is something that `_saving` has not begun to save
        self._refused = False  # the disk did not take it

    def wake(self) -> None:
        """The record has changed, or time has passed."""
        self._woken.set()

    async def run(self) -> None:
        """Until the task has stopped, or is not there any more."""
        try:
            while await self._turn():
                pass
        finally:
            await cancel_all([*self._doing.values(), *([self._saving] if self._saving else [])])

    async def _turn(self) -> bool:
        self._woken.clear()
        if self._refused:
            await self._saved()
        task = self._world.records.tasks.get(self._arn)
        if task is None:
            await self._forsake()
            return False
        self._last = task
        self._facts = replace(self._facts, host_gone=self._host_gone(task))
        now = self._world.clock.now()
        stepped = step(task, self._definition, self._facts, now)
        if stepped is not None:
            self._save(replace(stepped, version=task.version + is_news(task, stepped)))
            return True
        if task.last_status is TaskStatus.STOPPED:
            await self._saved()
            return False
        self._let_be(task)
        plan = todo(task, self._definition, self._facts, now)
        for action in plan.actions:
            self._begin(action, task)
        with contextlib.suppress(TimeoutError):
            seconds = None if plan.at is None else max(0.0, plan.at - now)
            await asyncio.wait_for(self._woken.wait(), seconds)
        return True

    def _host_gone(self, task: Task) -> bool:
        instance = self._world.records.instances.get(task.instance_arn) if task.instance_arn else None
        return instance is not None and not instance.agent_connected

    # -- saving ------------------------------------------------------------------------------------------

    def _save(self, task: Task) -> None:
        """Write it, and see to it that it reaches the disk."""
        self._world.records.tasks.put(task)
        self._unsaved = True
        if self._saving is None or self._saving.done():
            self._saving = asyncio.get_running_loop().create_task(self._commit())

    async def _saved(self) -> None:
        """Wait until everything is on disk.  StoreBroken."""
        if self._saving is not None:
            await asyncio.shield(self._saving)  # others wait for it, too

    async def _commit(self) -> None:
        """While the disk refuses, wait."""
        while self._unsaved:
            self._unsaved = False
            try:
                await self._world.records.store.commit()
                self._refused = False
            except StoreBroken:
                self._refused = True
                self._woken.set()
                raise
            except StoreError as error:
                self._unsaved = self._refused = True
                _log.warning("a task waits for the disk", task=self._arn, error=str(error))
                await asyncio.sleep(DISK_SECONDS)

    async def _forsake(self) -> None:
        """The record was deleted: nothing of the task may stay.  What is out of reach now is left to `reap`."""
        await cancel_all(self._doing.values())
        if self._last is not None:
            try:
                await self._verbs.remove(self._last)
            except (EngineError, AwsError, OSError) as error:
                _log.warning("what is left of a deleted task stays", task=self._arn, error=str(error))

    # -- verbs -------------------------------------------------------------------------------------------

    def _let_be(self, task: Task) -> None:
        """End what is not wanted any more: pulls of a task that stops, a drain that has nothing left to wait for."""
        for action, doing in list(self._doing.items()):
            needless = action.verb in {Verb.PULL, Verb.ATTACH, Verb.PROBE, Verb.PREPARE} and not is_wanted(
                task
            )
            if needless or (action.verb is Verb.DETACH and task.last_status is not TaskStatus.DEACTIVATING):
                doing.cancel()

    def _begin(self, action: Action, task: Task) -> None:
        self._facts = replace(self._facts, doing=self._facts.doing | {action})
        doing = asyncio.get_running_loop().create_task(self._do(action, task))
        self._doing[action] = doing
        doing.add_done_callback(lambda _: self._done(action))

    def _done(self, action: Action) -> None:
        self._doing.pop(action, None)
        self._facts = replace(self._facts, doing=self._facts.doing - {action})
        self._woken.set()

    async def _do(self, action: Action, task: Task) -> None:
        """Carry out one verb, again and again while the engine is out of reach."""
        wait = RETRY_SECONDS
        if _takes_away_traces(action, task):
            try:
                await self._saved()
            except StoreBroken:
                return  # the loop ends of it, too
        while True:
            try:
                change = await self._work(action, task)
                self._facts = change(self._facts)
                return
            except CannotStart as error:
                self._fail(Failure(error.reason, error.container, error.task_reason))
                return
            except (EngineError, AwsError, OSError) as error:
                _log.warning(
                    "what a task needs is out of reach",
                    task=self._arn,
                    verb=str(action.verb),
                    error=str(error),
                )
            except Exception as error:  # noqa: BLE001 - a bug must end this task, not the house
                _log.exception("a verb failed", task=self._arn, verb=str(action.verb))
                if action.verb in _BRINGS_UP:
                    self._fail(Failure(f"InternalError: {error!r}", action.container))
                    return
            await asyncio.sleep(wait)
            wait = min(wait * 2, RETRY_SECONDS_MAX)

    def _fail(self, failure: Failure) -> None:
        if self._facts.failure is None:
            self._facts = replace(self._facts, failure=failure)

    def _work(self, action: Action, task: Task) -> Awaitable[Change]:
        verbs, name = self._verbs, action.container
        works: dict[Verb, Callable[[], Awaitable[Change]]] = {
            Verb.LOOK: lambda: verbs.look(task),
            Verb.PULL: lambda: verbs.pull(task, name),
            Verb.CREATE: lambda: verbs.create(task, self._facts),
            Verb.PREPARE: lambda: verbs.prepare(task),
            Verb.START: lambda: verbs.start(task, name),
            Verb.WATCH: lambda: verbs.watch(task, name),
            Verb.PROBE: lambda: verbs.probe(task, name, self._facts),
            Verb.ATTACH: lambda: verbs.attach(task),
            Verb.DETACH: lambda: verbs.detach(task),
            Verb.SIGNAL: lambda: verbs.signal(task, name),
            Verb.KILL: lambda: verbs.kill(task, name),
            Verb.REMOVE: lambda: verbs.remove(task),
        }
        return works[action.verb]()


def _takes_away_traces(action: Action, task: Task) -> bool:
    """Whether the engine forgets by it how a container has ended: the removal, and each start but the first."""
    if action.verb is Verb.START:
        return any(one.name == action.container and one.restarts for one in task.containers)
    return action.verb is Verb.REMOVE
