"""Java's regular expressions: understood, and never running away."""

import time

import pytest
from wire_door import MODELS

from cumulo.wire.patterns import Patterns, compile_pattern

OURS = ("lambda", "logs", "apigateway", "apigatewayv2", "ecs", "ecr", "batch", "lightsail", "events")


def patterns_of(service):
    return sorted({shape.pattern for shape in MODELS.service(service).shapes() if shape.pattern})


@pytest.mark.parametrize("service", OURS)
def test_every_pattern_of_our_services_compiles(service):
    assert [pattern for pattern in patterns_of(service) if compile_pattern(pattern) is None] == []


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("abc", ["abc"], ["xabc", "abcx", "abc\n"]),
        ("^[a-z]+$", ["abc"], ["ABC", "", "abc\n", "é"]),
        (r"\d{3}", ["123"], ["12", "\u0661\u0662\u0663"]),
        (r"(?<year>\d{4})-(?:a|b)", ["2024-a"], ["2024-c"]),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", ["é 你好_.:/=+-@", ""], ["a!", "\t"]),
        (r"[\w-_]*", ["a-b_c"], ["a b"]),
        (r"[a-z&&[^b]]", ["anything: not understood, so not checked"], []),
        (r"a++b", ["aab"], ["aac"]),
        (r".*", ["x" * 10], ["a\nb"]),
        (r"(?s).*", ["a\nb"], []),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", ["a😀b\n"], ["\x00", "\x0b"]),
        (r"\P{Cc}+", ["abc"], ["a\x07"]),
        (r"[^\p{Cc}]+", ["abc"], ["a\x07"]),
        (r"\p{Alnum}+", ["aZ9"], ["é"]),
        (r"[\D\S]", ["1", " "], ["ab"]),
        (r"\QA.B\E", ["A.B"], ["AxB"]),
        (r"(a|b)*c", ["ababc", "c"], ["abd"]),
        (r"(?!x)[a-z]+", ["abc"], ["xbc"]),
        (r"(?i)abc", ["aBC"], ["abd"]),
        (r"([a-z]+){2,3}x?", ["ab", "abx"], ["a", "1"]),
        (r"^(^a|b$)$", ["a", "b"], ["ab"]),
        (r"[a\]b]+", ["a]b"], ["["]),
        (r"x{2}{3}", ["x" * 6], ["x" * 5]),
    ],
)
def test_a_pattern_means_what_it_means_in_java(pattern, good, bad):
    matches = Patterns().matcher(pattern)
    assert [text for text in good if not matches(text)] == []
    assert [text for text in bad if matches(text)] == []


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "a{2", "\\", "(?<n", "[z-a]", "\\p{Nothing}", "\\xzz", "a{1,99999999}"]
)
def test_a_pattern_that_is_not_understood_breaks_nothing(pattern):
    assert Patterns().matcher(pattern)("anything") in {True, False}


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a|a)*b",
        "(a*)*b",
        "a*a*a*a*a*a*b",
        r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$",
        "(.*a){12}b",
    ],
)
@pytest.mark.parametrize("text", ["a" * 40, "a " * 5000 + "\n", "a" * 60_000])
def test_a_catastrophic_pattern_is_quick(pattern, text):
    started = time.monotonic()
    assert Patterns().matcher(pattern)(text) is bool(compile_pattern(pattern)(text))
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("service", OURS)
def test_no_pattern_of_ours_runs_away(service):
    started = time.monotonic()
    for pattern in patterns_of(service):
        matches = Patterns().matcher(pattern)
        for text in (
            "a" * 2000 + "!",
            "a-" * 500 + "!",
            "arn:aws:" * 100,
            "/a" * 500 + "\n",
            " " * 2000 + "\x00",
        ):
            matches(text)
    assert time.monotonic() - started < 10
