"""The /tmp of functions in containers: bounded, kept by name, and nothing of them stays."""

import asyncio
import os
from pathlib import Path

import pytest

from cumulo.engines.functions.scratch import Scratch

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


def points(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]


@root
@pytest.mark.root
@pytest.mark.parametrize("mkfs", [None, ""])
def test_a_volume_is_bounded_kept_and_dropped(tmp_path, mkfs):
    async def main():
        scratch = Scratch(tmp_path / "v", mkfs=mkfs)
        await scratch.open()
        try:
            one, two = await scratch.take("one", 32), await scratch.take("two", 32)
            assert one.stat().st_mode & 0o7777 == 0o1777
            (one / "file").write_text("x")
            assert await scratch.take("one", 32) == one
            assert (one / "file").read_text() == "x"
            assert not list(two.iterdir())
            with pytest.raises(OSError, match="No space"):
                (two / "big").write_bytes(bytes(60 * 2**20))
            await scratch.drop("one")
            await scratch.drop("one")
            assert not one.exists()
            assert not list((await scratch.take("one", 32)).iterdir())
        finally:
            await scratch.close()
        assert points(tmp_path) == []
        assert not (tmp_path / "v").exists()

    asyncio.run(main())


@root
@pytest.mark.root
def test_what_a_killed_server_left_is_unmounted_at_the_next_start(tmp_path):
    async def main():
        first, second = Scratch(tmp_path / "v"), Scratch(tmp_path / "v")
        await first.open()
        await first.take("one", 32)
        await second.open()
        assert not list((tmp_path / "v").iterdir())
        await second.take("one", 32)
        await second.close()
        assert points(tmp_path) == []

    asyncio.run(main())


@root
@pytest.mark.root
def test_a_volume_goes_from_mount_namespaces_that_were_made_while_it_was_there(tmp_path):
    async def main():
        scratch = Scratch(tmp_path / "v")
        await scratch.open()
        await scratch.take("one", 32)
        child = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo in; read line"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert await child.stdout.readline() == b"in\n"
            theirs = Path(f"/proc/{child.pid}/mountinfo")
            assert str(tmp_path / "v" / "one") in theirs.read_text()
            await scratch.drop("one")
            assert str(tmp_path / "v" / "one") not in theirs.read_text()
        finally:
            await child.communicate(b"\n")
            await scratch.close()

    asyncio.run(main())
