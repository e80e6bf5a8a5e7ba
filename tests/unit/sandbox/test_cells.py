"""A sandbox from start to end, for real."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from tests.sandbox_kit import (
    launcher,
    needs_python,
    needs_root,
    python,
    read_until,
    run,
    run_once,
    shell,
    spec,
    until,
)

from cumulo.sandbox.contract import Bind, Exit, StartError

pytestmark = needs_root


def test_a_program_sees_its_code_its_environment_and_its_name(tmp_path: Path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "hello").write_text("from the code")
    output, ended = run_once(
        tmp_path,
        shell(tmp_path, 'cat hello; echo; echo "$WORD"; pwd; id -un; hostname', env={"WORD": "mine"}),
    )
    assert output.split("\n")[:5] == ["from the code", "mine", "/var/task", "sbx_user1051", "sandbox"]
    assert ended == Exit()


def test_the_addresses_are_in_the_environment(tmp_path: Path):
    output, _ = run_once(
        tmp_path,
        shell(
            tmp_path,
            "echo $AWS_LAMBDA_RUNTIME_API $AWS_ENDPOINT_URL; echo framed >&$_LAMBDA_TELEMETRY_LOG_FD",
        ),
    )
    assert output == "127.0.0.1:9001 http://127.0.0.1:4566\n"


def test_telemetry_comes_by_a_pipe_of_its_own(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(
                shell(tmp_path, "echo framed >&$_LAMBDA_TELEMETRY_LOG_FD; echo plain; echo e >/dev/stderr")
            )
            plain = await read_until(box)
            framed = os.read(box.telemetry, 100)
            await box.close()
            return plain, framed

    assert asyncio.run(main()) == (b"plain\ne\n", b"framed\n")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", Exit(code=0)),
        ("exit 7", Exit(code=7)),
        ("kill -TERM $$", Exit(signal=signal.SIGTERM)),
        ("kill -SEGV $$", Exit(signal=signal.SIGSEGV)),
    ],
)
def test_the_end_is_told_as_it_was(tmp_path: Path, script: str, expected: Exit):
    assert run_once(tmp_path, shell(tmp_path, script))[1] == expected


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("/var/task/missing",), 127),
        (("/var/task/plain",), 126),
        (("no-such-program",), 127),
        (("/etc",), 126),
    ],
)
def test_a_command_that_cannot_be_executed_is_told_apart(tmp_path: Path, argv: tuple[str, ...], code: int):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "plain").write_text("not a program")
    assert run_once(tmp_path, spec(tmp_path, *argv))[1] == Exit(code=code, entrypoint_failed=True)


def test_a_script_without_an_interpreter_is_no_command(tmp_path: Path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "bootstrap").write_text("echo hello")
    (tmp_path / "code" / "bootstrap").chmod(0o755)
    assert run_once(tmp_path, spec(tmp_path, "/var/task/bootstrap"))[1] == Exit(
        code=126, entrypoint_failed=True
    )


def test_code_that_is_missing_is_a_start_error(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            given = shell(tmp_path, "true")
            (tmp_path / "code").rmdir()
            with pytest.raises(StartError) as caught:
                await opened.start(given)
            (tmp_path / "code").mkdir()
            assert (await run(opened, shell(tmp_path, "echo still")))[0] == "still\n"
            return caught.value

    error = asyncio.run(main())
    assert error.kind == "Sandbox.Failed"
    assert "No such file" in str(error)


def test_later_layers_win(tmp_path: Path):
    layers = []
    for number in ("one", "two", "three: with, odd name"):
        layer = tmp_path / number
        layer.mkdir()
        (layer / "all").write_text(number)
        (layer / f"only-{number[:3]}").write_text("")
        layers.append(layer)
    output, _ = run_once(tmp_path, shell(tmp_path, "cat /opt/all; echo; ls /opt", layers=tuple(layers)))
    assert output.split("\n")[:-1] == ["three: with, odd name", "all", "only-one", "only-thr", "only-two"]


def test_a_single_layer_is_at_opt(tmp_path: Path):
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "word").write_text("here")
    assert run_once(tmp_path, shell(tmp_path, "cat /opt/word", layers=(layer,)))[0] == "here"


def test_what_is_bound_is_where_it_was_asked_for_and_cannot_be_written(tmp_path: Path):
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / "a").write_text("folder ")
    file = tmp_path / "file"
    file.write_text("file")
    binds = (Bind(folder, "/var/runtime"), Bind(folder, "/very/deep/down"), Bind(file, "/var/lang/file"))
    output, _ = run_once(
        tmp_path,
        shell(
            tmp_path,
            "cat /var/runtime/a /very/deep/down/a /var/lang/file; touch /var/runtime/b 2>&1",
            binds=binds,
        ),
    )
    assert output.startswith("folder folder file")
    assert "Read-only file system" in output
    assert not (folder / "b").exists()


def test_the_runtime_socket_is_the_inside_s_port_9001(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(spec(tmp_path, "/bin/bash", "-c", BASH_TALK))
            loop = asyncio.get_running_loop()
            for sock in (box.runtime_socket, box.cloud_socket):
                connection, _ = await loop.sock_accept(sock)
                with connection:
                    said = await loop.sock_recv(connection, 100)
                    await loop.sock_sendall(connection, b"answer to " + said)
            output = await read_until(box)
            await box.close()
            return output

    assert asyncio.run(main()) == b"answer to runtime\nanswer to cloud\n"


BASH_TALK = """
exec 5<>/dev/tcp/127.0.0.1/9001; echo runtime >&5; head -1 <&5
exec 6<>/dev/tcp/127.0.0.1/4566; echo cloud >&6; head -1 <&6
"""


def test_tmp_outlives_a_sandbox_and_is_forgotten_when_dropped(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            seen = []
            for script in (
                "echo kept > /tmp/file; mkdir /tmp/d",
                "cat /tmp/file; echo more >> /tmp/file; rmdir /tmp/d",
                "cat /tmp/file",
            ):
                box = await opened.start(shell(tmp_path, script, tmp_name="same"))
                seen.append(await read_until(box))
                await box.close()
            opened.drop_tmp("same")
            seen.append((await run(opened, shell(tmp_path, "ls -A /tmp", tmp_name="same")))[0].encode())
            return seen

    assert asyncio.run(main()) == [b"", b"kept\n", b"kept\nmore\n", b""]


def test_frozen_means_standing_still(tmp_path: Path):
    count = "i=0; while :; do i=$((i+1)); echo $i; done"

    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(shell(tmp_path, count))
            await read_until(box, b"\n1000\n")
            box.freeze()
            drained = 0
            while (now := len(await drain(box))) or drained == 0:
                drained += now or 1
                await asyncio.sleep(0.05)
            still = await drain(box)
            box.thaw()
            more = await read_until(box, b"\n")
            await box.close()
            return still, more

    still, more = asyncio.run(main())
    assert still == b""
    assert more


async def drain(box) -> bytes:
    got = b""
    while True:
        try:
            got += os.read(box.output, 1 << 20)
        except BlockingIOError:
            return got


def test_a_frozen_sandbox_can_be_killed(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(shell(tmp_path, "echo up; sleep 1000"))
            await read_until(box, b"up")
            box.freeze()
            box.kill()
            async with asyncio.timeout(5):
                ended = await box.wait()
            box.kill()
            box.freeze()
            box.thaw()
            await box.close()
            await box.close()
            return ended

    assert asyncio.run(main()) == Exit(signal=signal.SIGKILL)


def test_any_number_may_wait(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(shell(tmp_path, "read x; exit 3"))
            waiting = [asyncio.create_task(box.wait()) for _ in range(3)]
            given_up = asyncio.create_task(box.wait())
            await asyncio.sleep(0)
            given_up.cancel()
            ends = await asyncio.gather(*waiting)
            ends.append(await box.wait())
            await box.close()
            return ends

    assert asyncio.run(main()) == [Exit(code=3)] * 4


def test_with_the_main_process_everything_inside_ends(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(shell(tmp_path, "(trap '' HUP TERM; sleep 1000) & echo started; exit 0"))
            output = await read_until(box, seconds=5)  # ends only when the last writer of the pipe has gone
            ended = await box.wait()
            await box.close()
            return output, ended

    assert asyncio.run(main()) == (b"started\n", Exit())


@needs_python
def test_orphans_are_reaped_by_pid_1(tmp_path: Path):
    script = """
