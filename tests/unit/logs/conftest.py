"""A world with nothing but CloudWatch Logs in it."""

import asyncio
import random
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock, millis
from cumulo.base.ids import Ids
from cumulo.base.ports import Usage
from cumulo.services.logs.service import Logs
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.wire.service import Values

ACCOUNT, REGION = "000000000000", "us-east-1"
MODEL = botocore.session.get_session().get_service_model("logs")


class Meter:
    """Keeps usage records."""

    def __init__(self) -> None:
        self.records: list[Usage] = []

    def record(self, *records: Usage) -> None:
        self.records += records


class World:
    """One cloud's logs on a folder."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.clock = clock
        self.meter = Meter()
        self.store = Store(folder / "db", synchronous="OFF")
        self.journal = Journal(folder / "journal", self.store)
        self.logs = Logs(
            self.store, self.journal, self.meter, clock, Ids(random.Random(1)), live_tail_seconds=0.01
        )
        self.replayed = self.journal.replay()
        self.caller = Caller(account=ACCOUNT, region=REGION)

    @property
    def now_ms(self) -> int:
        return millis(self.clock)

    async def __call__(self, operation: str, **values: Any) -> Values:
        answer = await self.logs.operations()[operation].run(self.caller, values) or {}
        shape = MODEL.operation_model(operation).output_shape
        answer = without_none(answer)
        if shape is None:
            assert answer == {}
        else:
            check(answer, shape)
        return answer

    def put(self, group: str, stream: str, *lines: tuple[int, str]) -> None:
        from cumulo.base.ports import LogEvent

        self.logs.append(ACCOUNT, REGION, group, stream, [LogEvent(*line) for line in lines])

    async def killed(self) -> "World":
        """What a new process finds after kill -9 at this moment."""
        copy = self.folder.with_name(self.folder.name + "x")
        await asyncio.to_thread(shutil.copytree, self.folder, copy)
        await self.close()
        return World(copy, self.clock)

    async def close(self) -> None:
        await self.journal.close()
        await self.store.close()


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value] if isinstance(value, list) else value


def check(value: Any, shape: Any) -> None:
    """Every member is the model's, and of its type."""
    kinds = {"string": str, "integer": int, "long": int, "boolean": bool, "list": list, "map": dict}
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), set(value) - set(shape.members)
        assert set(shape.required_members) <= set(value)
        for name, inner in value.items():
            if not hasattr(inner, "__aiter__"):
                check(inner, shape.members[name])
        return
    assert isinstance(value, kinds[shape.type_name]), (shape.name, value)
    if shape.type_name == "list":
        for inner in value:
            check(inner, shape.member)
    if shape.type_name == "map":
        for key, inner in value.items():
            check(key, shape.key)
            check(inner, shape.value)


@pytest.fixture
def in_world(tmp_path: Path) -> Callable[[Callable[[World], Coroutine[Any, Any, None]]], None]:
    """Runs an async test with a world, and closes the world."""

    def run(test: Callable[[World], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            world = World(tmp_path / "w", VirtualClock(1_800_000_000.0))
            try:
                await test(world)
            finally:
                if (
                    world.folder.exists()
                    and not world.journal._lock.locked()
                    and world.store._writer.is_alive()
                ):
                    await world.close()

        asyncio.run(main())

    return run
