"""What `cumulo doctor` says of the local engine, found by trying."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cumulo.engines.local import probe
from tests.engines.local_kit import RUNTIMES, needs_local
from tests.support import until

pytestmark = needs_local
ROOT = Path(__file__).parents[2]


def fixes(seen: probe.Seen) -> dict[str, str]:
    return {finding.name: finding.fix for finding in seen.probe.findings if not finding.ok}


def groups() -> set[Path]:
    """The control groups of probes, anybody's."""
    return set(Path("/sys/fs/cgroup").glob("**/cumulopods-probe-*"))


def test_a_machine_with_everything_is_usable_and_nothing_is_left(tmp_path: Path) -> None:
    others = groups()  # of probes that others make meanwhile
    seen = probe.look(tmp_path)
    if not shutil.which("nft"):
        pytest.skip("no nft here")
    assert seen.probe.usable, seen
    assert seen.tools is not None
    assert Path(seen.tools.runtime).name in RUNTIMES
    assert list(tmp_path.iterdir()) == []
    left = groups() - others
    until(lambda: not left & groups(), "no control group is left", 20)


def test_each_missing_program_has_its_command(tmp_path: Path) -> None:
    seen = probe.look(tmp_path, search=str(tmp_path))
    assert not seen.probe.usable
    assert seen.tools is None
    found = fixes(seen)
    assert found["conmon"] == "apt-get install conmon"
    assert found["runtime"] == "apt-get install runc"
    assert found["nft"] == "apt-get install nftables"
    assert found["init"] == "apt-get install tini"


def test_a_runtime_that_does_not_work_is_not_chosen(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("conmon", "nft", RUNTIMES[0]):
        (programs / name).symlink_to(shutil.which(name) or "/bin/true")
    broken = "crun" if RUNTIMES[0] == "runc" else "runc"
    (programs / broken).write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    (programs / broken).chmod(0o755)
    seen = probe.look(tmp_path / "data", search=str(programs))
    assert seen.tools is not None
    assert Path(seen.tools.runtime).name == RUNTIMES[0]
    (runtime,) = [finding for finding in seen.probe.findings if finding.name == "runtime"]
    assert broken == "runc" or "it is broken" in runtime.detail


def test_without_control_groups_it_is_not_usable(tmp_path: Path) -> None:
    assert "cgroups" in fixes(probe.look(tmp_path, cgroups=tmp_path))


def test_without_root_it_names_what_to_do(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from cumulo.engines.local import probe; os.setuid(65534);"
        "seen = probe.look(Path(sys.argv[1])); print(seen.tools, seen.probe.findings[0].fix)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.startswith("None sudo")
    assert "--engine docker" in done.stdout
