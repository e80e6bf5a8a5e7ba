"""Tasks that do not come up, and those whose world goes away for a while; on the engine in memory."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.ecs_running.running_kit import House, Registry, a_house, a_task, container, definition

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.images import ResolvedImage
from cumulo.engines.engine import EngineError, PodSpec, PodStatus
from cumulo.engines.fake import FakeEngine
from cumulo.engines.fake_programs import FakeProcess
from cumulo.engines.images import Source
from cumulo.services.ecs.model import StopCode, Task, TaskStatus
from cumulo.services.ecs.running.world import PULLS_AT_ONCE

MISSING = AwsError("ImageNotFoundException", "it is not there")


async def refused(house: House, of: Any, **changes: Any) -> Task:
    task = await house.begin(of, **changes)
    done = await house.stopped(task)
    assert done.stop_code == "TaskFailedToStart"
    assert await house.engine.pods() == []
    return done


@pytest.mark.parametrize("launch_type", ["FARGATE", "EC2"])
def test_an_image_that_is_not_there(tmp_path: Path, launch_type: str) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            house.registry.refused["nobody/app:1"] = MISSING
            of = definition(container("main", "true", image="nobody/app:1"), container("other", "true"))
            done = await refused(house, of, launch_type=launch_type)
            reason = next(one for one in done.containers if one.name == "main").reason
            if launch_type == "FARGATE":
                assert reason == (
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
                    "failed to resolve ref nobody/app:1: nobody/app:1: not found"
                )
                assert done.stopped_reason == reason
            else:
                assert reason == (
                    "CannotPullContainerError: Error response from daemon: "
                    "manifest for nobody/app:1 not found: manifest unknown"
                )
                assert done.stopped_reason == "Task failed to start"
            assert all(one.exit_code is None for one in done.containers)
            assert done.started_at == 0

    asyncio.run(story())


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            done = await refused(house, definition(container("main", "nonsense")))
            [one] = done.containers
            assert one.exit_code is None, "it has never run"
            assert one.reason.startswith("CannotStartContainerError: ")
            assert done.stopped_reason == "Task failed to start"

    asyncio.run(story())


def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf:password::"
            told = container("main", "true", secrets=[{"name": "PASSWORD", "valueFrom": arn}])
            done = await refused(house, definition(told))
            assert done.stopped_reason == (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
                "failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
                f"secret {arn} from secrets manager: ResourceNotFoundException: it is not there"
            )

    asyncio.run(story())


def test_a_parameter_that_is_not_there(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            told = container("main", "true", secrets=[{"name": "PASSWORD", "valueFrom": "/db/password"}])
            done = await refused(house, definition(told))
            assert done.stopped_reason.endswith(
                "unable to retrieve secrets from ssm: service call has been retried 1 time(s): "
                "invalid ssm parameters: /db/password"
            )

    asyncio.run(story())


@pytest.mark.parametrize(
    ("changes", "document", "why"),
    [
        ({"logConfiguration": {"logDriver": "splunk"}}, {}, "the log driver splunk is not carried"),
        ({"dnsSearchDomains": ["a"]}, {}, "search domains are not carried"),
        ({"dockerSecurityOptions": ["apparmor:none"]}, {}, "apparmor:none is not carried"),
        ({"resourceRequirements": [{"type": "GPU", "value": "1"}]}, {}, "GPU is not carried"),
        ({}, {"pidMode": "task"}, "pidMode task is not carried"),
        ({"portMappings": [{"containerPort": 80}]}, {"mode": "bridge"}, "cannot map ports"),
        (
            {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]},
            {"volumes": [{"name": "v", "fsxWindowsFileServerVolumeConfiguration": {"fileSystemId": "x"}}]},
            "is not carried",
        ),
    ],
)
def test_what_cannot_be_carried_is_said(
    tmp_path: Path, changes: Mapping[str, Any], document: Mapping[str, Any], why: str
) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            of = definition(container("main", "true", **changes), **document)
            done = await refused(house, of, launch_type="EC2")
            said = done.stopped_reason + "".join(one.reason for one in done.containers)
            assert why in said

    asyncio.run(story())


def test_a_log_group_that_is_not_there(tmp_path: Path) -> None:
    logging = {"logDriver": "awslogs", "options": {"awslogs-group": "/none", "awslogs-stream-prefix": "s"}}

    async def story() -> None:
        async with a_house(tmp_path, group_exists=lambda *_: False) as house:
            of = definition(container("main", "true", logConfiguration=logging))
            done = await refused(house, of)
            assert done.stopped_reason == (
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
                "exist. : exit status 1"
            )
            options = logging["options"] | {"awslogs-create-group": "true"}  # type: ignore[operator]
            of = definition(container("main", "true", logConfiguration=logging | {"options": options}))
            done = await house.stopped(await house.begin(of, number=2))
            assert done.stop_code == "EssentialContainerExited"

    asyncio.run(story())


def test_an_engine_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            house.engine_error = EngineError("it is not open yet")
            task = await house.begin(definition(container("main", "sleep", "100")))
            await house.until(task, lambda it: it.last_status == "PENDING")
            house.engine_error = None
            await house.running(task)

    asyncio.run(story())


def test_a_pod_that_somebody_has_removed_ends_its_task(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            task = await house.begin(definition(container("main", "sleep", "100")))
            await house.running(task)
            await house.close()
            await house.engine.remove(house.container(task).pod)
            house.open()
            house.runner.start()
            done = await house.stopped(task)
            assert done.stop_code == "EssentialContainerExited"
            assert done.containers[0].reason.startswith("CannotInspectContainerError")

    asyncio.run(story())


def test_containers_are_adopted_and_not_started_again(tmp_path: Path) -> None:
    starts: list[str] = []

    async def counted(process: FakeProcess) -> int:
        starts.append("start")
        await process.sleep(100)
        return 0

    async def story() -> None:
        async with a_house(tmp_path, {"counted": counted}) as house:
            task = await house.begin(definition(container("main", "counted")))
            up = await house.running(task)
            for _ in range(3):
                await house.again()
                assert await house.runner.reap() == 0
            await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            done = await house.stopped(task)
            assert starts == ["start"]
            assert done.started_at == up.started_at
            assert done.containers[0].runtime_id == up.containers[0].runtime_id

    asyncio.run(story())


def test_a_restart_at_any_commit_changes_nothing(tmp_path: Path) -> None:
    """The control plane goes away right after each of a task's commits, and the next one goes on."""
    starts: list[str] = []

    async def counted(process: FakeProcess) -> int:
        starts.append(process.argv[1])
        await process.sleep(0.01)
        return 0

    async def story(stop_after: int, folder: Path) -> None:
        starts.clear()
        folder.mkdir()
        async with a_house(folder, {"counted": counted}) as house:
            first = container("first", "counted", "first", essential=False)
            needs = [{"containerName": "first", "condition": "SUCCESS"}]
            of = definition(first, container("main", "counted", "main", dependsOn=needs))
            task = await house.begin(of)
            await house.until(task, lambda it: it.version > stop_after or it.last_status.value == "STOPPED")
            await house.again()
            done = await house.stopped(task)
            await house.runner.settled(task.arn)
            assert starts == ["first", "main"]
            assert [one.exit_code for one in done.containers] == [0, 0]
            assert done.stopped_reason == "Essential container in task exited"
            assert await house.engine.pods() == []

    for at in range(1, 14):
        asyncio.run(story(at, tmp_path / str(at)))


