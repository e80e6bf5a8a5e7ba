"""The control group of a container, found by its process: real groups of this machine."""

import contextlib
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from cumulo.engines.functions.process_group import ProcessGroup

ROOT = Path("/sys/fs/cgroup")
V2 = (ROOT / "cgroup.controllers").exists()
HOG = "import sys; x = bytearray(48 * 1024 * 1024); print('ready', flush=True); sys.stdin.read()"


@contextlib.contextmanager
def in_a_group(program=HOG):
    """A process in groups of its own."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    folders = [ROOT / name] if V2 else [ROOT / kind / name for kind in ("memory", "cpu")]
    try:
        for folder in folders:
            folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control groups can be made here: {error}")
    child = subprocess.Popen(
        ["python3", "-c", f"input(); exec({program!r})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for folder in folders:
            (folder / "cgroup.procs").write_text(str(child.pid))
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "ready\n"
        yield child.pid, folders
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
        for folder in folders:
            folder.rmdir()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make control groups")
def test_memory_is_read_and_processor_time_is_bounded_at_the_process_own_group():
    with in_a_group() as (pid, folders):
        group = ProcessGroup.of(pid)
        assert group is not None
        peak = group.peak_bytes()
        assert 48 * 2**20 < peak < 128 * 2**20
        group.limit(0.25)
        cpu = folders[-1]
        if V2:
            quota, period = (cpu / "cpu.max").read_text().split()
        else:
            quota, period = ((cpu / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        assert int(quota) / int(period) == 0.25
        group.limit(2.0)
        group.close()
        assert group.peak_bytes() == peak  # the last figure that was known


def test_a_process_without_a_group_of_its_own_is_left_alone():
    assert ProcessGroup.of(os.getpid()) is None
    assert ProcessGroup.of(0) is None
    assert ProcessGroup.of(2**22 + 1) is None
