"""Patterns on random text: never a crash, and the same answer as Python's re where both have one."""

import contextlib
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.services.logs.pattern_errors import InvalidPattern
from cumulo.services.logs.pattern_regex import Regex
from cumulo.services.logs.patterns import compile_pattern

pieces = st.sampled_from(
    ["$.a", "$.b[0]", "$", ".", "[", "]", "{", "}", "(", ")", "&&", "||", "=", "!=", ">", "<=", '"', "'", "%", "*",
     "...", ",", " ", "IS", "NULL", "NOT EXISTS", "EXISTS", "1", "-1e5", "1e999", "x", "?", "-", "\\", "é", "\x00", "|", "+"]
)  # fmt: skip
texts = st.one_of(
    st.text(max_size=60),
    st.lists(pieces, max_size=20).map("".join),
    st.lists(pieces, max_size=20).map(" ".join),
)
patterns = st.one_of(
    texts,
    texts.map(lambda t: "{" + t + "}"),
    texts.map(lambda t: "[" + t + "]"),
    texts.map(lambda t: "%" + t + "%"),
)
lines = st.one_of(
    texts,
    st.sampled_from(
        ['{"a": 1, "b": [2]}', '{"a": "x"}', '{"a": null}', '{"a": 1e400}', "[1]", "{", 'a "b c" [d e] f']
    ),
)


@settings(max_examples=600, deadline=None)
@given(patterns, st.lists(lines, max_size=4))
def test_every_pattern_is_compiled_or_refused_and_never_crashes(pattern, messages):
    with contextlib.suppress(InvalidPattern):
        compiled = compile_pattern(pattern)
        for message in messages:
            if compiled.test(message):
                assert all(isinstance(v, str) for v in compiled.extract(message).values())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(alphabet="abcXYZ_09", min_size=1, max_size=4), min_size=1, max_size=4),
    st.text(alphabet="abcXYZ_09 ", max_size=30),
)
def test_terms_match_exactly_the_lines_that_hold_them_all(terms, line):
    assert compile_pattern(" ".join(terms)).test(line) is all(term in line for term in terms)


atoms = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\W", r"\.", r"\x62"])
quantified = st.tuples(atoms, st.sampled_from(["", "", "*", "+", "?", "{2}", "{0,2}", "{1,}", "{0}"])).map(
    "".join
)
rows = st.tuples(
    st.sampled_from(["", "^"]),
    st.lists(quantified, min_size=1, max_size=5).map("".join),
    st.sampled_from(["", "$"]),
).map("".join)
expressions = st.lists(rows, min_size=1, max_size=3).map("|".join)


@settings(max_examples=800, deadline=None)
@given(expressions, st.text(alphabet="abc1. ", max_size=12))
def test_regular_expressions_agree_with_pythons(source, text):
    assert Regex(source).search(text) is (re.search(source, text) is not None)
