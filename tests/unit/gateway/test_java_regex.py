"""Java's String.replaceAll, split and matches."""

import re
import time

import pytest

from cumulo.gateway.java_regex.cost import cost_of
from cumulo.gateway.java_regex.pattern import JavaPattern, PatternError
from cumulo.gateway.java_regex.program import Program
from cumulo.wire.regex.parse import Parser


def free(_steps):
    pass


@pytest.mark.parametrize(
    ("pattern", "text", "replacement", "expected"),
    [
        ("a.c", "abc axc ac", "-", "- - ac"),
        (r"\\'", r"it\'s", "'", "it's"),
        ("[^a-z]+", "a1b22c", "", "abc"),
        (r"(\w+)@(\w+)", "me@home", "$2.$1", "home.me"),
        (r"(?<user>\w+)@", "me@home", "${user}#", "me#home"),
        ("x", "axb", r"\$1\\", r"a$1\b"),
        ("", "ab", "-", "-a-b-"),
        ("a*", "baac", "-", "-b--c-"),
        (r"^\s+|\s+$", "  a b ", "", "a b"),
        (r"\bfoo\b", "foo foobar", "x", "x foobar"),
        ("(a)|b", "ab", "[$1]", "[a][]"),
        ("(?i)ABC", "xabcX", "", "xX"),
        ("a{2,3}", "aaaaa", "x", "xx"),
        ("a{2,3}?", "aaaaa", "x", "xxa"),
        ('"', 'say "hi"', '\\\\"', 'say \\"hi\\"'),
        (r"\p{L}", "é1", "x", "x1"),
    ],
)
def test_replace_all(pattern, text, replacement, expected):
    assert JavaPattern(pattern).replace(text, replacement, free) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "limit", "expected"),
    [
        (",", "a,b,,", 0, ["a", "b"]),
        (",", "a,b,,", -1, ["a", "b", "", ""]),
        (",", ",a", 0, ["", "a"]),
        (",", "a,b,c", 2, ["a", "b,c"]),
        (",", "", 0, [""]),
        (",", ",", 0, []),
        (",", "abc", 0, ["abc"]),
        ("", "abc", 0, ["a", "b", "c"]),
        ("[,;] *", "a, b;c", 0, ["a", "b", "c"]),
        (r"\|", "a|b", 0, ["a", "b"]),
        (r"\.", "1.2", 0, ["1", "2"]),
    ],
)
def test_split(pattern, text, limit, expected):
    assert JavaPattern(pattern).split(text, limit, free) == expected


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2", "*", "a**b(", "(?<=x", "x" * 2000, "()" * 60])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(PatternError) as caught:
        JavaPattern(pattern)
    assert str(caught.value)[0].isupper()


@pytest.mark.parametrize("replacement", ["$", "$x", "$2", "${no}", "${", "\\"])
def test_what_is_no_replacement_is_refused(replacement):
    with pytest.raises(PatternError):
        JavaPattern("(a)").replace("a", replacement, free)


@pytest.mark.parametrize(
    "pattern",
    [
        "a",
        "ab|cd",
        "a*b",
        "(a|b)*c",
        "(a+)(b*)",
        "(ab?)+",
        "a??b",
        "(a|ab)(c|bcd)(d*)",
        "[^a]+",
        "^a|b$",
        "(a*)b",
        "a+?b?",
        "((a)|b)+",
        r"\ba",
        "x?",
    ],
)
def test_a_program_finds_what_backtracking_finds(pattern):
    parser = Parser(pattern, groups=True)
    node = parser.parse()
    program = Program(node, len(parser.groups), any_case=False)
    texts = ["", "a", "b", "ab", "aab", "abcd", "cdab", "aaabbb", "xaby", "bcd a", "abab", "ccc"]
    for text in texts:
        found = re.compile(pattern).search(text)
        spans = program.search(text, 0, free)
        if found is None:
            assert spans is None
        else:
            assert spans == tuple(found.span(number) for number in range(len(parser.groups) + 1))
        whole = re.compile(pattern).fullmatch(text)
        assert (program.search(text, 0, free, whole=True) is not None) == (whole is not None)


def test_cheap_patterns_stay_with_re_and_costly_ones_do_not():
    assert cost_of(Parser("ab[cd]").parse()).for_length(1000) <= 1001
    assert cost_of(Parser(r"x\s+").parse()).for_length(1000) <= 1001
    assert cost_of(Parser("a*a*b").parse()).for_length(1000) > 1e8
    assert cost_of(Parser("(a|a)*b").parse()).for_length(20) > 1e8
    assert cost_of(Parser("((a|b){9}){9}c").parse()).for_length(20) > 1e8


def test_a_long_text_is_searched_in_time_by_any_pattern():
    started = time.monotonic()
    spent = []
    assert JavaPattern("(a+)+b").matches("a" * 20_000, spent.append) is False
    assert time.monotonic() - started < 10
    assert sum(spent) > 20_000
