"""How many environments there are, and who is refused."""

import asyncio
import json

import pytest
from tests.unit.lambda_dp.dp_cloud import DataPlane, until, with_plane

from cumulo.base.errors import AwsError
from cumulo.sandbox.contract import RuntimeMissing
from cumulo.services.lambda_.plan import Capacity

GATED = "import time, os\ndef handler(event, context):\n    while not os.path.exists(event): time.sleep(0.005)\n    return os.getpid()\n"
PID = "import os\ndef handler(event, context):\n    return os.getpid()\n"


def starts(plane: DataPlane) -> int:
    return plane.logs.text.count("INIT_START")


def test_calls_at_the_same_time_get_an_environment_each_and_then_share_them(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("gated", GATED)
        gate = tmp_path / "gate"
        payload = json.dumps(str(gate)).encode()
        calls = [asyncio.create_task(plane.call("gated", payload)) for _ in range(4)]
        await until(lambda: plane.fleet.counts()["busy"] == 4, "four busy")
        gate.touch()
        assert len({(await call).payload for call in calls}) == 4
        for _ in range(20):
            await plane.call("gated", payload)
        assert starts(plane) == 4

    with_plane(tmp_path, story)


def test_a_quick_caller_never_causes_a_second_environment(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("pid", PID)
        pids = {(await plane.call("pid")).payload for _ in range(300)}
        assert len(pids) == 1
        assert starts(plane) == 1

    with_plane(tmp_path, story)


def test_an_idle_environment_is_frozen_and_thawed_for_the_next_call(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("pid", PID)
        first = await plane.call("pid")
        await until(lambda: plane.fleet.counts()["frozen"] == 1, "frozen")
        assert (await plane.call("pid")).payload == first.payload

    with_plane(tmp_path, story)


def test_reserved_concurrency_bounds_a_function_and_zero_blocks_it(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("gated", GATED, reserved=1)
        gate = tmp_path / "gate"
        call = asyncio.create_task(plane.call("gated", json.dumps(str(gate)).encode()))
        await until(lambda: plane.fleet.counts()["busy"] == 1, "busy")
        with pytest.raises(AwsError) as refused:
            await plane.call("gated")
        assert refused.value.message == "Rate Exceeded."
        assert refused.value.fields["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert int(refused.value.fields["retryAfterSeconds"]) >= 1
        gate.touch()
        await call
        plane.deploy("blocked", PID, reserved=0)
        with pytest.raises(AwsError, match="Rate Exceeded"):
            await plane.call("blocked")

    with_plane(tmp_path, story)


def test_the_accounts_concurrency_is_shared(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("gated", GATED)
        gate = tmp_path / "gate"
        payload = json.dumps(str(gate)).encode()
        calls = [asyncio.create_task(plane.call("gated", payload)) for _ in range(2)]
        await until(lambda: plane.fleet.counts()["busy"] == 2, "busy")
        plane.deploy("pid", PID)
        with pytest.raises(AwsError) as refused:
            await plane.call("pid")
        assert refused.value.fields["Reason"] == "ConcurrentInvocationLimitExceeded"
        gate.touch()
        await asyncio.gather(*calls)
        await plane.call("pid")

    with_plane(tmp_path, story, concurrency=2)


def test_a_full_machine_ends_the_longest_idle_environment_for_a_new_one(tmp_path):
    async def story(plane: DataPlane) -> None:
        for name in "abc":
            plane.deploy(name, PID)
        a = (await plane.call("a")).payload
        b = (await plane.call("b")).payload
        await plane.call("c")
        assert (await plane.call("b")).payload == b
        assert (await plane.call("a")).payload != a
        assert sum(plane.fleet.counts().values()) == 2

    with_plane(tmp_path, story, capacity=Capacity(environments=2))


def test_calls_wait_for_a_full_machine_and_are_refused_when_it_stays_full(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("gated", GATED, timeout_s=30)
        plane.deploy("pid", PID)
        gate = tmp_path / "gate"
        first = asyncio.create_task(plane.call("gated", json.dumps(str(gate)).encode()))
        await until(lambda: plane.fleet.counts()["busy"] == 1, "busy")
        patient = asyncio.create_task(plane.call("pid"))
        await until(lambda: plane.fleet.counts()["waiting"] == 1, "waiting")
        gate.touch()
        await first
        await patient
        gate.unlink()
        second = asyncio.create_task(plane.call("gated", json.dumps(str(gate)).encode()))
        await until(lambda: plane.fleet.counts()["busy"] == 1, "busy again")
        refused = asyncio.create_task(plane.call("pid"))
        await until(lambda: plane.fleet.counts()["waiting"] == 1, "waiting again")
        await asyncio.sleep(0.25)
        plane.fleet.tick()
        with pytest.raises(AwsError, match="Rate Exceeded"):
            await refused
        gate.touch()
        await second

    with_plane(tmp_path, story, capacity=Capacity(environments=1), wait_seconds_max=0.2)


def test_retired_generations_serve_what_runs_and_end(tmp_path):
    async def story(plane: DataPlane) -> None:
        old = plane.deploy("f", GATED, timeout_s=30)
        gate = tmp_path / "gate"
        call = asyncio.create_task(plane.call("f", json.dumps(str(gate)).encode()))
        await until(lambda: plane.fleet.counts()["busy"] == 1, "busy")
        plane.deploy("f", "def handler(event, context):\n    return 'new'\n", generation="f-2")
        plane.fleet.retire(old.generation)
        assert (await plane.call("f")).payload == b'"new"'
        gate.touch()
        await call
        await until(lambda: sum(plane.fleet.counts().values()) == 1, "one left")
        plane.fleet.forget("000000000000", "us-east-1", "f")
        await until(lambda: sum(plane.fleet.counts().values()) == 0, "none left")
        assert not any((tmp_path / "tmp").iterdir())

    with_plane(tmp_path, story)


def test_idle_environments_are_reaped(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("pid", PID)
        await plane.call("pid")
        await until(lambda: plane.fleet.counts()["frozen"] == 1, "frozen")
        await asyncio.sleep(0.1)
        plane.fleet.tick()
        await until(lambda: sum(plane.fleet.counts().values()) == 0, "reaped")
        await plane.call("pid")

    with_plane(tmp_path, story, idle_seconds=0.1)


def test_an_environment_that_dies_while_idle_is_started_again_by_the_next_call(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy(
            "pid",
            "import os, threading\ndef handler(event, context):\n    threading.Timer(0.01, os._exit, [1]).start()\n    return os.getpid()\n",
        )
        one = (await plane.call("pid")).payload
        await until(lambda: plane.fleet.counts()["reset"] == 1, "reset")
        assert (await plane.call("pid")).payload != one

    with_plane(tmp_path, story)


def test_a_machine_that_cannot_start_a_runtime_refuses_every_waiting_call(tmp_path):
    async def story(plane: DataPlane) -> None:
        async def no_host(version):
            raise RuntimeMissing("install node") if version.name == "missing" else KeyError("a bug")

        plane.world.host_of = no_host
        plane.deploy("missing", PID)
        plane.deploy("buggy", PID)
        for name, code in (("missing", "InvalidRuntimeException"), ("buggy", "ServiceException")):
            found = await asyncio.gather(*(plane.call(name) for _ in range(3)), return_exceptions=True)
            assert [error.code for error in found] == [code] * 3
        await until(lambda: sum(plane.fleet.counts().values()) == 0, "none left")

    with_plane(tmp_path, story)


def test_deletion_is_passed_on(tmp_path):
    async def story(plane: DataPlane) -> None:
        told = []
        plane.fleet.when_forgotten(lambda *key: told.append(key))
        plane.fleet.forget("a", "r", "f")
        assert told == [("a", "r", "f")]

    with_plane(tmp_path, story)


def test_stopping_refuses_what_runs_and_leaves_no_process(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("gated", GATED, timeout_s=30)
        call = asyncio.create_task(plane.call("gated", b'"/nowhere"'))
        await until(lambda: plane.fleet.counts()["busy"] == 1, "busy")
        await plane.fleet.close()
        with pytest.raises(AwsError) as refused:
            await call
        assert refused.value.code == "ServiceException"
        assert sum(plane.fleet.counts().values()) == 0
        with pytest.raises(AwsError):
            await plane.call("gated")

    with_plane(tmp_path, story)
