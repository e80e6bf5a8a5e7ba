"""The Runner: a loop for each live task, and what was left by those that are not live any more."""

import asyncio
import contextlib
from collections.abc import Mapping

from msgspec.structs import replace

from cumulo.base.log import Log
from cumulo.base.tasks import cancel_all
from cumulo.engines.engine import Capability, Engine, EngineError, Usage
from cumulo.services.ecs.model import StopCode, Task, TaskStatus
from cumulo.services.ecs.running import names
from cumulo.services.ecs.running.agent.answers import Protection
from cumulo.services.ecs.running.pinning import Pins
from cumulo.services.ecs.running.plan import is_wanted, stopping
from cumulo.services.ecs.running.run import Life
from cumulo.services.ecs.running.volumes import own_volumes, shared_volumes
from cumulo.services.ecs.running.world import World
from cumulo.services.ecs.seams import Attachment

AGAIN_SECONDS = 5.0
REMOVALS_MAX = 16  # pods that are removed at the same time
_log = Log("ecs")


class TaskRunner:
    """seams.Runner."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lives: dict[str, tuple[Life, asyncio.Task[None]]] = {}
        self._closed = False
        self._held = False

    def add(self, attachment: Attachment) -> None:
        """From now on tasks take part in this.  To be called before `start`."""
        self._world.attachments.append(attachment)

    def protect(self, protection: Protection) -> None:
        """Tasks that ask for protection of their own are answered by this."""
        self._world.agent.protect(protection)

    def pin(self, pins: Pins) -> None:
        """From now on this keeps which images the tasks of deployments run.  To be called before `start`."""
        self._world.images.pins = pins

    def start(self) -> int:
        """Take up every live task again; how many there are."""
        live = self._world.records.tasks.by("live", "yes")
        for task in live:
            self._begin(task, fresh=False)
        return len(live)

    def take_up(self, task: Task) -> None:
        """See seams.Runner."""
        self._begin(task, fresh=task.last_status is TaskStatus.PROVISIONING and task.version == 1)

    def _begin(self, task: Task, *, fresh: bool) -> None:
        if self._closed or self._held or not task.is_live:
            return
        known = self._lives.get(task.arn)
        if known is not None:
            known[0].wake()
            return
        definition = self._world.records.definition(task.definition_arn)
        if definition is None:
            _log.error("a task has no definition", task=task.arn)
            return
        life = Life(self._world, task.arn, definition, fresh=fresh)
        running = asyncio.get_running_loop().create_task(life.run(), name=task.arn)
        self._lives[task.arn] = (life, running)
        running.add_done_callback(lambda done: self._ended(task.arn, done))

    def _ended(self, arn: str, done: asyncio.Task[None]) -> None:
        self._lives.pop(arn, None)
        if done.cancelled() or (error := done.exception()) is None:
            return
        _log.error("the loop of a task died", task=arn, error=repr(error))
        done.get_loop().call_later(AGAIN_SECONDS, self._revive, arn)

    def _revive(self, arn: str) -> None:
        """Begin again with a task whose loop has died of a bug: what it waits for may be otherwise by now."""
        task = self._world.records.tasks.get(arn)
        if task is not None:
            self._begin(task, fresh=False)

    async def stop(self, task_arn: str, code: StopCode, reason: str) -> Task | None:
        """See seams.Runner."""
        task = self._world.records.tasks.get(task_arn)
        if task is None:
            return None
        if is_wanted(task) and task.is_live:
            wanted = stopping(task, code, reason, self._world.clock.now())
            task = self._world.records.tasks.put(replace(wanted, version=task.version + 1))
        self.take_up(task)  # also one that stops already: its machine may have gone meanwhile
        await self._world.records.store.commit()
        return task

    def wake(self) -> None:
        """Let every loop look at the time."""
        for life, _ in self._lives.values():
            life.wake()

    async def reap(self) -> int:
        """Remove the pods of no live task; how many.  EngineError."""
        engine = await self._world.engine()
        removed = 0
        for pod in await engine.pods(names.OWNER):
            task = self._world.records.tasks.get(pod.labels.get(names.TASK_LABEL, ""))
            if task is None or not task.is_live:
                await engine.remove(pod.name)
                removed += 1
        return removed

    async def usage(self, task_arn: str) -> Mapping[str, Usage]:
        """What each container of a task uses; empty when it does not run, or nobody measures it.  EngineError."""
        task = self._world.records.tasks.get(task_arn)
        definition = self._world.records.definition(task.definition_arn) if task is not None else None
        if task is None or definition is None or not task.is_live:
            return {}
        engine = await self._world.engine()
        if Capability.USAGE not in engine.capabilities:
            return {}
        found: dict[str, Usage] = {}
        for one in task.containers:
            if one.pod and one.status == "RUNNING":
                with contextlib.suppress(KeyError):
                    by_name = await engine.usage(one.pod)
                    found[one.name] = by_name[names.inner_name(definition, one.name)]
        return found

    async def settled(self, task_arn: str) -> None:
        """Wait until the loop of a task has ended."""
        known = self._lives.get(task_arn)
        if known is not None:
            await asyncio.wait([known[1]])

    async def close(self) -> None:
        """Let go; containers live on."""
        self._closed = True
        await cancel_all(running for _, running in self._lives.values())
        await self._world.logs.close()
        await self._world.agent.stop()

    async def reset(self) -> None:
        """End every loop and remove every pod and volume; whoever owns the records empties them, and calls `release`.

        Until then no loop begins: what it made would be known to nobody afterwards.
        """
        self._held = True
        await cancel_all(running for _, running in self._lives.values())
        await self._world.logs.close()
        self._world.agent.let_go()
        try:
            engine = await self._world.engine()
            slots = asyncio.Semaphore(REMOVALS_MAX)
            # Those of live tasks by their names too: one that is just being made is in no list yet.
            pods = self._pods() | {pod.name for pod in await engine.pods(names.OWNER)}
            await asyncio.gather(*(_remove(engine, pod, slots) for pod in pods))
            for name in self._volumes():
                await engine.remove_volume(name)
        except EngineError as error:
            _log.warning("what is left of tasks stays", error=str(error))

    def release(self) -> None:
        """The records are empty: tasks that are new, also since a moment ago, are carried again."""
        self._held = False
        self.start()

    def _pods(self) -> set[str]:
        """The names of the pods that live tasks have, or are about to have."""
        found: set[str] = set()
        for task in self._world.records.tasks.by("live", "yes"):
            definition = self._world.records.definition(task.definition_arn)
            found.update(names.pod_names(task, definition) if definition is not None else ())
        return found

    def _volumes(self) -> set[str]:
        """The engine's volumes that tasks have, or had."""
        found: set[str] = set()
        for task in self._world.records.tasks.all():
            definition = self._world.records.definition(task.definition_arn)
            if definition is not None:
                found.update(own_volumes(task, definition) if task.is_live else ())
                found.update(shared_volumes(task, definition))
        return found


async def _remove(engine: Engine, pod: str, slots: asyncio.Semaphore) -> None:
    async with slots:
        try:
            await engine.remove(pod)
        except EngineError as error:
            _log.warning("a pod stays", pod=pod, error=str(error))
