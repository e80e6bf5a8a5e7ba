"""Does what plan.py asks for, one verb at a time, each harmless when it is done again.

A verb returns how the facts have changed.  CannotStart: the task cannot be brought up.  EngineError: the engine is
out of reach for now, and the verb is to be tried again.
"""

import asyncio
import contextlib
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from cumulo.engines.engine import (
    Busy,
    ContainerState,
    ContainerStatus,
    Engine,
    EngineError,
    ExecSpec,
    NoSuchPod,
    PodStatus,
    StartFailed,
    Unsupported,
)
from cumulo.services.ecs.model import Document, Task, TaskDefinition
from cumulo.services.ecs.running import checks, folders, names, pods, volumes
from cumulo.services.ecs.running.container_spec import FARGATE_FILES
from cumulo.services.ecs.running.environment import environment_of
from cumulo.services.ecs.running.facts import Checked, Facts, Interface, Made, Pulled, Seen
from cumulo.services.ecs.running.overrides import containers_of
from cumulo.services.ecs.running.refusal import CannotStart, cannot_create
from cumulo.services.ecs.running.world import World

Change = Callable[[Facts], Facts]
_NOT_STARTED = 128


class Verbs:
    """The verbs of one task; `task` is its record now, and its definition does not change."""

    def __init__(self, world: World, definition: TaskDefinition) -> None:
        self._world = world
        self._definition = definition
        self._mode = definition.network_mode

    # -- finding -----------------------------------------------------------------------------------------

    async def look(self, task: Task) -> Change:
        """Which pods there are, and what became of their containers."""
        engine = await self._world.engine()
        found: dict[str, PodStatus] = {}
        for pod in names.pod_names(task, self._definition):
            with contextlib.suppress(NoSuchPod):
                found[pod] = await engine.inspect(pod)
        seen: dict[str, Seen] = {}
        lost: set[str] = set()
        for one in task.containers:
            pod, inner = self._where(task, one.name)
            status = found[pod].containers.get(inner) if pod in found else None
            if status is not None and not (
                one.status == "RUNNING" and status.state is ContainerState.CREATED
            ):
                seen[one.name] = seen_of(status)
                if status.state is not ContainerState.CREATED:
                    self._world.logs.follow(task, self._told(task, one.name), pod, inner)
            elif one.status in {"CREATED", "RUNNING"}:
                lost.add(one.name)
        caught_up = await self._caught_up(task, engine, found, seen)
        return lambda facts: replace(
            caught_up(facts), looked=True, seen={**facts.seen, **seen}, lost=frozenset(lost)
        )

    async def _caught_up(
        self, task: Task, engine: Engine, found: Mapping[str, PodStatus], seen: Mapping[str, Seen]
    ) -> Change:
        """What the record does not know yet of containers that have run: it was behind when the house was killed."""
        behind = [one.name for one in task.containers if one.status in {"PENDING", "PULLED"}]
        if not any(name in seen and seen[name].state != "created" for name in behind):
            return lambda facts: facts
        made = self._made(task, containers_of(task, self._definition), found)
        pulled = {}
        for name in behind:
            pod, inner = self._where(task, name)
            image = await engine.images.get(found[pod].containers[inner].image)
            if image is not None:
                pulled[name] = Pulled(image.id, image.digest)
        return lambda facts: made(replace(facts, pulled={**facts.pulled, **pulled}))

    async def watch(self, task: Task, container: str) -> Change:
        """Wait until a container has ended."""
        engine = await self._world.engine()
        pod, inner = self._where(task, container)
        try:
            ended = await engine.wait(pod, inner)
            status = (await engine.inspect(pod)).containers[inner]
        except NoSuchPod:
            return _lost(container)
        except Busy:
            return await self.look(task)
        seen = replace(
            seen_of(status),
            state="exited",
            code=ended.code,
            out_of_memory=ended.out_of_memory,
            finished_at=ended.finished_at or self._world.clock.now(),
            error=ended.error,
        )
        return _saw(container, seen)

    # -- making ------------------------------------------------------------------------------------------

    async def pull(self, task: Task, container: str) -> Change:
        """Have the image of a container."""
        engine = await self._world.engine()
        async with self._world.pulls:
            told = self._told(task, container)
            pulled = await self._world.images.pull(engine, task, self._definition, told)
        return lambda facts: replace(facts, pulled={**facts.pulled, container: pulled})

    async def create(self, task: Task, facts: Facts) -> Change:
        """Make the pods, with everything that their containers are given."""
        engine = await self._world.engine()
        containers = containers_of(task, self._definition)
        place = self._place(task)
        pods.refuse(task, self._definition, containers, engine.capabilities, place)
        for one in containers:
            self._world.logs.check(task, one)
        images = {}
        for one in containers:
            image = await engine.images.get(facts.pulled[str(one["name"])].id)
            if image is None:
                raise cannot_create("the image was removed while the task was started", str(one["name"]))
            images[str(one["name"])] = image
        env = await self._environments(task, containers, engine)
        mounted = volumes.volumes_of(
            task,
            self._definition,
            containers,
            efs=self._efs(task),
            image_volumes={name: image.config.volumes for name, image in images.items()},
        )
        if mounted.folders:
            await asyncio.to_thread(_make_folders, mounted)
        hosts: dict[str, str] = {}
        for attachment in self._world.attachments:
            hosts |= attachment.hosts(task)
        plans = pods.pods_of(
            task,
            self._definition,
            containers,
            images=images,
            env=env,
            volumes=mounted,
            place=place,
            hosts=hosts,
            able=engine.capabilities,
        )
        async with self._world.creates:
            statuses = await self._make(task, engine, plans)
        return self._made(task, containers, statuses)

    async def _environments(
        self, task: Task, containers: tuple[Document, ...], engine: Engine
    ) -> Mapping[str, Mapping[str, str]]:
        given = self._world.agent.variables
        found = await asyncio.gather(
            *(
                environment_of(
                    task,
                    one,
                    given(task, self._definition, str(one["name"]), engine.capabilities),
                    self._world.sources,
                )
                for one in containers
            )
        )
        return {str(one["name"]): env for one, env in zip(containers, found, strict=True)}

    async def _make(self, task: Task, engine: Engine, plans: list[pods.PodPlan]) -> dict[str, PodStatus]:
        statuses: dict[str, PodStatus] = {}
        for plan in plans:
            linked = {
                alias: statuses[self._where(task, target)[0]].address
                for alias, target in plan.links
                if self._where(task, target)[0] in statuses
            }
            spec = replace(plan.spec, hosts={**plan.spec.hosts, **linked})
            try:
                statuses[spec.name] = await engine.create(spec)
            except Unsupported as error:
                raise cannot_create(str(error)) from error
            except EngineError as error:
                await self._alive(engine)
                raise cannot_create(str(error)) from error
        return statuses

    def _made(
        self, task: Task, containers: tuple[Document, ...], statuses: Mapping[str, PodStatus]
    ) -> Change:
        made = {}
        interface = None
        if self._mode == "awsvpc":
            address = next(iter(statuses.values())).address
            interface = Interface(
                address=address,
                eni=task.eni or f"eni-{self._world.ids.hex(17)}",
                mac=task.mac or (names.mac_of(address) if address else ""),
                attachment_id=task.attachment_id or self._world.ids.uuid(),
            )
        for one in containers:
            pod, inner = self._where(task, str(one["name"]))
            status = statuses[pod].containers[inner]
            made[str(one["name"])] = Made(
                pod=pod,
                id=status.id,
                created_at=status.created_at,
                bindings=pods.bindings(one, self._mode, statuses[pod].ports),
                interfaces=_interfaces(interface),
            )
        return lambda facts: replace(facts, made=made, interface=interface)

    async def prepare(self, task: Task) -> Change:
        """Listen inside the pods: the agent's endpoints, and what others have there."""
        engine = await self._world.engine()
        for pod in names.pod_names(task, self._definition):
            try:
                await self._world.agent.listen(engine, task, self._definition, pod)
                for attachment in self._world.attachments:
                    await attachment.prepare(task, pod)
            except NoSuchPod:
                continue  # whoever looks at its containers learns of it
        return lambda facts: replace(facts, prepared=True)

    async def start(self, task: Task, container: str) -> Change:
        """Start a container, for the first time or again."""
        engine = await self._world.engine()
        pod, inner = self._where(task, container)
        try:
            status = await engine.start(pod, inner)
        except StartFailed as error:
            return _saw(container, await self._unstarted(engine, pod, inner, str(error)))
        except NoSuchPod:
            return _lost(container)
        except EngineError as error:
            await self._alive(engine)
            seen = Seen(
                state="exited",
                code=_NOT_STARTED,
                error=str(error),
                finished_at=self._world.clock.now(),
            )
            return _saw(container, seen)
        self._world.logs.follow(task, self._told(task, container), pod, inner)
        seen = seen_of(status)
        if seen.state == "exited":  # quicker than we looked: it is seen to run first, then to have ended
            seen = replace(seen, state="running")
        return lambda facts: replace(
            facts, seen={**facts.seen, container: seen}, checked={**facts.checked, container: Checked()}
        )

    async def _unstarted(self, engine: Engine, pod: str, inner: str, error: str) -> Seen:
        code = 127
        with contextlib.suppress(EngineError):
            ended = (await engine.inspect(pod)).containers[inner].exit
            code = ended.code if ended is not None else code
        return Seen(state="exited", code=code, error=error, finished_at=self._world.clock.now())

    # -- running -----------------------------------------------------------------------------------------

    async def probe(self, task: Task, container: str, facts: Facts) -> Change:
        """Carry out a health check once."""
        check = checks.check_of(self._told(task, container))
        record = next(one for one in task.containers if one.name == container)
        assert check is not None, "only what has one is probed"
        engine = await self._world.engine()
        pod, inner = self._where(task, container)
        ok = False
        async with self._world.probes:
            with contextlib.suppress(TimeoutError, StartFailed, Busy, NoSuchPod):
                async with asyncio.timeout(check.timeout):
                    ok = await _succeeds(engine, pod, inner, check.argv)
        before = facts.checked.get(container, Checked())
        after = checks.after(check, record, before, self._world.clock.now(), ok=ok)
        return lambda facts: replace(facts, checked={**facts.checked, container: after})

    async def attach(self, task: Task) -> Change:
        """Let traffic come."""
        for attachment in self._world.attachments:
            await attachment.attach(task)
        return lambda facts: replace(facts, attached=True)

    async def detach(self, task: Task) -> Change:
        """Let no more come, and wait for the old to drain."""
        await asyncio.gather(*(attachment.detach(task) for attachment in self._world.attachments))
        return lambda facts: replace(facts, detached=True)

    # -- ending ------------------------------------------------------------------------------------------

    async def signal(self, task: Task, container: str) -> Change:
        """Ask a container to end: its image's signal, or SIGTERM."""
        engine = await self._world.engine()
        pod, inner = self._where(task, container)
        with contextlib.suppress(Busy, NoSuchPod):
            status = (await engine.inspect(pod)).containers[inner]
            image = await engine.images.get(status.image)
            wanted = image.config.stop_signal if image is not None else ""
            await engine.signal(pod, inner, wanted or "SIGTERM")
        now = self._world.clock.now()
        return lambda facts: replace(facts, termed={**facts.termed, container: now})

    async def kill(self, task: Task, container: str) -> Change:
        """End a container."""
        engine = await self._world.engine()
        with contextlib.suppress(Busy, NoSuchPod):
            await engine.signal(*self._where(task, container), "SIGKILL")
        now = self._world.clock.now()
        return lambda facts: replace(facts, killed={**facts.killed, container: now})

    async def remove(self, task: Task) -> Change:
        """Give back everything that the task had; its output is in its log by then."""
        engine = await self._world.engine()
        await self._world.logs.drain(task)
        for attachment in self._world.attachments:
            await attachment.gone(task)
        await self._world.agent.close(task)
        for pod in names.pod_names(task, self._definition):
            await engine.remove(pod)
        self._world.logs.forget(task)
        for volume in volumes.own_volumes(task, self._definition):
            with contextlib.suppress(Busy):
                await engine.remove_volume(volume)
        return lambda facts: replace(facts, removed=True)

    # -- small things ------------------------------------------------------------------------------------

    def _where(self, task: Task, container: str) -> tuple[str, str]:
        return (
            names.pod_name(task, self._definition, container),
            names.inner_name(self._definition, container),
        )

    def _told(self, task: Task, container: str) -> Document:
        return next(one for one in containers_of(task, self._definition) if one["name"] == container)

    def _efs(self, task: Task) -> Path:
        """Where file systems are: in a cloud that many share, those of the task's account alone."""
        return self._world.efs if self._world.trusted else self._world.efs / task.account

    def _place(self, task: Task) -> pods.Place:
        instance = self._world.records.instances.get(task.instance_arn) if task.instance_arn else None
        place = pods.Place(trusted=self._world.trusted, files_max=_files_max())
        return place if instance is None else replace(place, slice=instance.slice, address=instance.address)

    async def _alive(self, engine: Engine) -> None:
        """EngineError when the engine is out of reach: then it is to blame, and not what was asked of it."""
        await engine.pods(names.OWNER)