@pytest.mark.parametrize("ends", [True, False])
def test_a_kill_before_any_progress_is_on_disk_loses_nothing_and_starts_nothing_twice(
    tmp_path: Path, ends: bool
) -> None:
    """What is on disk is the task as it was accepted; the engine has come further."""
    starts: list[str] = []

    async def counted(process: FakeProcess) -> int:
        starts.append(process.argv[1])
        if not ends:
            await process.sleep(100)
        return 7

    async def story() -> None:
        (tmp_path / "later").mkdir()
        async with a_house(tmp_path, {"counted": counted}) as house:
            of = definition(container("main", "counted", "main"))
            task = a_task(of)
            house.put(of, task)
            await house.store.commit()
            with (
                contextlib.closing(sqlite3.connect(tmp_path / "cumulo.db")) as now,
                contextlib.closing(sqlite3.connect(tmp_path / "later" / "cumulo.db")) as kept,
            ):
                now.backup(kept)
            house.runner.take_up(task)
            wanted = "STOPPED" if ends else "RUNNING"
            before = await house.until(task, lambda it: it.containers[0].status == wanted)
            assert [pod.name for pod in await house.engine.pods()]
            await house.runner.close()  # the verbs go no further: the pod is there still

            later = House(tmp_path / "later", house.engine)
            assert later.task(task).last_status is TaskStatus.PROVISIONING
            later.runner.start()
            done = await (later.stopped(task) if ends else later.running(task))
            assert done.containers[
                0
            ].image_digest  # of the image that the pod has, not of what the tag leads to now
            for field in ("pod", "runtime_id", "started_at", "exit_code"):
                assert getattr(done.containers[0], field) == getattr(before.containers[0], field), field
            assert done.private_ip == before.private_ip
            assert done.connectivity == "CONNECTED"
            assert starts == ["main"]
            await later.close()

    asyncio.run(story())


