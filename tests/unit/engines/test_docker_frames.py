"""Docker's streams and logs, without Docker."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.engines.docker.frames import (
    MARGIN_NS,
    Cursor,
    Frames,
    LogReader,
    RawLines,
    parse_cursor,
    read_frame,
    since,
    time_ns_of,
)
from cumulo.engines.engine import EngineError, LogLine


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(payload)) + payload


def stamped(time_ns: int, text: bytes) -> bytes:
    seconds, fraction = divmod(time_ns, 10**9)
    return f"1970-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}.{fraction:09d}Z ".encode() + text


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50))), st.integers(1, 20))
def test_frames_are_whole_however_they_come(sent: list[tuple[int, bytes]], size: int) -> None:
    raw = b"".join(frame(stream, payload) for stream, payload in sent)
    frames, found = Frames(), []
    for start in range(0, len(raw), size):
        found += list(frames.feed(raw[start : start + size]))
    assert found == [({1: "stdout", 2: "stderr"}[stream], payload) for stream, payload in sent]


def test_a_stream_that_is_none_is_an_error() -> None:
    with pytest.raises(EngineError, match="no frame"):
        list(Frames().feed(b"HTTP/1.1 500 oh no"))


def test_a_stream_that_breaks_off_ends() -> None:
    async def main() -> list[object]:
        reader = asyncio.StreamReader()
        reader.feed_data(frame(1, b"whole") + frame(2, b"broken")[:-2])
        reader.feed_eof()
        return [await read_frame(reader), await read_frame(reader)]

    assert asyncio.run(main()) == [("stdout", b"whole"), None]


def test_lines_of_a_terminal() -> None:
    lines = RawLines()
    assert list(lines.feed(b"a\r\nb")) == [("stdout", b"a\r\n")]
    assert list(lines.feed(b"c\n")) == [("stdout", b"bc\n")]


def read(entries: list[tuple[str, int, bytes]], after: Cursor | None) -> list[LogLine]:
    reader, found = LogReader(after), []
    for stream, time_ns, text in entries:
        found += reader.take(stream, stamped(time_ns, text))
    return found + reader.rest()


# Per stream times do not go back; two streams may be apart by less than the margin; times repeat.
entries = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.integers(0, 3)), max_size=30).map(
    lambda steps: [
        (stream, 10**10 + sum(step for other, step in steps[: n + 1] if other == stream) * 1000, b"%d\n" % n)
        for n, (stream, _) in enumerate(steps)
    ]
)


@given(entries)
def test_every_cursor_continues_exactly_after_its_line(log: list[tuple[str, int, bytes]]) -> None:
    everything = read(log, None)
    assert [line.text for line in everything] == [text.removesuffix(b"\n") for _, _, text in log]
    assert len({line.cursor for line in everything}) == len(everything)
    for n, line in enumerate(everything):
        assert read(log, parse_cursor(line.cursor)) == everything[n + 1 :]


def test_what_follows_a_line_that_was_dropped_from_the_log_is_read() -> None:
    log = [("stdout", 10**10 + n, b"x\n") for n in range(5)]
    lost = Cursor(10**10 - 5, "stdout", 0)
    assert len(read(log, lost)) == 5
    far = [("stdout", 10**10 + MARGIN_NS * 2, b"x\n")]
    reader = LogReader(lost)
    assert len(reader.take("stdout", stamped(far[0][1], b"x\n"))) == 1, "it need not wait for the end"


def test_only_parts_of_a_long_line_are_partial() -> None:
    log = [("stdout", 1, b"x" * 16384), ("stdout", 1, b"rest"), ("stdout", 2, b"short\n")]
    assert [(len(line.text), line.partial) for line in read(log, None)] == [
        (16384, True),
        (4, False),
        (5, False),
    ]


def test_times_are_exact() -> None:
    assert time_ns_of("2026-01-01T00:00:00.123456789Z") == 1767225600123456789
    assert time_ns_of("2026-01-01T00:00:00Z") == 1767225600000000000
    assert time_ns_of("2026-01-01T00:00:00.5Z") == 1767225600500000000
    assert since(Cursor(1767225600123456789, "stdout", 0)) == "1767225598.123456789"
    assert since(None) is None


@pytest.mark.parametrize("text", ["1", "a.b.c", "1.stdout", "1.stdout.x"])
def test_a_cursor_of_somebody_else(text: str) -> None:
    with pytest.raises(EngineError, match="cursor"):
        parse_cursor(text)
