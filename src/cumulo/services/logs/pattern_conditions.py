"""Conditions on one value (`= "x*"`, `!= 4*`, `> 1000`, `= %re%`) and the reader of such patterns.  Pure."""

import re
from collections.abc import Callable

from cumulo.services.logs.pattern_errors import InvalidPattern
from cumulo.services.logs.pattern_regex import Regex

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,4})?", re.IGNORECASE)
_OPERATOR = re.compile(r"!=|<=|>=|=|<|>")
NUMBER_LENGTH_MAX = 64
DEPTH_MAX = 32
REGEXES_MAX = 2

Scalar = str | int | float | bool
Condition = Callable[[Scalar], bool]


class Reader:
    """A pattern's text with a place in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self._regexes = 0

    def skip(self) -> None:
        """Pass over white space."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, token: str) -> bool:
        """Pass over a token, if it is next."""
        self.skip()
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def need(self, token: str) -> None:
        """Pass over a token that must be next."""
        if not self.take(token):
            raise InvalidPattern

    def ended(self) -> bool:
        """Whether only white space is left."""
        self.skip()
        return self.at >= len(self.text)

    def operator(self) -> str:
        """The comparison that must be next."""
        self.skip()
        found = _OPERATOR.match(self.text, self.at)
        if found is None:
            raise InvalidPattern
        self.at = found.end()
        return found.group()

    def until(self, stops: str) -> str:
        """The bare word up to white space or one of `stops`."""
        self.skip()
        start = self.at
        while (
            self.at < len(self.text) and not self.text[self.at].isspace() and self.text[self.at] not in stops
        ):
            self.at += 1
        return self.text[start : self.at]

    def quoted(self, quote: str = '"') -> str:
        """The text up to the closing quote; the opening one is behind us."""
        out: list[str] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == "\\" and self.text[self.at + 1 : self.at + 2] in (quote, "\\"):
                out.append(self.text[self.at + 1])
                self.at += 2
                continue
            self.at += 1
            if c == quote:
                return "".join(out)
            out.append(c)
        raise InvalidPattern

    def condition(self, stops: str) -> Condition:
        """The operator and value that must be next."""
        operator = self.operator()
        self.skip()
        if self.text.startswith("%", self.at):
            return self._matches(operator)
        if self.take('"'):
            return _text(operator, self.quoted(), None)
        word = self.until(stops)
        if not word:
            raise InvalidPattern
        return _text(operator, word, number_of(word))

    def _matches(self, operator: str) -> Condition:
        end = self.text.find("%", self.at + 1)
        self._regexes += 1
        if end < 0 or operator not in ("=", "!=") or self._regexes > REGEXES_MAX:
            raise InvalidPattern
        regex = Regex(self.text[self.at + 1 : end])
        self.at = end + 1
        wanted = operator == "="
        return lambda value: regex.search(text_of(value)) is wanted


def number_of(word: str) -> float | None:
    """The number that a word is, if it is one."""
    if len(word) <= NUMBER_LENGTH_MAX and _NUMBER.fullmatch(word):
        return float(word)
    return None


def text_of(value: Scalar) -> str:
    """A JSON value as the text that string conditions see."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def _text(operator: str, word: str, number: float | None) -> Condition:
    """A comparison with a number where both sides are numbers, with a text otherwise."""
    if operator not in ("=", "!="):
        if number is None:
            raise InvalidPattern  # only numbers are greater or less
        return _ordered(operator, number)
    same = _wildcard(word)
    wanted = operator == "="

    def test(value: Scalar) -> bool:
        if number is not None:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return (value == number) is wanted
            other = number_of(value) if isinstance(value, str) else None
            if other is not None:
                return (other == number) is wanted
        return same(text_of(value)) is wanted

    return test


def _ordered(operator: str, number: float) -> Condition:
    compare: dict[str, Callable[[float], bool]] = {
        "<": lambda n: n < number,
        ">": lambda n: n > number,
        "<=": lambda n: n <= number,
        ">=": lambda n: n >= number,
    }
    hit = compare[operator]

    def test(value: Scalar) -> bool:
        if isinstance(value, bool):
            return False
        found = number_of(value) if isinstance(value, str) else value
        return found is not None and hit(found)

    return test


def _wildcard(word: str) -> Callable[[str], bool]:
    """A test for a text with `*` at its start, its end, or both; elsewhere a `*` stands for itself."""
    head, tail = word.startswith("*"), word.endswith("*")
    if word in ("*", "**"):
        return lambda _: True
    core = word[head : len(word) - tail]
    if head and tail:
        return lambda text: core in text
    if head:
        return lambda text: text.endswith(core)
    if tail:
        return lambda text: text.startswith(core)
    return lambda text: text == word
