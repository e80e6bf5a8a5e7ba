"""Tasks as real containers of the local engine: from their start to their end, and across a restart."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.containers_kit import needs_local
from tests.engines.images import write_test_images
from tests.leftovers import leftovers
from tests.unit.ecs_running.running_kit import House, container, definition

from cumulo.base.folders import instance_of
from cumulo.engines.engine import Engine
from cumulo.engines.opening import open_engine
from cumulo.services.ecs.model import Task

pytestmark = needs_local
IMAGE = "test.local/plain:1"


def shell(name: str, script: str, **changes: Any) -> dict[str, Any]:
    return container(name, "sh", "-c", script, **({"image": IMAGE} | changes))


def logged(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """A container whose output goes to the group `/story`."""
    logging = {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/story", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "s"},
    }
    return shell(name, script, logConfiguration=logging, **changes)


@asynccontextmanager
async def a_house(folder: Path, **changes: Any) -> AsyncIterator[House]:
    """A house on the local engine; nothing of it may be left."""
    data = folder / "data"
    data.mkdir()

    async def opened() -> Engine:
        return await open_engine("local", data=data / "engine", instance=instance_of(data))

    archive, _, _ = write_test_images(folder)
    engine = await opened()
    await engine.images.load(archive)
    house = House(folder, engine, **changes)
    house.reopen_engine = opened  # type: ignore[attr-defined]
    try:
        yield house
    finally:
        await house.close()
        for pod in await house.engine.pods():
            await house.engine.remove(pod.name)
        await house.engine.close()
        assert leftovers(data) == []


def out(house: House, task: Task, name: str = "main") -> list[str]:
    return house.logs.lines.get(("/story", f"s/{name}/{task.id}"), [])


def test_a_task_runs_to_its_end_and_its_output_is_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            script = "echo hello $NAME; id -u; cat /proc/self/limits | grep 'open files'; exit 3"
            told = logged("main", script, environment=[{"name": "NAME", "value": "world"}], user="1000")
            task = await house.begin(definition(told, cpu="256", memory="512"))
            done = await house.stopped(task)
            assert done.containers[0].exit_code == 3, done
            assert done.stop_code == "EssentialContainerExited"
            said = out(house, task)
            files = str(min(65535, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            assert said[:2] == ["hello world", "1000"]
            assert said[2].split()[3:5] == [files, files]
            assert done.private_ip.startswith("10.")

    asyncio.run(story())
