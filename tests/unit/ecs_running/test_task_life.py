"""Tasks from their start to their end, on the engine in memory."""

import asyncio
from pathlib import Path

from tests.unit.ecs_running.running_kit import a_house, container, definition

from cumulo.engines.fake_programs import FakeProcess
from cumulo.services.ecs.model import StopCode

LIFE = [
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
]


def test_a_task_runs_to_its_end(tmp_path: Path) -> None:
    async def story() -> None:
        told = asyncio.Event()

        async def until_told(process: FakeProcess) -> int:
            await told.wait()
            return 7

        async with a_house(tmp_path, {"until-told": until_told}) as house:
            task = await house.begin(definition(container("main", "until-told")))
            await house.running(task)
            told.set()
            done = await house.stopped(task)
            assert house.history == LIFE
            assert (done.stop_code, done.stopped_reason) == (
                "EssentialContainerExited",
                "Essential container in task exited",
            )
            [one] = done.containers
            assert (one.status, one.exit_code) == ("STOPPED", 7)
            moments = [
                done.connectivity_at,
                done.pull_started_at,
                done.pull_stopped_at,
                done.started_at,
                done.stopping_at,
                done.execution_stopped_at,
                done.stopped_at,
            ]
            assert all(moments)
            assert moments == sorted(moments)
            assert house.versions == sorted(house.versions)
            assert len(set(house.versions)) >= len(house.history), "every state has a version of its own"
            assert done.private_ip
            assert done.eni.startswith("eni-")
            assert one.interfaces == (
                {"attachmentId": done.attachment_id, "privateIpv4Address": done.private_ip},
            )
            await house.runner.settled(task.arn)
            assert await house.engine.pods() == []

    asyncio.run(story())


def test_a_task_that_is_stopped_says_who_wanted_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            task = await house.begin(definition(container("main", "sleep", "100")))
            await house.running(task)
            told = await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            assert told is not None
            assert told.desired_status == "STOPPED"
            again = await house.runner.stop(task.arn, StopCode.SPOT_INTERRUPTION, "later")
            assert again is not None
            done = await house.stopped(task)
            assert (done.stop_code, done.stopped_reason) == ("UserInitiated", "enough")
            assert done.containers[0].exit_code == 128 + 15

    asyncio.run(story())
