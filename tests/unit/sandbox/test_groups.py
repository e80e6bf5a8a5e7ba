"""Control groups version 2, against a folder that looks like them; and the arithmetic of both versions."""

import os
from pathlib import Path

import pytest

from cumulo.sandbox import cgroups
from cumulo.sandbox.cgroups import GroupsV1, GroupsV2


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    """A unified hierarchy: plain files take what the kernel's would."""
    for folder in (tmp_path, tmp_path / "cumulo-i"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.subtree_control").write_text("")
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    return tmp_path


def with_files(groups: GroupsV2, cell: str, **contents: str) -> Path:
    """The kernel makes these when a group is made."""
    folder = Path(groups.base) / cell
    folder.mkdir()
    names = (
        "cgroup.procs",
        "cgroup.freeze",
        "memory.max",
        "memory.swap.max",
        "memory.oom.group",
        "cpu.max",
        "pids.max",
    )
    for name in (*names, "memory.stat", "memory.events", *contents):
        (folder / name).write_text(contents.get(name, ""))
    return folder


def test_the_unified_hierarchy_is_recognized(unified: Path):
    assert isinstance(cgroups.open_groups(str(unified), "i"), GroupsV2)


def test_the_separate_hierarchies_are_recognized(tmp_path: Path):
    groups = cgroups.open_groups(str(tmp_path), "i")
    assert isinstance(groups, GroupsV1)
    assert {p.name for p in tmp_path.iterdir()} == {"memory", "cpu", "pids", "freezer"}
    assert groups.remove_parent()


def test_controllers_are_switched_on_where_they_are_not(unified: Path):
    (unified / "cgroup.subtree_control").write_text("cpu memory")
    cgroups.open_groups(str(unified), "i")
    assert (unified / "cgroup.subtree_control").read_text().startswith("+pids")
    assert (unified / "cumulo-i" / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"


def test_limits_are_written_as_the_kernel_wants_them(unified: Path):
    groups = GroupsV2(str(unified), "cumulo-i")
    folder = with_files(groups, "c1")
    groups.limit("c1", 134217728, 1025)
    groups.cpu("c1", 0.5)
    groups.join("c1")
    written = {p.name: p.read_text() for p in folder.iterdir() if p.read_text()}
    assert written == {
        "cgroup.procs": "0",
        "cpu.max": "10000 20000",
        "memory.max": "134217728",
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "1025",
    }


def test_freezing_is_a_word_to_a_descriptor(unified: Path):
    groups = GroupsV2(str(unified), "cumulo-i")
    folder = with_files(groups, "c1")
    fd = groups.open_freezer("c1")
    os.write(fd, groups.frozen_word)
    os.close(fd)
    assert (folder / "cgroup.freeze").read_text() == "1"
    groups.thaw("c1")
    assert (folder / "cgroup.freeze").read_text() == "0"


@pytest.mark.parametrize(
    ("events", "expected"), [("low 0\noom 3\noom_kill 0\n", False), ("oom 1\noom_kill 2\n", True)]
)
def test_a_kill_for_memory_is_seen(unified: Path, events: str, expected: bool):
    groups = GroupsV2(str(unified), "cumulo-i")
    with_files(groups, "c1", **{"memory.events": events})
    assert groups.out_of_memory("c1") is expected


def test_the_peak_is_without_the_cache_of_files(unified: Path):
    groups = GroupsV2(str(unified), "cumulo-i")
    stat = "anon 700\ninactive_file 200\nactive_file 100\n"
    with_files(groups, "c1", **{"memory.peak": "1000\n", "memory.stat": stat})
    assert cgroups.peak_of(groups, "c1") == 700


def test_without_a_peak_what_is_used_now_must_do(unified: Path):
    groups = GroupsV2(str(unified), "cumulo-i")
    with_files(groups, "c1", **{"memory.current": "400\n"})
    assert cgroups.peak_of(groups, "c1") == 400


def test_a_group_that_has_gone_answers_nothing(unified: Path):
    groups = GroupsV2(str(unified), "cumulo-i")
    assert cgroups.peak_of(groups, "gone") == 0
    assert groups.out_of_memory("gone") is False
    assert groups.processes("gone") == []
    assert groups.remove("gone")


def test_a_busy_group_stays_and_the_wait_for_it_ends(unified: Path):
    groups = GroupsV2(str(unified), "cumulo-i")
    with_files(groups, "c1", **{"cgroup.procs": "12 13\n"})
    assert groups.processes("c1") == [12, 13]
    assert not groups.remove("c1")
    assert not cgroups.remove_all(groups, ["c1"], deadline=0.0)
    assert groups.cells() == ["c1"]


@pytest.mark.parametrize(
    ("vcpus", "expected"), [(1.0, 20_000), (0.0724, 1_448), (0.01, 1_000), (6.0, 120_000)]
)
def test_processor_time_has_a_least_share(vcpus: float, expected: int):
    assert cgroups.quota_us(vcpus) == expected


def test_counters_are_found_by_their_whole_name():
    assert cgroups.counter("oom_kill_disable 9\noom_kill 2\nunder_oom 0\n", "oom_kill") == 2
    assert cgroups.counter("", "oom_kill") == 0
