"""Containers on the local engine, for real: their life from created to removed."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulo.engines.engine import (
    Busy,
    ContainerState,
    EngineError,
    ExecSpec,
    Mount,
    MountKind,
    NoSuchPod,
    StartFailed,
)
from tests.engines.local_kit import (
    BUSYBOX,
    RUNTIMES,
    Lab,
    container,
    needs_local,
    output,
    pod,
    script,
    until_printed,
)

pytestmark = needs_local


@pytest.fixture(params=RUNTIMES)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, request.param)
    yield made
    made.give_up()


def test_a_container_runs_prints_and_ends_with_its_code(lab: Lab) -> None:
    async def story(engine):
        status = await engine.create(pod("p", script("echo out; echo err >&2; exit 3")))
        assert status.containers["main"].state == ContainerState.CREATED
        with pytest.raises(Busy):
            await engine.wait("p", "main")
        started = await engine.start("p", "main")
        assert started.pid > 0
        assert len(started.id) == 64
        end = await engine.wait("p", "main")
        assert (end.code, end.error, end.out_of_memory) == (3, "", False)
        lines = [line async for line in engine.logs("p", "main")]
        assert sorted((line.stream, line.text) for line in lines) == [("stderr", b"err"), ("stdout", b"out")]
        status = await engine.inspect("p")
        assert status.containers["main"].state == ContainerState.EXITED
        assert status.containers["main"].pid == 0

    lab.tell(story)


def test_it_starts_again_on_the_same_files(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", script("echo x >> /count; wc -l < /count; sleep 0.05")))
        for _ in range(3):
            await engine.start("p", "main")
            await engine.start("p", "main")  # harmless
            await engine.wait("p", "main")
        assert (await output(engine, "p")).split() == ["1", "2", "3"]

    lab.tell(story)


def test_signals_pause_and_resume(lab: Lab) -> None:
    async def story(engine):
        await engine.create(
            pod("p", script("trap 'echo told; exit 7' TERM; echo up; while true; do sleep 0.02; done"))
        )
        await engine.start("p", "main")
        await until_printed(engine, "p", "up")
        await engine.pause("p", "main")
        await engine.pause("p", "main")
        assert (await engine.inspect("p")).containers["main"].state == ContainerState.PAUSED
        with pytest.raises(Busy):
            await engine.exec("p", "main", ExecSpec(argv=("true",)))
        await engine.resume("p", "main")
        await engine.resume("p", "main")
        await engine.signal("p", "main", "SIGTERM")
        assert (await engine.wait("p", "main")).code == 7
        await engine.signal("p", "main", "SIGTERM")  # harmless
        await engine.start("p", "main")
        await engine.pause("p", "main")
        await engine.signal("p", "main", "SIGKILL")
        assert (await engine.wait("p", "main")).code == 137
        with pytest.raises(Busy):
            await engine.pause("p", "main")
        with pytest.raises(EngineError):
            await engine.signal("p", "main", "SIGNOT")

    lab.tell(story)


@pytest.mark.parametrize(
    ("command", "code", "kind"),
    [
        (("nothing-here",), 127, "entrypoint"),
        (("/notes.txt",), 126, "entrypoint"),
        (("/etc",), 126, "entrypoint"),
        (("script",), 127, "entrypoint"),
        (("/bin/script",), 127, "entrypoint"),
        (("/dev/nothing-here",), 127, "entrypoint"),
    ],
)
@pytest.mark.parametrize("piped", [False, True])
def test_what_cannot_be_executed_has_dockers_code(
    lab: Lab, command: tuple[str, ...], code: int, kind: str, piped: bool
) -> None:
    script = lab.base / "layer" / "bin" / "script"
    script.write_text("#!/usr/bin/not-here -x\n")
    script.chmod(0o755)

    async def story(engine):
        await engine.create(pod("p", container("main", *command)))
        read, write = os.pipe()
        with pytest.raises(StartFailed) as failed:
            await engine.start("p", "main", output=write if piped else None)
        os.close(read)
        os.close(write)
        assert failed.value.kind == kind, failed.value
        assert command[0] in str(failed.value)
        status = (await engine.inspect("p")).containers["main"]
        assert status.state == ContainerState.EXITED
        assert status.exit is not None
        assert status.exit.code == code, failed.value
        assert (await engine.wait("p", "main")).error

    lab.tell(story)


def test_what_is_not_there_is_said(lab: Lab) -> None:
    async def story(engine):
        for verb in (
            engine.inspect("no"),
            engine.start("no", "main"),
            engine.wait("no", "main"),
            engine.usage("no"),
        ):
            with pytest.raises(NoSuchPod):
                await verb
        await engine.remove("no")
        with pytest.raises(EngineError, match="no image"):
            await engine.create(pod("p", container("main", image="sha256:none")))
        with pytest.raises(NoSuchPod):
            await engine.inspect("p")
        await engine.create(pod("p", container()))
        with pytest.raises(NoSuchPod):
            await engine.start("p", "other")

    lab.tell(story)


def test_exec_gives_output_input_and_code(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", container("main", "sleep", "100", env={"A": "1"})))
        await engine.start("p", "main")
        session = await engine.exec(
            "p", "main", ExecSpec(argv=("sh", "-c", "cat; echo $A $B >&2; exit 9"), env={"B": "2"})
        )
        await session.write(b"hello")
        session.end_input()
        got = {"stdout": b"", "stderr": b""}
        while (piece := await session.read()) is not None:
            got[piece[0]] += piece[1]
        assert got == {"stdout": b"hello", "stderr": b"1 2\n"}
        assert await session.wait() == 9
        await session.close()
        with pytest.raises(StartFailed) as failed:
            await engine.exec("p", "main", ExecSpec(argv=("nothing-here",)))
        assert failed.value.kind == "entrypoint", failed.value
        long = await engine.exec("p", "main", ExecSpec(argv=("sleep", "1000")))
        await long.close()
        assert await long.wait() == 137

    lab.tell(story)


def test_exec_with_a_terminal(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", container("main", "sleep", "100")))
        await engine.start("p", "main")
        spec = ExecSpec(
            argv=(
                "sh",
                "-c",
                "tty; stty size; read x; until stty size | grep 40; do sleep 0.02; done; exit 4",
            ),
            terminal=True,
            rows=30,
            columns=90,
            user="anna",
        )
        session = await engine.exec("p", "main", spec)
        text = b""
        while b"30 90" not in text:
            piece = await asyncio.wait_for(session.read(), 10)
            assert piece is not None
            text += piece[1]
        session.resize(40, 100)
        await session.write(b"\n")
        while (piece := await session.read()) is not None:
            text += piece[1]
        assert b"/dev/pts" in text
        assert b"40 100" in text
        assert await session.wait() == 4
        await session.close()

    lab.tell(story)


def test_an_engine_that_comes_later_adopts(lab: Lab) -> None:
    async def story(engine):
        spec = pod(
            "p",
            script("echo one; while [ ! -e /go ]; do sleep 0.02; done; echo two; exit 5"),
            container("brief", "false"),
        )
        await engine.create(spec)
        first = await engine.start("p", "main")
        await engine.start("p", "brief")
        await until_printed(engine, "p", "one")
        lines = [line async for line in engine.logs("p", "main")]
        engine = await lab.reopen()
        assert (await engine.create(spec)).containers["main"].pid == first.pid
        status = (await engine.inspect("p")).containers["main"]
        assert (status.state, status.pid, status.id) == (ContainerState.RUNNING, first.pid, first.id)
        assert (await engine.wait("p", "brief")).code == 1
        assert (await engine.usage("p"))["main"].pids > 0
        session = await engine.exec("p", "main", ExecSpec(argv=("touch", "/go")))
        assert await session.wait() == 0
        await session.close()
        assert (await engine.wait("p", "main")).code == 5
        rest = [line.text async for line in engine.logs("p", "main", after=lines[-1].cursor, follow=True)]
        assert rest == [b"two"]
        engine = await lab.reopen()
        assert (await engine.wait("p", "main")).code == 5

    lab.tell(story)


def test_what_ended_meanwhile_is_known(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", script("sleep 0.3; exit 6")))
        status = await engine.start("p", "main")
        await engine.close()
        pidfd = os.pidfd_open(status.pid)
        await asyncio.get_running_loop().run_in_executor(
            None, lambda: __import__("select").select([pidfd], [], [], 10)
        )
        os.close(pidfd)
        engine = await lab.open()
        assert (await engine.wait("p", "main")).code == 6

    lab.tell(story)


def test_output_goes_into_a_pipe(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", script("echo out; echo err >&2")))
        read, write = os.pipe()
        await engine.start("p", "main", output=write)
        os.close(write)
        await engine.wait("p", "main")
        with os.fdopen(read, "rb") as pipe:
            assert sorted(pipe.read().split()) == [b"err", b"out"]
        assert await output(engine, "p") == ""

    lab.tell(story)


def test_what_the_images_do_at_the_end_is_done_while_the_folder_is_still_ours(lab: Lab) -> None:
    seen = []

    async def closing() -> None:
        with pytest.raises(EngineError, match="another server"):
            await lab.open()
        seen.append("closed")
        raise ConnectionError("oh no")

    async def story(engine):
        await engine.close()
        last = await lab.open(closing=closing)
        with pytest.raises(ConnectionError):
            await last.close()
        await last.close()  # harmless
        await lab.open()

    lab.tell(story)
    assert seen == ["closed"]


def test_remove_ends_everything(lab: Lab) -> None:
    async def story(engine):
        await engine.create(
            pod("p", container("a", "sleep", "1000"), script("while true; do sleep 1 & wait; done"))
        )
        await engine.start("p", "a")
        await engine.start("p", "main")
        waiting = asyncio.create_task(engine.wait("p", "a"))
        await asyncio.sleep(0)
        await engine.remove("p")
        assert (await waiting).code == 137
        assert await engine.pods() == []
        assert lab.leftovers() == []
        await engine.remove("p")

    lab.tell(story)


def test_a_log_is_bounded_and_its_reader_misses_nothing(lab: Lab) -> None:
    async def story(engine):
        text = "i=0; while [ $i -lt 400 ]; do echo line $i 0123456789012345678901234567890123456789; i=$((i+1)); done"
        await engine.create(pod("p", script(f"sleep 0.1; {text}; sleep 0.1; {text}", log_bytes_max=40_000)))
        await engine.start("p", "main")
        read = [line.text async for line in engine.logs("p", "main", follow=True)]
        assert len(read) >= 400
        assert read[-1].startswith(b"line 399 ")
        assert lab.data.joinpath("pods/p/containers/main/log").stat().st_size <= 40_000 + 200
        assert (await engine.wait("p", "main")).code == 0

    lab.tell(story)


def test_long_and_unended_lines(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", script("head -c 40000 /dev/zero | tr '\\0' x; echo; printf end")))
        await engine.start("p", "main")
        await engine.wait("p", "main")
        lines = [line async for line in engine.logs("p", "main")]
        assert b"".join(line.text for line in lines) == b"x" * 40_000 + b"end"
        assert [line.partial for line in lines][-2:] == [False, False]
        assert max(len(line.text) for line in lines) <= 16 * 1024

    lab.tell(story)


def test_after_the_machine_was_restarted_containers_have_ended_and_start_again(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("p", script("echo run >> /count; cat /count")))
        await engine.start("p", "main")
        await engine.wait("p", "main")
        await engine.close()
        record = lab.data / "pods/p/containers/main/run.json"
        run = json.loads(record.read_text())
        record.write_text(
            json.dumps(run | {"boot": "an earlier one", "exit": None, "pid": os.getpid(), "born": 1})
        )
        (lab.data / "pods/p/containers/main/exits/p.main.1").unlink()
        engine = await lab.open()
        end = await engine.wait("p", "main")
        assert "restarted" in end.error
        await engine.start("p", "main")
        assert (await engine.wait("p", "main")).code == 0
        assert (await output(engine, "p")).split() == ["run", "run", "run"]

    lab.tell(story)


def test_nothing_is_mounted_where_the_machine_sees_it(lab: Lab, tmp_path: Path) -> None:
    async def story(engine):
        mount = Mount(target="/in", kind=MountKind.BIND, source=str(tmp_path))
        await engine.create(pod("p", container("main", "sleep", "100", mounts=(mount,))))
        await engine.start("p", "main")
        assert str(lab.data) not in Path("/proc/self/mountinfo").read_text()
        assert engine.images_in_use() == {BUSYBOX}

    lab.tell(story)
