"""Lines of output as events."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ecs_running.running_kit import a_task, container, definition

from cumulo.engines.engine import LogLine
from cumulo.services.ecs.running.log_lines import Assembler
from cumulo.services.ecs.running.log_options import first_line, stream_of
from cumulo.services.ecs.running.refusal import CannotStart


def lines(*texts: str, stream: str = "stdout", partial: bool = False) -> list[LogLine]:
    return [
        LogLine(stream, (1_000 + at) * 1_000_000, text.encode(), partial, str(at))
        for at, text in enumerate(texts)
    ]


def told(**options: str) -> dict[str, object]:
    return container(
        "main", logConfiguration={"logDriver": "awslogs", "options": {"awslogs-group": "g", **options}}
    )


TASK = a_task(definition(container()))


def test_a_stream_is_named_after_prefix_container_and_task() -> None:
    found = stream_of(
        TASK, told(**{"awslogs-stream-prefix": "web", "awslogs-region": "eu-west-1"}), "runtime"
    )
    assert found is not None
    assert (found.region, found.group, found.name) == ("eu-west-1", "g", f"web/main/{TASK.id}")


def test_without_a_prefix_a_stream_has_the_name_of_the_container() -> None:
    found = stream_of(TASK, told(), "runtime")
    assert found is not None
    assert found.name == "runtime"


def test_other_drivers_have_no_stream() -> None:
    assert stream_of(TASK, container(logConfiguration={"logDriver": "json-file"}), "r") is None
    assert stream_of(TASK, container(), "r") is None


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "x" * 2000])
def test_patterns_that_cannot_be_read_are_refused(pattern: str) -> None:
    with pytest.raises(CannotStart, match="multiline"):
        stream_of(TASK, told(**{"awslogs-multiline-pattern": pattern}), "r")


def test_a_pattern_and_a_date_format_exclude_each_other() -> None:
    with pytest.raises(CannotStart, match="at the same time"):
        stream_of(TASK, told(**{"awslogs-multiline-pattern": "x", "awslogs-datetime-format": "%Y"}), "r")


def test_a_date_begins_an_event() -> None:
    found = stream_of(TASK, told(**{"awslogs-datetime-format": "[%b %d, %Y %H:%M:%S]"}), "r")
    assert found is not None
    first = first_line(found.first)
    assert first is not None
    assert first("x [May 01, 2026 19:00:01] hello")
    assert not first("    at main.java:3")


def test_lines_of_an_event_stay_together() -> None:
    it = Assembler(first_line("^ERROR"))
    found = it.take(lines("ERROR one", "  at a", "  at b", "ERROR two"))
    assert [(one.timestamp_ms, one.message) for one in found] == [(1_000, "ERROR one\n  at a\n  at b")]
    assert it.cursor == "2", "what is held back is not taken yet"
    assert [one.message for one in it.flush()] == ["ERROR two"]
    assert it.cursor == "3"


def test_a_pattern_that_would_run_away_does_not() -> None:
    first = first_line("(a+)+$")
    assert first is not None
    assert not first("a" * 4000 + "b")


def test_pieces_of_a_long_line_are_one_event() -> None:
    it = Assembler()
    assert it.take(lines("abc", "def", partial=True)) == []
    assert it.cursor == ""
    [event] = it.take(lines("ghi"))
    assert event.message == "abcdefghi"


@given(
    st.lists(
        st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from(["E1", "x", "y"]), st.booleans())
    ),
    st.booleans(),
    st.integers(1, 5),
)
def test_every_line_is_given_once_and_in_order(
    said: list[tuple[str, str, bool]], together: bool, size: int
) -> None:
    """In pieces of any size, with a new start from the cursor now and then, nothing is lost or doubled."""
    given_lines = [
        LogLine(stream, at * 1_000_000, f"{text}{at}".encode(), False, str(at))
        for at, (stream, text, _) in enumerate(said)
    ]
    pattern = first_line("^E") if together else None
    it, got, at = Assembler(pattern), "", 0
    cursor = -1
    while at < len(given_lines):
        events = it.take(given_lines[at : at + size])
        got += "".join(one.message + "\n" for one in events)
        cursor = int(it.cursor or cursor)
        at += size
        if at < len(said) and said[at - 1][2]:  # a restart: go on behind the cursor
            it, at = Assembler(pattern), cursor + 1
            size += 1  # else a held event of `size` lines would begin again for ever
    got += "".join(one.message + "\n" for one in it.flush())
    assert got == "".join(f"{line.text.decode()}\n" for line in given_lines)
    assert re.sub(r"\D", " ", got).split() == [
        d for line in given_lines for d in re.findall(r"\d+", line.text.decode())
    ]
