"""The runtime as a sealed copy in memory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cumulo.engines.local import program

TRUE = os.path.realpath(shutil.which("true") or "")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux has memory that is sealed")


def test_a_sealed_copy_runs_and_nobody_can_write_to_it(tmp_path):
    link = tmp_path / "true"
    memory = program.seal(TRUE, link)
    assert memory >= 0
    try:
        assert subprocess.run([str(link)], check=False).returncode == 0
        assert link.read_bytes() == Path(TRUE).read_bytes()
        with pytest.raises(PermissionError):
            os.pwrite(memory, b"evil", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(memory, 0)
        again = os.open(link, os.O_RDWR)  # root may
        try:
            with pytest.raises(PermissionError):
                os.write(again, b"evil")
        finally:
            os.close(again)
    finally:
        os.close(memory)


def test_a_link_of_an_earlier_server_is_replaced(tmp_path):
    link = tmp_path / "true"
    link.symlink_to("/proc/0/fd/3")
    memory = program.seal(TRUE, link)
    assert memory >= 0
    os.close(memory)


def test_scripts_and_what_does_not_run_are_left_as_they_are(tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF, or so it says")
    for path in (script, broken, tmp_path / "none"):
        assert program.seal(str(path), tmp_path / "link") == -1
        assert not (tmp_path / "link").is_symlink()
