"""Tasks as real containers of the local engine: from their start to their end, and across a restart."""

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import Said, needs_local
from tests.engines.images import write_test_images
from tests.leftovers import leftovers
from tests.support import until
from tests.unit.ecs_running.running_kit import House, container, definition

from cumulo.base.folders import instance_of
from cumulo.engines.engine import Engine, Limits
from cumulo.engines.opening import open_engine
from cumulo.services.ecs.model import ContainerInstance, StopCode, Task, TaskDefinition

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
        until(lambda: not leftovers(data), Said(data), 20)  # type: ignore[arg-type]


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


async def printed(house: House, task: Task, text: str, name: str = "main", seconds: float = 20) -> list[str]:
    """Wait until a container's line has come to the log."""
    async with asyncio.timeout(seconds):
        while not any(text in line for line in out(house, task, name)):  # noqa: ASYNC110 - another's list
            await asyncio.sleep(0.02)
    return out(house, task, name)


async def fetched(address: str, port: int) -> bytes:
    """What a server says of /it, once it listens."""
    async with asyncio.timeout(20):
        while True:
            try:
                reader, writer = await asyncio.open_connection(address, port)
                try:
                    writer.write(b"GET /it HTTP/1.0\r\n\r\n")
                    found = await reader.read()
                finally:
                    writer.close()
                if found:
                    return found
            except ConnectionError:
                pass  # it has only just been started
            await asyncio.sleep(0.02)


async def restart(house: House) -> None:
    """Another control plane takes over: runner, store and engine are new, the containers are not."""
    await house.close()
    await house.engine.close()
    house.engine = await house.reopen_engine()  # type: ignore[attr-defined]
    house.open()
    house.runner.start()
    assert await house.runner.reap() == 0


def test_containers_are_adopted_and_their_output_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            script = (
                'trap "echo ending; exit 9" TERM; '
                "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.05; done"
            )
            task = await house.begin(definition(logged("main", script)))
            await house.running(task)
            await printed(house, task, "line 5")
            pid = (await house.engine.inspect(house.container(task).pod)).containers["main"].pid
            await restart(house)
            os.kill(pid, 0)
            await printed(house, task, f"line {len(out(house, task)) + 10}")
            assert (await house.engine.inspect(house.container(task).pod)).containers["main"].pid == pid
            assert house.task(task).last_status == "RUNNING"
            await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            done = await house.stopped(task)
            assert done.containers[0].exit_code == 9
            said = out(house, task)
            assert said == [f"line {at + 1}" for at in range(len(said) - 1)] + ["ending"]

    asyncio.run(story())


