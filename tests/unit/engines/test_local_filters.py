"""Filters that the runtime compiled, handed back to it."""

import base64

import pytest

from cumulo.engines.local.filters import ANNOTATION, Filters

KEY = (frozenset({"CHOWN"}), "amd64")
PROGRAM = bytes(range(16))


def test_what_was_compiled_is_said_to_the_next_with_the_same_profile_only(tmp_path):
    filters = Filters()
    (tmp_path / "seccomp.bpf").write_bytes(PROGRAM)
    assert filters.annotations(KEY) == {}
    filters.learn(KEY, tmp_path)
    assert base64.b64decode(filters.annotations(KEY)[ANNOTATION]) == PROGRAM
    assert filters.annotations((KEY[0], "386")) == {}
    assert filters.annotations((frozenset(), "amd64")) == {}


def test_the_first_one_counts(tmp_path):
    filters = Filters()
    (tmp_path / "seccomp.bpf").write_bytes(PROGRAM)
    filters.learn(KEY, tmp_path)
    (tmp_path / "seccomp.bpf").write_bytes(PROGRAM * 2)
    filters.learn(KEY, tmp_path)
    assert base64.b64decode(filters.annotations(KEY)[ANNOTATION]) == PROGRAM


@pytest.mark.parametrize(
    "program", [b"", b"1234567", bytes(8 * 4097), None], ids=["empty", "cut", "long", "none"]
)
def test_what_is_no_program_is_not_kept(tmp_path, program):
    if program is not None:
        (tmp_path / "seccomp.bpf").write_bytes(program)
    filters = Filters()
    filters.learn(KEY, tmp_path)
    assert filters.annotations(KEY) == {}


def test_filters_are_bounded(tmp_path):
    filters = Filters()
    (tmp_path / "seccomp.bpf").write_bytes(PROGRAM)
    for number in range(100):
        filters.learn((frozenset(), str(number)), tmp_path)
    assert sum(bool(filters.annotations((frozenset(), str(number)))) for number in range(100)) == 64