async def _succeeds(engine: Engine, pod: str, inner: str, argv: tuple[str, ...]) -> bool:
    session = await engine.exec(pod, inner, ExecSpec(argv=argv))
    try:
        while await session.read() is not None:
            pass
        return await session.wait() == 0
    finally:
        await session.close()


def _files_max() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return FARGATE_FILES if hard == resource.RLIM_INFINITY else hard


def _make_folders(mounted: volumes.Volumes) -> None:
    for below, parts in mounted.folders:
        try:
            folders.make(below, parts)
        except OSError as error:
            raise CannotStart(
                f"ResourceInitializationError: failed to mount /{'/'.join(parts)}: {error}"
            ) from error


def _interfaces(interface: Interface | None) -> tuple[Document, ...]:
    if interface is None:
        return ()
    return ({"attachmentId": interface.attachment_id, "privateIpv4Address": interface.address},)


def _saw(container: str, seen: Seen) -> Change:
    return lambda facts: replace(facts, seen={**facts.seen, container: seen})


def _lost(container: str) -> Change:
    def change(facts: Facts) -> Facts:
        seen = {name: one for name, one in facts.seen.items() if name != container}
        return replace(facts, seen=seen, lost=facts.lost | {container})

    return change


def seen_of(status: ContainerStatus) -> Seen:
    """A container's status in the words of the plan; what is paused runs."""
    ended = status.exit
    states: dict[ContainerState, Any] = {
        ContainerState.CREATED: "created",
        ContainerState.EXITED: "exited",
    }
    seen = Seen(state=states.get(status.state, "running"), started_at=status.started_at)
    if ended is None:
        return seen
    return msgspec.structs.replace(
        seen,
        finished_at=ended.finished_at,
        code=ended.code,
        out_of_memory=ended.out_of_memory,
        error=ended.error,
    )
