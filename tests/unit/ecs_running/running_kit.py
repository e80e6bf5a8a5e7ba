"""What tests of running tasks share: definitions, tasks, and a runner on an engine in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock, SystemClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports import Credentials, LogEvent
from cumulo.base.ports.images import ResolvedImage
from cumulo.engines.engine import Engine
from cumulo.engines.fake import FakeEngine, FakeHost
from cumulo.engines.images import Source
from cumulo.services.ecs.model import Task, TaskContainer, TaskDefinition, TaskStatus
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.running.environment import Sources
from cumulo.services.ecs.running.house import build
from cumulo.services.ecs.running.runner import TaskRunner
from cumulo.state.journal import Journal
from cumulo.state.store import Store

ACCOUNT, REGION = "000000000000", "us-east-1"
CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/default"
IMAGE = "test.local/app:1"


def container(name: str = "main", *command: str, **changes: Any) -> dict[str, Any]:
    """A container definition with AWS's defaults."""
    told = {
        "name": name,
        "image": IMAGE,
        "cpu": 0,
        "essential": True,
        "portMappings": [],
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
    }
    return told | ({"command": list(command)} if command else {}) | changes


def definition(*containers: Mapping[str, Any], mode: str = "awsvpc", **document: Any) -> TaskDefinition:
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/app:1"
    told = {"containerDefinitions": list(containers), "networkMode": mode, "volumes": []} | document
    return TaskDefinition(account=ACCOUNT, region=REGION, family="app", revision=1, arn=arn, document=told)


def a_task(of: TaskDefinition, number: int = 1, **changes: Any) -> Task:
    """A task as it is when it was placed on Fargate."""
    name = f"{number:032x}"
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "id": name,
        "arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/{name}",
        "cluster_arn": CLUSTER,
        "definition_arn": of.arn,
        "family": of.family,
        "launch_type": "FARGATE",
        "created_at": 1_700_000_000.0,
        "containers": tuple(
            TaskContainer(
                name=one["name"],
                arn=f"arn:aws:ecs:{REGION}:{ACCOUNT}:container/default/{name}/{one['name']}",
                image=one["image"],
                essential=bool(one.get("essential", True)),
            )
            for one in of.containers
        ),
    }
    return Task(**(values | changes))


class Logs:
    """LogSink: lines by group and stream."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], list[str]] = {}

    def append(self, account: str, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        self.lines.setdefault((group, stream), []).extend(event.message for event in events)


class Registry:
    """ImageRegistry: whatever the engine knows."""

    def __init__(self, refused: Mapping[str, AwsError] | None = None) -> None:
        self.refused = dict(refused or {})

    async def resolve(self, caller: Caller, uri: str) -> ResolvedImage[Source]:
        if uri in self.refused:
            raise self.refused[uri]
        return ResolvedImage(uri=uri, reference=uri, digest="sha256:" + "d" * 64)


class Vault:
    """Secrets, Parameters and ObjectReader: one dictionary."""

    def __init__(self, **values: str) -> None:
        self.values: dict[str, str] = dict(values)

    async def secret(self, account: str, region: str, secret: str) -> str:
        return self._get(secret, "ResourceNotFoundException")

    async def parameter(self, account: str, region: str, name: str) -> str:
        return self._get(name, "ParameterNotFound")

    async def read_object(
        self, caller: Caller, bucket: str, key: str, version: str | None, *, bytes_max: int
    ) -> bytes:
        return self._get(f"{bucket}/{key}", "NoSuchKey").encode()

    def _get(self, name: str, code: str) -> str:
        if name not in self.values:
            raise AwsError(code, "it is not there")
        return self.values[name]


class Roles:
    """RoleSessions."""

    def issue(self, account: str, role_arn: str, session_name: str) -> Credentials:
        return Credentials("ASIAKEY", "secret", "token", 4_000_000_000.0)


class House:
    """A runner with its store and its engine; `again` is what a restart does."""

    def __init__(self, folder: Path, engine: Engine, clock: Clock | None = None, **changes: Any) -> None:
        self.folder = folder
        self.engine = engine
        self.clock = clock or SystemClock()
        self.changes = changes
        self.logs = Logs()
        self.registry = Registry()
        self.vault = Vault()
        self.engine_error: Exception | None = None
        self.open()

    def open(self) -> None:
        self.store = Store(self.folder / "cumulo.db", synchronous="OFF")
        self.journal = Journal(self.folder / "journal", self.store)
        self.records = Records(self.store)
        self.history: list[str] = []
        self.versions: list[int] = []
        self.records.tasks.listeners.append(self._heard)
        values: dict[str, Any] = {
            "engine": self.get,
            "registry": self.registry,
            "sources": Sources(self.vault, self.vault, self.vault),
            "sink": self.logs,
            "roles": Roles(),
            "clock": self.clock,
            "ids": Ids(),
            "efs": self.folder / "efs",
        }
        self.runner: TaskRunner = build(self.records, self.journal, **(values | self.changes))
        self.journal.replay()

    def _heard(self, before: Task | None, after: Task | None) -> None:
        if after is not None:
            self.versions.append(after.version)
            if before is None or before.last_status is not after.last_status:
                self.history.append(after.last_status.value)

    async def get(self) -> Engine:
        if self.engine_error is not None:
            raise self.engine_error
        return self.engine

    def put(self, of: TaskDefinition, task: Task) -> None:
        self.records.definitions.put(of)
        self.records.tasks.put(task)

    async def begin(self, of: TaskDefinition, **changes: Any) -> Task:
        """Commit a task and hand it over."""
        task = a_task(of, **changes)
        self.put(of, task)
        await self.store.commit()
        self.runner.take_up(task)
        return task

    def task(self, task: Task) -> Task:
        found = self.records.tasks.get(task.arn)
        assert found is not None
        return found

    def container(self, task: Task, name: str = "main") -> TaskContainer:
        return next(one for one in self.task(task).containers if one.name == name)

    async def until(self, task: Task, condition: Callable[[Task], Any], seconds: float = 20.0) -> Task:
        """Wait until a task's record fulfils a condition."""
        changed = asyncio.Event()

        def heard(before: Task | None, after: Task | None) -> None:
            changed.set()

        self.records.tasks.listeners.append(heard)
        try:
            async with asyncio.timeout(seconds):
                while not condition(self.task(task)):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            raise AssertionError(f"it never came: {self.task(task)}") from None
        finally:
            self.records.tasks.listeners.remove(heard)
        return self.task(task)

    async def stopped(self, task: Task, seconds: float = 20.0) -> Task:
        return await self.until(task, lambda it: it.last_status is TaskStatus.STOPPED, seconds)

    async def running(self, task: Task, seconds: float = 20.0) -> Task:
        return await self.until(task, lambda it: it.last_status is TaskStatus.RUNNING, seconds)

    async def close(self) -> None:
        await self.runner.close()
        await self.journal.close()
        await self.store.close()

    async def again(self) -> None:
        """The control plane goes away, and another comes."""
        await self.close()
        self.open()
        self.runner.start()


@asynccontextmanager
async def a_house(
    folder: Path,
    programs: Mapping[str, Callable[..., Awaitable[int]]] | None = None,
    clock: Clock | None = None,
    **changes: Any,
) -> AsyncIterator[House]:
    """A house on the engine in memory, with the one image."""
    engine = FakeEngine(clock or SystemClock(), programs, host=FakeHost())
    engine.add_image(IMAGE)
    house = House(folder, engine, clock, **changes)
    try:
        yield house
    finally:
        await house.close()
        for pod in await engine.pods():
            await engine.remove(pod.name)
