"""Whoever is killed, and whenever: states stay true, and nothing is left."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulo.engines.engine import ContainerState, EngineError, ExecSpec, Limits, StartFailed
from cumulo.engines.local.processes import born
from cumulo.engines.local.runtime import Tools
from tests.engines.local_kit import RUNTIMES, Lab, container, needs_local, pod, script, until_printed

pytestmark = needs_local
ROOT = Path(__file__).parents[2]
KILLS = 4


@pytest.fixture(params=RUNTIMES)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, request.param)
    yield made
    made.give_up()


def words_of(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def monitors(lab: Lab) -> list[int]:
    return [pid for pid in lab.processes() if words_of(pid)[:1] == [lab.tools.conmon]]


def test_a_container_whose_monitor_is_killed_ends(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", script("echo up; sleep 1000")))
        await engine.start("p", "main")
        await until_printed(engine, "p", "up")
        for pid in monitors(lab):
            kill(pid)
        end = await asyncio.wait_for(engine.wait("p", "main"), 10)
        assert end.code == 137
        assert "monitor" in end.error
        assert (await engine.inspect("p")).containers["main"].state == ContainerState.EXITED
        await engine.start("p", "main")
        assert (await engine.inspect("p")).containers["main"].state == ContainerState.RUNNING
        await engine.close()
        for pid in monitors(lab):
            kill(pid)
        engine = await lab.open()
        assert (await asyncio.wait_for(engine.wait("p", "main"), 10)).code == 137

    lab.tell(story)


def test_a_monitor_that_is_stopped_does_not_hold_up_the_removal(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", container("main", "sleep", "1000")))
        await engine.start("p", "main")
        for pid in monitors(lab):
            kill(pid, signal.SIGSTOP)
        await asyncio.wait_for(engine.remove("p"), 30)
        assert lab.leftovers() == []

    lab.tell(story)


@pytest.mark.parametrize(
    ("when", "what"),
    [
        ("create", "-KILL $$"),
        ("create", "-STOP $$"),
        ("create", "-KILL $PPID"),
        ("start", "-KILL $$"),
        ("start", "-STOP $$"),
    ],
)
def test_a_runtime_that_dies_or_hangs_leaves_nothing(lab: Lab, when: str, what: str) -> None:
    async def story(engine):
        await engine.close()
        wrapper = lab.base / lab.runtime
        flag = lab.base / "broken"
        who = "conmon" if when == "create" else "*"  # a parent that is not the monitor is nobody's to kill
        wrapper.write_text(
            f'#!/bin/sh\ncase " $* $(cat {flag} 2>/dev/null) $(cat /proc/$PPID/comm)" in *" {when} "*" {when} "{who}) kill {what};; esac\nexec {lab.tools.runtime} "$@"\n'
        )
        wrapper.chmod(0o755)
        flag.write_text(when)
        engine = await lab.open(
            tools=Tools(str(wrapper), lab.tools.conmon, lab.tools.init), call_seconds_max=0.7
        )
        await engine.create(pod("p", container("main", "sleep", "1000")))
        with pytest.raises(StartFailed):
            await engine.start("p", "main")
        status = (await engine.inspect("p")).containers["main"]
        assert status.state == ContainerState.EXITED
        assert status.exit is not None
        assert status.exit.code == 128
        assert lab.processes() == []
        flag.unlink()
        await engine.start("p", "main")
        assert (await engine.inspect("p")).containers["main"].state == ContainerState.RUNNING

    lab.tell(story)


def test_killing_runtimes_and_monitors_at_random(lab: Lab) -> None:
    dice = random.Random(7)

    async def story(engine):
        stop = asyncio.Event()

        async def killer() -> None:
            while not stop.is_set():
                victims = [pid for pid in lab.processes() if words_of(pid)]
                if victims and dice.random() < 0.3:
                    kill(dice.choice(victims))
                await asyncio.sleep(dice.random() * 0.02)

        async def churn(number: int) -> None:
            for turn in range(6):
                name = f"p-{number}-{turn}"
                with contextlib.suppress(EngineError):
                    await engine.create(pod(name, container("main", "sleep", "1000")))
                    await engine.start(name, "main")
                    session = await engine.exec(name, "main", ExecSpec(argv=("true",)))
                    await session.wait()
                    await session.close()
                    await engine.signal(name, "main", "SIGKILL")
                    await asyncio.wait_for(engine.wait(name, "main"), 20)
                await engine.remove(name)

        killing = asyncio.create_task(killer())
        await asyncio.gather(*(churn(number) for number in range(2)))
        stop.set()
        await killing
        assert lab.leftovers() == []

    lab.tell(story)


@pytest.fixture
def victim(lab: Lab) -> Iterator[list[subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []
    yield children
    for child in children:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def test_the_server_is_killed_at_any_time(lab: Lab, victim: list[subprocess.Popen[bytes]]) -> None:
    dice = random.Random(11)
    argv = [sys.executable, "-m", "tests.engines.local_victim", str(lab.base), str(lab.run), lab.runtime]
    env = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}

    def one_life() -> None:
        child = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE)
        victim.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(dice.random() * 0.5)
        child.kill()
        child.wait()

    async def look() -> None:
        engine = await lab.open()
        for status in await engine.pods():
            for name, one in status.containers.items():
                if name == "a" and one.state in {ContainerState.RUNNING, ContainerState.PAUSED}:
                    assert Path(f"/proc/{one.pid}").exists()
                    await engine.resume(status.name, name)
                    session = await engine.exec(status.name, name, ExecSpec(argv=("echo", "alive")))
                    assert await session.read() == ("stdout", b"alive\n")
                    await session.close()
                    left = engine._groups.processes(f"{status.name}/{name}")
                    assert [pid for pid in left if words_of(pid)[:1] == ["sleep"]] == [
                        one.pid
                    ]  # no exec of the dead
        await engine.close()

    for _ in range(KILLS):
        one_life()
        asyncio.run(look())

    async def end() -> None:
        await lab.open()
        await lab.close()

    asyncio.run(end())


def test_a_removal_that_was_cut_short_is_finished(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", container("main", "sleep", "1000")))
        await engine.start("p", "main")
        await engine.close()
        (lab.data / "pods" / "p" / "pod.json").unlink()
        engine = await lab.open()
        assert await engine.pods() == []
        assert lab.leftovers() == []

    lab.tell(story)


def test_two_engines_do_not_share_a_folder(lab: Lab) -> None:
    async def story(engine):
        with pytest.raises(EngineError, match="another server"):
            await lab.open()
        lab.engine = engine

    lab.tell(story)


def test_a_caller_that_goes_away_leaves_the_verb_to_its_end(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", container("main", "sleep", "1000")))
        start = asyncio.create_task(engine.start("p", "main"))
        await asyncio.sleep(0.005)
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start
        await engine.start("p", "main")
        assert (await engine.inspect("p")).containers["main"].state == ContainerState.RUNNING

    lab.tell(story)


def test_pods_whose_data_were_deleted_are_ended_by_the_next_engine(lab: Lab, tmp_path: Path) -> None:
    async def story(engine):
        await engine.make_slice("s", Limits(vcpus=1, memory_mib=64))
        await engine.create(pod("p", container("main", "sleep", "1000"), slice="s"))
        status = await engine.start("p", "main")
        await engine.close()
        shutil.rmtree(lab.data)
        other = Lab(tmp_path / "other", lab.runtime, run=lab.run)
        await other.open()
        await other.close()
        assert born(status.pid) == 0
        assert lab.processes() == []
        await lab.open()

    lab.tell(story)


def test_a_slice_without_pods_leaves_no_group_and_is_as_it_was_with_the_next_engine(lab: Lab) -> None:
    async def story(engine):
        await engine.make_slice("s", Limits(vcpus=0.5, memory_mib=32))
        assert lab.groups()
        engine = await lab.reopen()
        assert await engine.slices() == ["s"]
        fill = "head -c 60m /dev/zero | tail"
        spec = pod("p", container("main", "/bin/sh", "-c", fill, limits=Limits(vcpus=4)), slice="s")
        await engine.create(spec)
        await engine.start("p", "main")
        assert (await asyncio.wait_for(engine.wait("p", "main"), 20)).out_of_memory
        await engine.remove("p")
        await engine.close()
        assert lab.groups() == []
        await lab.open()

    lab.tell(story)


def test_groups_of_a_slice_that_was_being_removed_go_with_the_next_engine(lab: Lab) -> None:
    async def story(engine):
        await engine.make_slice("s", Limits())
        await engine.create(pod("p", container("main", "sleep", "1000")))
        for file in (lab.data / "slices").iterdir():
            file.unlink()
        engine = await lab.reopen()
        assert await engine.slices() == []
        assert not [path for parent in lab.groups() for path in parent.glob("slice.*")]

    lab.tell(story)