def test_pods_of_nobody_are_removed(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            task = await house.begin(definition(container("main", "sleep", "100")))
            await house.running(task)
            await house.close()
            house.open()
            house.records.tasks.delete(house.task(task))
            assert await house.runner.reap() == 1
            assert await house.engine.pods() == []

    asyncio.run(story())


def test_a_task_that_is_stopped_while_it_waits_for_capacity_never_runs(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            of = definition(container("main", "sleep", "100"))
            task = a_task(of, waits="capacity")
            house.put(of, task)
            house.runner.take_up(task)
            await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            done = await house.stopped(task)
            assert house.history == ["PROVISIONING", "DEPROVISIONING", "STOPPED"]
            assert done.pull_started_at == 0

    asyncio.run(story())


def test_there_is_no_task_to_stop(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            assert await house.runner.stop("arn:none", StopCode.USER_INITIATED, "") is None

    asyncio.run(story())


class Slow(Registry):
    """A registry that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.asked = 0
        self.at_once = 0
        self.most = 0

    async def resolve(self, caller: Caller, uri: str) -> ResolvedImage[Source]:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.may_answer.wait()
            return await super().resolve(caller, uri)
        finally:
            self.at_once -= 1


def test_a_task_that_is_stopped_while_it_pulls_does_not_wait_for_the_image(tmp_path: Path) -> None:
    async def story() -> None:
        slow = Slow()
        async with a_house(tmp_path, registry=slow) as house:
            task = await house.begin(definition(container("main", "sleep", "100")))
            await house.until(task, lambda it: it.pull_started_at)
            await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            done = await house.stopped(task)
            assert (done.stop_code, done.started_at, done.pull_stopped_at) == ("UserInitiated", 0, 0)
            assert slow.at_once == 0

    asyncio.run(story())


def test_only_so_many_images_are_pulled_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        slow = Slow()
        async with a_house(tmp_path, registry=slow) as house:
            of = definition(container("main", "true"))
            tasks = [await house.begin(of, number=at) for at in range(1, 31)]
            for task in tasks:
                await house.until(task, lambda it: it.pull_started_at)
            slow.may_answer.set()
            for task in tasks:
                await house.stopped(task)
            assert 1 < slow.most <= PULLS_AT_ONCE
            assert slow.asked == 30

    asyncio.run(story())


def test_a_reset_leaves_nothing(tmp_path: Path) -> None:
    logging = {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-stream-prefix": "s"}}

    async def story() -> None:
        async with a_house(tmp_path) as house:
            told = container("main", "sleep", "100", logConfiguration=logging)
            task = await house.begin(definition(told))
            await house.running(task)
            await house.runner.reset()
            assert await house.engine.pods() == []
            house.records.tasks.clear()
            house.runner.release()
            other = await house.begin(definition(told))
            await house.running(other)

    asyncio.run(story())


def test_a_deleted_task_is_taken_off_the_engine(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            task = await house.begin(definition(container("main", "sleep", "100")))
            await house.running(task)
            house.records.tasks.delete(house.task(task))
            house.runner.wake()
            await house.runner.settled(task.arn)
            assert await house.engine.pods() == []

    asyncio.run(story())


def test_a_reset_leaves_no_pod_that_was_still_being_made(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            making, listed, made = asyncio.Event(), asyncio.Event(), asyncio.Event()
            engine = house.engine
            assert isinstance(engine, FakeEngine)
            create, remove, pods = engine.create, engine.remove, engine.pods
            lock = asyncio.Lock()  # as in the engines: one change of a pod at a time, and each to its end
            creations: list[asyncio.Task[PodStatus]] = []

            async def whole(spec: PodSpec) -> PodStatus:
                async with lock:
                    making.set()
                    await made.wait()
                    return await create(spec)

            async def slowly(spec: PodSpec) -> PodStatus:
                creations.append(asyncio.create_task(whole(spec)))
                return await asyncio.shield(creations[-1])

            async def in_turn(pod: str) -> None:
                async with lock:
                    await remove(pod)

            async def all_pods(owner: str = "") -> list[PodStatus]:
                listed.set()
                return await pods(owner)

            await house.begin(definition(container("main", "sleep", "100")))
            engine.create, engine.remove, engine.pods = slowly, in_turn, all_pods  # type: ignore[method-assign]
            await making.wait()
            listed.clear()
            resetting = asyncio.create_task(house.runner.reset())
            await listed.wait()
            made.set()
            await asyncio.gather(resetting, *creations)
            assert await engine.pods() == []

    asyncio.run(story())
