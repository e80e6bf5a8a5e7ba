"""A control plane of its own process, to be killed: `python -m tests.stories.ecs_victim FOLDER NAME`."""

import asyncio
import sys
from pathlib import Path

from tests.engines.images import write_test_images
from tests.stories.test_ecs_tasks_run import DOINGS
from tests.unit.ecs_running.running_kit import House

from cumulo.base.folders import instance_of
from cumulo.engines.opening import open_engine


async def main(folder: Path, name: str) -> None:
    """Begin a task, and say each state that was committed."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    engine = await open_engine("local", data=data / "engine", instance=instance_of(data))
    archive, _, _ = write_test_images(folder)
    await engine.images.load(archive)
    house = House(folder, engine)
    house.records.tasks.listeners.append(lambda _, after: print(after and after.version, flush=True))
    await house.begin(DOINGS[name]())
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