import os, time
for _ in range(50):
    if os.fork() == 0:
        if os.fork() == 0: os._exit(0)
        os._exit(0)
    os.wait()
deadline = time.monotonic() + 5
def zombies():
    found = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try: found += open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[0] == "Z"
            except OSError: pass
    return found
while zombies() and time.monotonic() < deadline: time.sleep(0.01)
print(zombies(), os.getpid() != 1)
"""
    assert run_once(tmp_path, python(tmp_path, script))[0] == "0 True\n"


def test_the_peak_of_memory_is_known_during_and_after(tmp_path: Path):
    eat = "import time; x = bytearray(60 << 20); x[::4096] = b'x' * len(x[::4096]); print('eaten'); time.sleep(1000)"

    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(python(tmp_path, eat))
            await read_until(box, b"eaten")
            during = box.memory_peak_bytes()
            box.kill()
            await box.wait()
            after = box.memory_peak_bytes()
            await box.close()
            return during, after

    during, after = asyncio.run(main())
    assert 60 << 20 <= during < 90 << 20
    assert 60 << 20 <= after < 90 << 20


def test_settling_ends_the_boost(tmp_path: Path):
    burn = "import time\nwhile True:\n t = time.process_time(); w = time.monotonic()\n while time.monotonic() - w < 0.3: pass\n print(round((time.process_time() - t) / 0.3, 2))"

    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(python(tmp_path, burn, vcpus=0.1))
            first = float((await read_until(box, b"\n")).split()[0])
            box.settle()
            await read_until(box, b"\n")
            later = [float((await read_until(box, b"\n")).split()[0]) for _ in range(2)]
            await box.close()
            return first, min(later)

    first, later = asyncio.run(main())
    assert later < 0.2
    assert first > 1.5 * later


def test_many_start_at_once_and_each_has_its_own(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, spare_cells=2) as opened:
            boxes = await asyncio.gather(
                *(
                    opened.start(shell(tmp_path, f"echo {i}; read x; sleep 1000 & wait", name=f"n{i}"))
                    for i in range(30)
                )
            )
            outputs = [await read_until(box, b"\n") for box in boxes]
            await asyncio.gather(*(box.close() for box in boxes))
            return outputs

    assert asyncio.run(main()) == [b"%d\n" % i for i in range(30)]


def test_a_start_nobody_waits_for_leaves_nothing(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, spare_cells=0) as opened:
            await opened.warm()
            task = asyncio.create_task(opened.start(shell(tmp_path, "sleep 1000", name="given-up")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            box = await opened.start(shell(tmp_path, "echo fine"))
            assert await read_until(box) == b"fine\n"
            await box.close()
            groups = Path("/sys/fs/cgroup/pids")
            base = next(p for p in (groups, Path("/sys/fs/cgroup")) if p.exists())
            await until(lambda: not any(p.is_dir() for g in base.glob("cumulo-t*") for p in g.glob("*-*")))

    asyncio.run(main())


def test_descriptors_per_sandbox_are_few(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            await opened.warm()
            before = len(os.listdir("/proc/self/fd"))
            boxes = [await opened.start(shell(tmp_path, "sleep 1000")) for _ in range(5)]
            held = len(os.listdir("/proc/self/fd")) - before
            for box in boxes:
                await box.close()
            return held, len(os.listdir("/proc/self/fd")) - before

    held, left = asyncio.run(main())
    assert held <= 5 * 9
    assert left == 0
