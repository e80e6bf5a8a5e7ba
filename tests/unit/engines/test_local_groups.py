"""Control groups of version 2, on a tree of plain files; version 1 is tried for real by the engine's tests."""

from pathlib import Path

import pytest

from cumulo.engines.engine import EngineError, Limits
from cumulo.engines.local.group_files import weight
from cumulo.engines.local.groups import MONITORS, PREFIX, GroupsV1, GroupsV2, open_groups


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    return tmp_path


def group(root: Path, name: str, **files: str) -> Path:
    folder = root / "cumulopods-x" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file.replace("_", ".", 1)).write_text(text)
    return folder


def test_the_kind_is_found(root: Path, tmp_path: Path) -> None:
    assert isinstance(open_groups(root, "x"), GroupsV2)
    old = tmp_path / "old"
    (old / "memory").mkdir(parents=True)
    (old / "memory" / "cgroup.procs").touch()
    assert isinstance(open_groups(old, "x"), GroupsV1)
    with pytest.raises(EngineError):
        open_groups(tmp_path / "none", "x")


def test_a_pods_limits_are_written(root: Path) -> None:
    folder = group(root, "p", memory_max="", cpu_max="", cpu_weight="", pids_max="", memory_low="")
    (folder / "memory.swap.max").touch()
    groups = GroupsV2(root, "x")
    groups.make_pod("p", Limits(vcpus=0.5, cpu_shares=1024, memory_mib=2, reserve_mib=1, pids_max=7))
    texts = {
        name: (folder / name).read_text()
        for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max", "memory.low")
    }
    assert texts == {
        "memory.max": "2097152",
        "memory.swap.max": "0",
        "cpu.max": "50000 100000",
        "pids.max": "7",
        "memory.low": "1048576",
    }
    assert (root / "cgroup.subtree_control").read_text() != "cpu\n"


def test_figures(root: Path) -> None:
    folder = group(
        root,
        "p/c",
        cpu_stat="usage_usec 2500000\nuser_usec 1\n",
        memory_current="100\n",
        memory_stat="anon 1\ninactive_file 30\n",
        memory_max="max\n",
        pids_current="3\n",
        io_stat="8:0 rbytes=5 wbytes=7 rios=1\n8:16 rbytes=1 wbytes=1\n",
        memory_events="low 0\noom 1\noom_kill 1\n",
        cgroup_events="populated 1\nfrozen 1\n",
        cgroup_procs="",
    )
    groups = GroupsV2(root, "x")
    figures = groups.figures("p/c")
    assert (figures.cpu_seconds, figures.memory_bytes, figures.memory_peak_bytes) == (2.5, 70, 100)
    assert (figures.memory_limit_bytes, figures.pids, figures.read_bytes, figures.written_bytes) == (
        0,
        3,
        6,
        8,
    )
    (folder / "memory.peak").write_text("300\n")
    assert groups.figures("p/c").memory_peak_bytes == 300
    assert groups.out_of_memory("p/c")
    assert groups.frozen("p/c")
    assert not groups.out_of_memory("p/none")
    assert groups.names() == {"p"}
    assert groups.containers("p") == {"c"}
    assert groups.processes("p") == set()
    assert groups.path("p/c") == "/cumulopods-x/p/c"


def test_freezing_writes_and_thawing_takes_back(root: Path) -> None:
    folder = group(root, "p/c", cgroup_freeze="0", cgroup_events="frozen 1\n")
    groups = GroupsV2(root, "x")
    groups.freeze("p/c")
    assert (folder / "cgroup.freeze").read_text() == "1"
    groups.thaw("p/c")
    assert (folder / "cgroup.freeze").read_text() == "0"


def test_removal_is_from_the_inside_out_and_harmless(root: Path) -> None:
    group(root, "p/c/inner")
    groups = GroupsV2(root, "x")
    assert groups.remove("p")
    assert groups.remove("p")
    groups.remove_parent()
    assert not (root / "cumulopods-x").exists()
    group(root, "q", file_x="held")
    assert not groups.remove("q", seconds_max=0.01)


