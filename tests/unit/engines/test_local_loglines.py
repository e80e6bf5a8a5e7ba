"""The monitor's log: lines are put together, and every cursor continues exactly where it was given."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.engines.local.loglines import LINE_BYTES_MAX, Assembler, Cursor, parse, parse_cursor, time_ns

STAMP = "2026-01-02T03:04:05.123456789+00:00"
NS = 1_767_323_045_123_456_789


def record(stream: str, tag: str, text: bytes) -> bytes:
    return f"{STAMP} {stream} {tag} ".encode() + text + b"\n"


def read(data: bytes, cursor: Cursor | None = None, *, finish: bool = True):
    assembler = Assembler(NS, cursor)
    lines = list(assembler.feed(data[assembler.start :]))
    return lines + (list(assembler.finish()) if finish else [])


def test_a_line() -> None:
    (line,) = read(record("stdout", "F", b"a  b "))
    assert (line.stream, line.time_ns, line.text, line.partial) == ("stdout", NS, b"a  b ", False)
    assert time_ns("2026-01-02T03:04:05.123456789Z") == NS
    assert time_ns("2026-01-02T05:04:05.123456789+02:00") == NS


def test_what_is_no_line_is_passed_over() -> None:
    for bad in (
        b"",
        b"x",
        b"x stdout F y",
        STAMP.encode() + b" other F y",
        STAMP.encode() + b" stdout X y",
        b"\xff \xff F y",
    ):
        assert parse(bad) is None
    assert parse_cursor("nonsense") == parse_cursor("1.2") == parse_cursor("") == Cursor()


def test_pieces_are_put_together_up_to_a_bound() -> None:
    data = record("stdout", "P", b"ab") + record("stderr", "F", b"err") + record("stdout", "F", b"cd")
    assert [(line.stream, line.text) for line in read(data)] == [("stderr", b"err"), ("stdout", b"abcd")]
    long = record("stdout", "P", b"x" * 8192) * 3 + record("stdout", "F", b"end")
    lines = read(long)
    assert [(len(line.text), line.partial) for line in lines] == [(LINE_BYTES_MAX, True), (8195, False)]


def test_an_unended_line_waits_for_its_end_or_the_containers() -> None:
    data = record("stdout", "P", b"prompt> ")
    assert read(data, finish=False) == []
    assert [line.text for line in read(data)] == [b"prompt> "]


pieces = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from("FP"),
        st.binary(max_size=9000).map(lambda b: b.replace(b"\n", b" ")),
    ),
    max_size=12,
)


@given(pieces, st.integers(1, 5000))
@settings(max_examples=80, deadline=None)
def test_cursors_neither_repeat_nor_lose(parts, chunk: int) -> None:
    data = b"".join(record(*part) for part in parts)
    whole = read(data)
    assembler = Assembler(NS)
    chunked = [line for at in range(0, len(data), chunk) for line in assembler.feed(data[at : at + chunk])]
    assert chunked + list(assembler.finish()) == whole
    for index, line in enumerate(whole):
        rest = read(data, parse_cursor(line.cursor))
        for stream in ("stdout", "stderr"):
            expected = [(one.text, one.partial) for one in whole[index + 1 :] if one.stream == stream]
            assert [(one.text, one.partial) for one in rest if one.stream == stream] == expected


def test_another_file_is_read_from_its_beginning() -> None:
    data = record("stdout", "F", b"new")
    assert [line.text for line in read(data, Cursor(5, (1000, 1000)))] == [b"new"]
