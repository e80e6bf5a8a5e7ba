"""After a kill -9 of the server, of the warden or of both, nothing is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from tests.sandbox_kit import launcher, needs_root, read_until, run, shell, until

from cumulo.sandbox import cgroups, network
from cumulo.sandbox.contract import Exit, StartError
from cumulo.sandbox.opening import InstanceRuns, claim, reap, registry_folder
from cumulo.sandbox.probe import CGROUPS

pytestmark = needs_root
ROOT = Path(__file__).parents[2]


def processes() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def groups_of(instance: str) -> list[str]:
    return [
        str(path)
        for base in (CGROUPS, *CGROUPS.glob("*"))
        for path in base.glob(f"{cgroups.PREFIX}{instance}")
    ]


def tables() -> str:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout


def links(instance: str) -> list[str]:
    return [name for name in os.listdir("/sys/class/net") if name.startswith(f"cu{network.short(instance)}")]


def loops(folder: Path) -> list[str]:
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found.append(path.read_text())
        except OSError:
            continue
    return [name for name in found if str(folder) in name]


def namespaces_inside(folder: Path) -> list[int]:
    """Processes whose mounts mention the folder: cells, and the warden."""
    found = []
    for pid in processes():
        try:
            if str(folder) in Path(f"/proc/{pid}/mountinfo").read_text():
                found.append(pid)
        except OSError:
            continue
    return found


def nothing_is_left(instance: str, folder: Path) -> bool:
    return not (
        groups_of(instance)
        or links(instance)
        or loops(folder)
        or namespaces_inside(folder)
        or network.table_name(instance) in tables()
        or str(folder) in Path("/proc/self/mountinfo").read_text()
    )


def has_ended(pid: int) -> bool:
    """Gone, or waiting for the machine's init to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance = f"k{uuid.uuid4().hex[:8]}"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "sandbox_server.py"), str(folder), self.instance],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        )
        self.warden = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_a_killed_server_leaves_nothing(tmp_path: Path):
    server = Server(tmp_path)
    assert not nothing_is_left(server.instance, tmp_path)
    server.kill()
    asyncio.run(until(lambda: nothing_is_left(server.instance, tmp_path)))
    asyncio.run(until(lambda: has_ended(server.warden)))


def test_a_killed_server_s_instance_can_be_started_again_at_once(tmp_path: Path):
    server = Server(tmp_path)
    server.kill()

    async def main():
        async with launcher(tmp_path, instance=server.instance) as opened:
            return await run(opened, shell(tmp_path, "echo again"))

    assert asyncio.run(main()) == ("again\n", Exit())
    asyncio.run(until(lambda: nothing_is_left(server.instance, tmp_path)))


def test_when_server_and_warden_are_both_killed_the_next_start_removes_what_is_left(tmp_path: Path):
    server = Server(tmp_path)
    os.kill(server.warden, signal.SIGSTOP)  # it must not get to clean up first
    server.kill()
    os.kill(server.warden, signal.SIGKILL)
    asyncio.run(until(lambda: has_ended(server.warden)))
    assert groups_of(server.instance)
    # A cell that takes its time to die is for the next look.
    asyncio.run(until(lambda: server.instance in reap(registry_folder())))
    asyncio.run(until(lambda: nothing_is_left(server.instance, tmp_path)))
    assert server.instance not in reap(registry_folder())


def test_reaping_spares_those_who_live(tmp_path: Path):
    server = Server(tmp_path)
    try:
        assert server.instance not in reap(registry_folder())
        assert groups_of(server.instance)
        with pytest.raises(InstanceRuns):
            claim(registry_folder(), server.instance, seconds_max=0.1)
    finally:
        server.kill()
    asyncio.run(until(lambda: nothing_is_left(server.instance, tmp_path)))


def test_a_killed_warden_takes_its_sandboxes_along_and_another_follows(tmp_path: Path):
    instance = f"k{uuid.uuid4().hex[:8]}"

    async def main():
        async with launcher(tmp_path, instance=instance, spare_cells=2) as opened:
            running = await opened.start(shell(tmp_path, "echo up; sleep 1000"))
            frozen = await opened.start(shell(tmp_path, "echo up; sleep 1000"))
            for box in (running, frozen):
                await read_until(box, b"up")
            frozen.freeze()
            os.kill(opened._ward.pid, signal.SIGKILL)
            async with asyncio.timeout(5):
                ends = [await running.wait(), await frozen.wait()]
            again = await run(opened, shell(tmp_path, "echo again"))
            for box in (running, frozen):
                await box.close()
            return ends, again

    ends, again = asyncio.run(main())
    assert ends == [Exit(signal=9), Exit(signal=9)]
    assert again == ("again\n", Exit())
    asyncio.run(until(lambda: nothing_is_left(instance, tmp_path)))


def test_a_warden_killed_amid_starts_fails_none_for_good(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, spare_cells=0) as opened:
            await opened.warm()
            starts = [asyncio.create_task(run(opened, shell(tmp_path, "echo fine"))) for _ in range(6)]
            await asyncio.sleep(0.005)
            os.kill(opened._ward.pid, signal.SIGKILL)
            return await asyncio.gather(*starts, return_exceptions=True)

    for result in asyncio.run(main()):
        assert isinstance(result, StartError) or result[1] in (Exit(), Exit(signal=9))


def test_fifty_starts_and_kills_leak_nothing(tmp_path: Path):
    instance = f"k{uuid.uuid4().hex[:8]}"

    async def main():
        async with launcher(tmp_path, instance=instance, spare_cells=2) as opened:
            warden = None

            async def one(i: int) -> None:
                given = shell(tmp_path, "echo up; sleep 1000")
                box = await opened.start(given)
                if i % 2:
                    await read_until(box, b"up")
                    box.freeze()
                box.kill()
                await box.close()
                opened.drop_tmp(given.tmp_name)

            for i in range(5):
                await one(i)
            warden = opened._ward.pid

            def held():
                return (
                    len(os.listdir("/proc/self/fd")),
                    len(os.listdir(f"/proc/{warden}/fd")),
                    len(Path(f"/proc/{warden}/mountinfo").read_text().splitlines()),
                    len([c for g in groups_of(instance) for c in Path(g).iterdir() if c.is_dir()]),
                    len(loops(tmp_path)),
                )

            await asyncio.sleep(0.5)  # the stock is full again
            before = held()
            for i in range(50):
                await one(i)
            await until(lambda: held() == before)

    asyncio.run(main())
    asyncio.run(until(lambda: nothing_is_left(instance, tmp_path)))


def test_closing_with_busy_sandboxes_leaves_nothing(tmp_path: Path):
    instance = f"k{uuid.uuid4().hex[:8]}"

    async def main():
        async with launcher(tmp_path, instance=instance) as opened:
            boxes = [await opened.start(shell(tmp_path, "while :; do :; done")) for _ in range(3)]
            boxes[0].freeze()

    asyncio.run(main())
    asyncio.run(until(lambda: nothing_is_left(instance, tmp_path)))
    assert not (registry_folder() / f"{instance}.lock").exists()