def test_weights() -> None:
    assert [weight(shares) for shares in (0, 2, 1024, 262_144, 10**9)] == [1, 1, 39, 10_000, 10_000]


def test_monitors_live_apart_and_are_no_pod(root: Path) -> None:
    group(root, "_monitors", cgroup_procs="")
    groups = GroupsV2(root, "x")
    groups.take_monitor(12)
    assert (root / "cumulopods-x" / "_monitors" / "cgroup.procs").read_text() == "12"
    assert groups.names() == set()


def test_a_monitor_that_is_not_known_moves_nobody(root: Path) -> None:
    """The kernel takes 0 for whoever writes it: the server would be among the monitors, and ended with them."""
    group(root, "_monitors", cgroup_procs="")
    GroupsV2(root, "x").take_monitor(0)
    assert (root / f"{PREFIX}x" / MONITORS / "cgroup.procs").read_text() == ""


def sliced(root: Path) -> Path:
    """The files of a slice `s`, as the kernel makes them."""
    (root / "cumulopods-x").mkdir()
    for folder in (root / "cumulopods-x", group(root, "slice.s"), group(root, "slice.s/p")):
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        for name in ("cgroup.subtree_control", "memory.max", "memory.swap.max", "memory.low"):
            (folder / name).touch()
        for name in ("cpu.max", "cpu.weight", "pids.max"):
            (folder / name).touch()
    return root / "cumulopods-x"


def test_the_limits_of_a_slice_are_written_and_taken_back(root: Path) -> None:
    folder = sliced(root) / "slice.s"
    groups = GroupsV2(root, "x")
    names = ("memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpu.weight", "pids.max")
    groups.make_slice("s", Limits(vcpus=1.5, memory_mib=2, reserve_mib=1, pids_max=7, cpu_shares=2))
    assert [(folder / name).read_text() for name in names] == [
        "2097152", "0", "1048576", "150000 100000", "1", "7",
    ]  # fmt: skip
    groups.make_slice("s", Limits())
    for name, text in zip(names, ["max", "max", "0", "max 100000", "39", "max"], strict=True):
        assert (folder / name).read_text().startswith(text)


def test_a_pod_lies_beneath_its_slice_with_the_controllers_of_every_level(root: Path) -> None:
    parent = sliced(root)
    groups = GroupsV2(root, "x")
    groups.make_pod("p", Limits(memory_mib=2), "s")
    assert groups.path("p/c") == "/cumulopods-x/slice.s/p/c"
    assert (parent / "slice.s" / "p" / "memory.max").read_text() == "2097152"
    for folder in (parent, parent / "slice.s", parent / "slice.s" / "p"):
        assert (folder / "cgroup.subtree_control").read_text() != ""


def test_pods_in_slices_are_found_again(root: Path) -> None:
    group(root, "slice.s/p/c", cgroup_procs="12\n", memory_events="oom_kill 1\n")
    group(root, "q")
    groups = open_groups(root, "x")
    assert groups.names() == {"p", "q"}
    assert groups.slices() == {"s"}
    assert groups.path("p") == "/cumulopods-x/slice.s/p"
    assert groups.containers("p") == {"c"}
    assert groups.processes("p") == {12}
    assert groups.out_of_memory("p/c")
    assert not groups.remove_slice("s")


def test_a_pod_that_was_removed_may_come_back_elsewhere(root: Path) -> None:
    group(root, "slice.s/p/c")
    groups = open_groups(root, "x")
    assert groups.remove("p")
    assert groups.path("p") == "/cumulopods-x/p"
    assert groups.remove_slice("s")
    assert groups.slices() == set()


def test_no_slice_is_left_behind_when_no_pod_is(root: Path) -> None:
    group(root, "slice.s")
    groups = open_groups(root, "x")
    groups.remove_parent()
    assert not (root / "cumulopods-x").exists()
