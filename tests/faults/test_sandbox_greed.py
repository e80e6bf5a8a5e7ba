"""A function that takes all it can get hurts nobody but itself."""

import asyncio
import os
from pathlib import Path

from tests.sandbox_kit import launcher, needs_python, needs_root, python, read_until, run, run_once, shell

from cumulo.sandbox.contract import Exit

pytestmark = [needs_root, needs_python]


def test_one_that_eats_memory_is_ended_and_it_is_said_why(tmp_path: Path):
    eat = "x = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))"
    _, ended = run_once(tmp_path, python(tmp_path, eat, memory_mib=128))
    assert ended == Exit(signal=9, out_of_memory=True)


def test_memory_has_no_swap_and_no_way_round(tmp_path: Path):
    """Shared memory, pipes and children count too."""
    script = """
import os, sys
try:
    with open("/dev/shm/a", "wb") as f:
        for _ in range(200): f.write(b"x" * (1 << 20))
except OSError as error: print(error.strerror)
children = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        x = bytearray(b"x" * (20 << 20)); os._exit(0)
    children.append(pid)
print("killed" if any(os.waitpid(pid, 0)[1] == 9 for pid in children) else "none")
"""
    output, ended = run_once(tmp_path, python(tmp_path, script, memory_mib=96), seconds=60.0)
    assert ended.out_of_memory
    assert "none" not in output


def test_one_that_forks_without_end_stops_at_its_bound_and_can_be_ended(tmp_path: Path):
    bomb = """
import os, time
count = 0
while True:
    try:
        if os.fork() == 0: time.sleep(1000)
        count += 1
    except OSError as error:
        print(count, error.strerror, flush=True); break
time.sleep(1000)
"""

    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(python(tmp_path, bomb, pids_max=100, memory_mib=512))
            first = await read_until(box, b"\n")
            other = await run(opened, shell(tmp_path, "echo others live"))
            box.kill()
            async with asyncio.timeout(10):
                await box.wait()
            await box.close()
            return first, other[0]

    first, other = asyncio.run(main())
    assert first == b"99 Resource temporarily unavailable\n"
    assert other == "others live\n"


def test_a_real_fork_bomb_can_be_ended(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(shell(tmp_path, "echo go; f() { f | f & }; f; sleep 1000", pids_max=200))
            await read_until(box, b"go")
            other = await run(opened, shell(tmp_path, "echo others live"))
            box.kill()
            async with asyncio.timeout(15):
                await box.wait()
            await box.close()
            return other[0]

    assert asyncio.run(main()) == "others live\n"


def test_one_that_fills_tmp_meets_its_end_and_its_memory_does_not(tmp_path: Path):
    fill = """
import os
written = 0
try:
    with open("/tmp/big", "wb", buffering=0) as file:
        while True: written += file.write(b"x" * (1 << 20))
except OSError as error: print(written >> 20, error.strerror)
print(os.stat("/tmp/big").st_size == written)
"""
    output, ended = run_long(tmp_path, python(tmp_path, fill, memory_mib=64, tmp_mib=256))
    mib, *reason = output.splitlines()[0].split()
    assert ended == Exit()
    assert 250 <= int(mib) <= 262
    assert " ".join(reason) == "No space left on device"


def run_long(folder: Path, given):
    async def main():
        async with launcher(folder) as opened:
            return await run(opened, given, seconds=90)

    return asyncio.run(main())


def test_ten_thousand_files_can_be_made_but_not_held_open(tmp_path: Path):
    script = """
import os
for i in range(10_000): open(f"/tmp/{i}", "w").close()
print(len(os.listdir("/tmp")))
held = []
try:
    while True: held.append(open("/dev/null"))
except OSError as error: print(len(held) <= 1024, error.strerror)
"""
    output, ended = run_long(tmp_path, python(tmp_path, script))
    assert output.splitlines() == ["10000", "True Too many open files"]
    assert ended == Exit()


def test_a_shrinking_bound_of_output_stops_the_writer_and_not_the_server(tmp_path: Path):
    """Nobody reads: the writer waits, and still can be ended."""

    async def main():
        async with launcher(tmp_path) as opened:
            box = await opened.start(shell(tmp_path, "cat /dev/zero"))
            other = await run(opened, shell(tmp_path, "echo others live"))
            box.kill()
            ended = await asyncio.wait_for(box.wait(), 5)
            waiting = len(os.read(box.output, 1 << 22))
            await box.close()
            return other[0], ended, waiting

    other, ended, waiting = asyncio.run(main())
    assert (other, ended.signal) == ("others live\n", 9)
    assert waiting <= 1 << 16


def test_core_files_are_not_written(tmp_path: Path):
    output, ended = run_once(
        tmp_path,
        python(
            tmp_path,
            "import resource, os; print(resource.getrlimit(resource.RLIMIT_CORE)); os.chdir('/tmp'); os.abort()",
        ),
    )
    assert output == "(0, 0)\n"
    assert ended == Exit(signal=6)
