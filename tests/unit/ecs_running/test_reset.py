"""A reset ends every task; what is asked for while it goes on is not begun, for nobody would know it afterwards."""

import asyncio
from pathlib import Path

from tests.unit.ecs_running.running_kit import a_house, a_task, container, definition


def test_nothing_begins_until_the_records_are_empty(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            of = definition(container("main", "sleep", "1000"))
            first = await house.begin(of)
            await house.running(first)
            await house.runner.reset()
            assert await house.engine.pods() == []
            await house.begin(of, number=2)
            await house.runner.settled(a_task(of, 2).arn)
            house.runner.start()  # both are in the records still
            assert await house.engine.pods() == []
            house.records.tasks.clear()
            house.runner.release()
            third = await house.begin(of, number=3)
            await house.running(third)
            assert len(await house.engine.pods()) == 1

    asyncio.run(story())


def test_volumes_go_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            removed: list[str] = []

            async def note(name: str) -> None:
                removed.append(name)

            house.engine.remove_volume = note  # type: ignore[method-assign]
            shared = {"name": "s", "dockerVolumeConfiguration": {"scope": "shared", "driver": "local"}}
            mounted = {"mountPoints": [{"sourceVolume": "s", "containerPath": "/s"}]}
            of = definition(container("main", "sleep", "1000", **mounted), mode="bridge", volumes=[shared])
            task = await house.begin(of, launch_type="EC2")
            await house.running(task)
            await house.runner.reset()
            assert any(name.startswith("ecs-shared-") for name in removed)
            assert any(name.startswith(f"ecs-{task.id}-") for name in removed)

    asyncio.run(story())
