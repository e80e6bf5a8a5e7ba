"""What a task is given and takes part in: its environment, its health, and what it is attached to."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tests.unit.ecs_running.running_kit import a_house, container, definition

from cumulo.engines.fake_programs import FakeProcess
from cumulo.services.ecs.model import ContainerInstance, Health, StopCode, Task, TaskContainer, TaskStatus
from cumulo.services.ecs.running import checks
from cumulo.services.ecs.running.facts import Checked

ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf"
LOGGED = {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-stream-prefix": "s"}}


class Attached:
    """An Attachment that notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_attach = asyncio.Event()
        self.may_detach = asyncio.Event()

    def hosts(self, task: Task) -> Mapping[str, str]:
        self.asked.append("hosts")
        return {"db.local": "10.9.9.9"}

    async def prepare(self, task: Task, pod: str) -> None:
        self.asked.append("prepare")

    async def attach(self, task: Task) -> None:
        self.asked.append("attach")
        await self.may_attach.wait()

    async def detach(self, task: Task) -> None:
        self.asked.append("detach")
        await self.may_detach.wait()

    async def gone(self, task: Task) -> None:
        self.asked.append("gone")


def test_environment_comes_from_files_definition_secrets_and_overrides(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            house.vault.values |= {
                "bucket/dir/app.env": "# no\nA=file\nB=file\nC=file\nD=file\nE = x=y\n\nnonsense\n",
                f"{ARN}:password::": "s3cret",
                "/db/user": "anna",
            }
            told = container(
                "main",
                "env",
                environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::bucket/dir/app.env"}],
                environment=[{"name": "B", "value": "said"}, {"name": "C", "value": "said"}],
                secrets=[
                    {"name": "C", "valueFrom": f"{ARN}:password::"},
                    {"name": "USER", "valueFrom": "/db/user"},
                ],
                logConfiguration=LOGGED,
            )
            overrides = {
                "containerOverrides": [{"name": "main", "environment": [{"name": "D", "value": "over"}]}]
            }
            task = await house.begin(definition(told), overrides=overrides)
            await house.stopped(task)
            found = dict(line.split("=", 1) for line in house.logs.lines["g", f"s/main/{task.id}"])
            assert (found["A"], found["B"], found["C"], found["D"]) == ("file", "said", "s3cret", "over")
            assert found["USER"] == "anna"
            assert found["E "] == " x=y"
            assert found["AWS_REGION"] == "us-east-1"

    asyncio.run(story())


def test_attachments_are_told_in_order_and_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        attached = Attached()
        async with a_house(tmp_path) as house:
            house.runner.add(attached)
            task = await house.begin(definition(container("main", "sleep", "100")))
            await house.until(task, lambda it: it.last_status == "ACTIVATING")
            attached.may_attach.set()
            await house.running(task)
            await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            waiting = await house.until(task, lambda it: it.last_status == "DEACTIVATING")
            assert waiting.containers[0].status == "RUNNING", "it serves until nobody asks any more"
            attached.may_detach.set()
            await house.stopped(task)
            assert attached.asked == ["hosts", "prepare", "attach", "detach", "gone"]

    asyncio.run(story())


def test_nobody_waits_for_a_task_whose_machine_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        attached = Attached()
        attached.may_attach.set()
        deaf = asyncio.Event()

        async def stubborn(process: FakeProcess) -> int:
            process.on("SIGTERM", lambda: None)
            deaf.set()
            await process.sleep(1000)
            return 0

        async with a_house(tmp_path, {"stubborn": stubborn}) as house:
            house.runner.add(attached)
            task = await house.begin(definition(container("main", "stubborn")))
            await house.running(task)
            await deaf.wait()
            reason = "Host EC2 (instance i-1) terminated."
            await house.runner.stop(task.arn, StopCode.TERMINATION_NOTICE, reason)
            done = await house.stopped(task)
            assert (done.stop_code, done.stopped_reason) == ("TerminationNotice", reason)
            assert done.containers[0].exit_code is None  # no agent was left to tell
            assert "detach" not in attached.asked

    asyncio.run(story())


def test_a_task_that_is_ending_does_not_outlive_its_machine(tmp_path: Path) -> None:
    """It drains, or has a minute after its stop signal, when the machine goes: what stopped it first is still said."""

    async def story() -> None:
        attached = Attached()
        attached.may_attach.set()
        deaf = asyncio.Event()
        asked = asyncio.Event()

        async def stubborn(process: FakeProcess) -> int:
            process.on("SIGTERM", asked.set)
            deaf.set()
            await process.sleep(1000)
            return 0

        async with a_house(tmp_path, {"stubborn": stubborn}) as house:
            house.runner.add(attached)
            instance = house.records.instances.put(
                ContainerInstance(
                    account="0", region="us-east-1", id="i", arn="arn:instance", cluster_arn="arn:cluster"
                )
            )
            told = container("main", "stubborn", stopTimeout=60)
            tasks = []
            for number in (1, 2):
                deaf.clear()
                task = await house.begin(
                    definition(told), number=number, launch_type="EC2", instance_arn=instance.arn
                )
                await house.running(task)
                await deaf.wait()
                await house.runner.stop(task.arn, StopCode.SERVICE_SCHEDULER_INITIATED, "replaced")
                await house.until(task, lambda it: it.last_status is TaskStatus.DEACTIVATING)
                tasks.append(task)
                if number == 1:
                    attached.may_detach.set()
                    await asked.wait()
                    attached.may_detach.clear()
            house.records.instances.put(replace(instance, agent_connected=False))
            for task in tasks:
                await house.runner.stop(task.arn, StopCode.TERMINATION_NOTICE, "Host EC2 (instance i) gone.")
            for task in tasks:
                done = await house.stopped(task)
                assert (done.stop_code, done.stopped_reason) == ("ServiceSchedulerInitiated", "replaced")
                assert done.containers[0].exit_code is None

    asyncio.run(story())


def test_health_is_seen(tmp_path: Path) -> None:
    """Every check is a further process; the interval is less than AWS's least, for the sake of the test's time."""
    well = asyncio.Event()

    async def check(process: FakeProcess) -> int:
        return 0 if well.is_set() else 1

    async def story() -> None:
        async with a_house(tmp_path, {"check": check}) as house:
            said = {"command": ["CMD", "check"], "interval": 0.05, "timeout": 2, "retries": 2}
            told = container("main", "sleep", "100", healthCheck=said)
            other = container("other", "sleep", "100")
            task = await house.begin(definition(told, other))
            ill = await house.until(task, lambda it: it.health == "UNHEALTHY")
            assert ill.last_status == "RUNNING", "by itself health stops nothing"
            well.set()
            await house.until(task, lambda it: it.health == "HEALTHY")
            assert house.container(task, "other").health == "UNKNOWN"

    asyncio.run(story())


def health(**said: Any) -> checks.Check:
    found = checks.check_of(container(healthCheck={"command": ["CMD-SHELL", "exit 0"], **said}))
    assert found is not None
    return found


RUNNING = TaskContainer(name="main", arn="a", image="i", status="RUNNING", started_at=100.0)


def test_failures_in_the_start_period_do_not_count() -> None:
    check = health(startPeriod=30, retries=2)
    known = checks.after(check, RUNNING, Checked(), 120.0, ok=False)
    assert known == Checked(at=120.0)
    known = checks.after(check, RUNNING, known, 131.0, ok=False)
    assert (known.failures, known.unhealthy) == (1, False)
    known = checks.after(check, RUNNING, known, 161.0, ok=False)
    assert checks.health(known, Health.UNKNOWN) is Health.UNHEALTHY


def test_after_the_first_success_the_start_period_is_over() -> None:
    check = health(startPeriod=300, retries=1)
    known = checks.after(check, RUNNING, Checked(), 101.0, ok=True)
    assert checks.health(known, Health.UNKNOWN) is Health.HEALTHY
    known = checks.after(check, RUNNING, known, 102.0, ok=False)
    assert checks.health(known, Health.HEALTHY) is Health.UNHEALTHY


def test_commands_of_health_checks() -> None:
    assert health().argv == ("/bin/sh", "-c", "exit 0")
    found = checks.check_of(container(healthCheck={"command": ["CMD", "curl", "-f", "x"]}))
    assert found is not None
    assert found.argv == ("curl", "-f", "x")
    assert (found.interval, found.timeout, found.retries, found.start_period) == (30, 5, 3, 0)
    assert checks.check_of(container(healthCheck={"command": ["NONE"]})) is None