def test_what_ended_while_nobody_looked_is_noticed_with_its_code(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            script = "while [ ! -e /flag/go ]; do sleep 0.05; done; echo going; exit 5"
            volumes = [{"name": "flag", "host": {"sourcePath": str(tmp_path / "flag")}}]
            told = logged("main", script, mountPoints=[{"sourceVolume": "flag", "containerPath": "/flag"}])
            task = await house.begin(definition(told, volumes=volumes))
            await house.running(task)
            pod = house.container(task).pod
            pid = (await house.engine.inspect(pod)).containers["main"].pid
            await house.close()
            await house.engine.close()
            (tmp_path / "flag" / "go").touch()
            async with asyncio.timeout(10):
                while Path(f"/proc/{pid}/root").exists():  # noqa: ASYNC110 - the kernel's
                    await asyncio.sleep(0.02)
            house.engine = await house.reopen_engine()  # type: ignore[attr-defined]
            house.open()
            assert house.runner.start() == 1
            done = await house.stopped(task)
            assert done.containers[0].exit_code == 5
            assert done.stopped_reason == "Essential container in task exited"
            assert out(house, task) == ["going"]

    asyncio.run(story())


def test_containers_of_a_task_share_an_address_and_wait_for_one_another(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            mounted = {"mountPoints": [{"sourceVolume": "work", "containerPath": "/shared"}]}
            first = logged("first", "sleep 0.3; echo prepared > /shared/file", essential=False, **mounted)
            server = logged(
                "Web_Server",
                "cd /shared && exec httpd -f -p 8080",
                dependsOn=[{"containerName": "first", "condition": "SUCCESS"}],
                stopTimeout=2,
                healthCheck={
                    "command": ["CMD-SHELL", "wget -q -O - http://127.0.0.1:8080/file"],
                    "interval": 1,
                    "timeout": 2,
                    "retries": 20,
                },
                **mounted,
            )
            client = logged(
                "client",
                "wget -q -O - http://127.0.0.1:8080/file; sleep 100",
                dependsOn=[{"containerName": "Web_Server", "condition": "HEALTHY"}],
                stopTimeout=2,
            )
            of = definition(client, first, server, volumes=[{"name": "work"}])
            task = await house.begin(of)
            await house.running(task)
            await printed(house, task, "prepared", "client")
            up = await house.until(task, lambda it: it.health == "HEALTHY")
            by_name = {one.name: one for one in up.containers}
            assert by_name["first"].exit_code == 0
            assert by_name["first"].finished_at <= by_name["Web_Server"].started_at
            assert by_name["Web_Server"].started_at <= by_name["client"].started_at
            await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            done = await house.stopped(task, 60)
            ended = {one.name: one for one in done.containers}
            assert ended["client"].finished_at <= ended["Web_Server"].finished_at, "in reverse order"

    asyncio.run(story())


def test_who_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            script = 'trap "echo no" TERM; echo ready; while true; do sleep 0.1; done'
            task = await house.begin(definition(logged("main", script, stopTimeout=2)))
            await printed(house, task, "ready")
            await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            done = await house.stopped(task)
            assert done.containers[0].exit_code == 128 + signal.SIGKILL
            assert 2.0 <= done.execution_stopped_at - done.stopping_at < 8.0
            assert out(house, task) == ["ready", "no"]

    asyncio.run(story())


def test_who_takes_too_much_memory_is_killed_and_that_is_said(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            greedy = shell("main", "dd if=/dev/zero of=/dev/null bs=200M count=1", memory=32)
            task = await house.begin(definition(greedy, cpu="256", memory="512"))
            done = await house.stopped(task)
            [one] = done.containers
            assert (one.exit_code, one.reason) == (
                137,
                "OutOfMemoryError: Container killed due to memory usage",
            )

    asyncio.run(story())


def test_bridge_mode_maps_ports_and_links_by_name(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            server = shell(
                "server",
                "mkdir /www; echo served > /www/it; exec httpd -f -h /www -p 80",
                portMappings=[{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
                memory=64,
                stopTimeout=2,
            )
            script = "for i in 1 2 3 4 5 6 7 8 9 10; do wget -q -O - http://web/it && break; sleep 0.2; done; sleep 100"
            client = logged("client", script, links=["server:web"], memory=64, stopTimeout=2)
            task = await house.begin(definition(client, server, mode="bridge"), launch_type="EC2")
            up = await house.running(task)
            await printed(house, task, "served", "client")
            [binding] = next(one for one in up.containers if one.name == "server").bindings
            assert binding["containerPort"] == 80
            assert b"served" in await fetched("127.0.0.1", binding["hostPort"])
            assert up.private_ip == ""
            await house.runner.stop(task.arn, StopCode.USER_INITIATED, "enough")
            await house.stopped(task, 60)

    asyncio.run(story())


def test_files_of_efs_outlive_tasks(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            volumes = [
                {
                    "name": "shared",
                    "efsVolumeConfiguration": {"fileSystemId": "fs-12345678", "rootDirectory": "/deep"},
                }
            ]
            mounted = {"mountPoints": [{"sourceVolume": "shared", "containerPath": "/efs"}]}
            task = await house.begin(
                definition(logged("main", "echo kept > /efs/file", **mounted), volumes=volumes)
            )
            await house.stopped(task)
            assert (tmp_path / "efs" / "fs-12345678" / "deep" / "file").read_text() == "kept\n"
            other = await house.begin(
                definition(logged("main", "cat /efs/file", **mounted), volumes=volumes), number=2
            )
            await house.stopped(other)
            assert out(house, other) == ["kept"]

    asyncio.run(story())


def test_a_task_asks_the_agent_for_metadata_and_keys(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            script = (
                "while wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/stats | grep -q '^null'; do sleep 0.05; done; "
                "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4; echo; "
                "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task; echo; "
                "wget -q -O - http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; echo; "
                "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/stats; echo; "
                "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task/stats; echo; "
                "echo done; sleep 100"
            )
            role = "arn:aws:iam::000000000000:role/task"
            task = await house.begin(definition(logged("main", script), taskRoleArn=role, cpu="256"))
            said = [json.loads(line) for line in (await printed(house, task, "done"))[:5]]
            own, whole, keys, stats, all_stats = said
            up = house.task(task)
            assert own["DockerId"] == up.containers[0].runtime_id
            assert own["Networks"][0]["IPv4Addresses"] == [up.private_ip]
            assert whole["TaskARN"] == task.arn
            assert whole["Limits"] == {"CPU": 0.25}
            assert [one["Name"] for one in whole["Containers"]] == ["main"]
            assert (keys["RoleArn"], keys["AccessKeyId"]) == (role, "ASIAKEY")
            assert stats["memory_stats"]["usage"] > 0
            assert all_stats.keys() == {own["DockerId"]}
            usage = await house.runner.usage(task.arn)
            assert usage["main"].memory_bytes > 0

    asyncio.run(story())


def test_a_container_is_started_again_as_its_policy_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            # The period is the engine's own time; the policy's least, 60 s, is the API's business and not the runner's.
            policy = {"enabled": True, "restartAttemptPeriod": 1, "ignoredExitCodes": [0]}
            script = "echo run; if [ -e /again ]; then exit 0; fi; touch /again; sleep 1.2; exit 4"
            task = await house.begin(definition(logged("main", script, restartPolicy=policy)))
            done = await house.stopped(task)
            [one] = done.containers
            assert (one.restarts, one.exit_code) == (1, 0)
            assert out(house, task) == ["run", "run"]

    asyncio.run(story())


def one_after_the_other() -> TaskDefinition:
    """Each container says its name into a file that outlives everything, once it has begun."""
    mounted = {"mountPoints": [{"sourceVolume": "kept", "containerPath": "/kept"}]}
    first = shell("first", "echo first >> /kept/said", essential=False, **mounted)
    needs = [{"containerName": "first", "condition": "SUCCESS"}]
    second = shell("second", "echo second >> /kept/said; exit 6", dependsOn=needs, **mounted)
    kept = {"name": "kept", "efsVolumeConfiguration": {"fileSystemId": "fs-12345678"}}
    return definition(first, second, volumes=[kept])


DOINGS = {"one-after-the-other": one_after_the_other}


@pytest.mark.parametrize("version", range(1, 11))
def test_kill_9_at_any_state_of_a_task(tmp_path: Path, version: int) -> None:
    """Another control plane brings the task to its end: every container once, in order, with its exit code."""
    command = [sys.executable, "-m", "tests.stories.ecs_victim", str(tmp_path), "one-after-the-other"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if int(line) >= version:
                break
        victim.kill()
    data = tmp_path / "data"

    async def story() -> None:
        engine = await open_engine("local", data=data / "engine", instance=instance_of(data))
        house = House(tmp_path, engine)
        [task] = house.records.tasks.all() or [None]
        try:
            if task is None:
                return  # it was never acknowledged
            house.runner.start()
            await house.runner.reap()
            done = await house.stopped(task)
            await house.runner.settled(task.arn)
            assert (tmp_path / "efs" / "fs-12345678" / "said").read_text() == "first\nsecond\n"
            assert [one.exit_code for one in done.containers] == [0, 6]
            assert done.stop_code == "EssentialContainerExited"
            assert await engine.pods() == []
        finally:
            await house.close()
            for pod in await engine.pods():
                await engine.remove(pod.name)
            await engine.close()

    asyncio.run(story())
    until(lambda: not leftovers(data), Said(data), 20)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["awsvpc", "none", "host"])
def test_the_agent_and_the_cloud_are_reached_in_every_network_mode(tmp_path: Path, mode: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nthe cloud\n")
        await writer.drain()
        writer.close()

    async def cloud(sock: socket.socket, _name: str) -> asyncio.Server:
        return await asyncio.start_server(answer, sock=sock)

    async def story() -> None:
        outside = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = outside.sockets[0].getsockname()[1]
        async with a_house(tmp_path, cloud=cloud, cloud_port=port) as house:
            script = (
                "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task; echo; wget -q -O - $AWS_ENDPOINT_URL/; "
                'wget -q -O - "${AWS_CONTAINER_CREDENTIALS_FULL_URI:-'
                'http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI}"; echo; hostname -i; echo done'
            )
            of = definition(logged("main", script), mode=mode, taskRoleArn="arn:aws:iam::000000000000:role/r")
            task = await house.begin(of, launch_type="FARGATE" if mode == "awsvpc" else "EC2")
            await house.stopped(task)
            said = out(house, task)
            assert json.loads(said[0])["TaskARN"] == task.arn
            assert said[1] == "the cloud"
            assert json.loads(said[2])["AccessKeyId"] == "ASIAKEY"
        outside.close()

    asyncio.run(story())


def test_tasks_of_a_container_instance_live_in_its_slice(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            await house.engine.make_slice("i-0123", Limits(memory_mib=64))
            address = await house.engine.host_address("i-0123")
            instance = ContainerInstance(
                account="000000000000",
                region="us-east-1",
                id="i",
                arn="arn:instance",
                cluster_arn="arn:cluster",
                slice="i-0123",
                address=address,
            )
            house.records.instances.put(instance)
            greedy = shell("main", "dd if=/dev/zero of=/dev/null bs=200M count=1")
            of = definition(greedy, mode="bridge")
            task = await house.begin(of, launch_type="EC2", instance_arn=instance.arn)
            done = await house.stopped(task)
            assert done.containers[0].exit_code == 137, "the instance's memory is all there is"
            server = shell(
                "main",
                "echo own > /tmp/it; exec httpd -f -h /tmp -p 80",
                portMappings=[{"containerPort": 80, "hostPort": 8080, "protocol": "tcp"}],
                stopTimeout=2,
            )
            of = definition(server, mode="bridge")
            task = await house.begin(of, number=2, launch_type="EC2", instance_arn=instance.arn)
            up = await house.running(task)
            [binding] = up.containers[0].bindings
            assert (binding["bindIP"], binding["hostPort"]) == ("0.0.0.0", 8080)
            assert b"own" in await fetched(address, 8080)
            await house.runner.stop(
                task.arn, StopCode.TERMINATION_NOTICE, "Host EC2 (instance i-0) terminated."
            )
            done = await house.stopped(task)
            assert done.containers[0].exit_code is None, "killed with its machine: nobody is left to tell"
            await house.runner.settled(task.arn)
            await house.engine.remove_slice("i-0123")
            await house.engine.free_host_address("i-0123")

    asyncio.run(story())


def test_forty_tasks_at_once_run_and_leave_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            of = definition(logged("main", "echo $ECS_CONTAINER_METADATA_URI_V4"))
            tasks = [await house.begin(of, number=at + 1) for at in range(40)]
            for task in tasks:
                done = await house.stopped(task, 60)
                assert done.containers[0].exit_code == 0
                [said] = out(house, task)
                assert task.id in said
            assert len({house.task(task).private_ip for task in tasks}) > 1

    asyncio.run(story())
