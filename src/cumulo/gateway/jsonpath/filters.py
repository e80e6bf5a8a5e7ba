"""Reads a filter: `?(@.a > 1 && (@.b == 'x' || !@.c))`, with `in`, `nin`, `=~` and the like."""

import re
from collections.abc import Callable
from typing import Any

from cumulo.gateway.java_regex.pattern import JavaPattern, PatternError
from cumulo.gateway.jsonpath import comparing
from cumulo.gateway.jsonpath.functions import MISSING
from cumulo.gateway.jsonpath.path import Path
from cumulo.gateway.jsonpath.scanner import Scanner
from cumulo.gateway.jsonpath.selectors import Charge, Test

_NUMBER = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?")
_WORD = re.compile(r"(?:true|false|null)\b")
_OPERATOR = re.compile(
    r"==|!=|<=|>=|=~|<|>|(?:in|nin|subsetof|anyof|noneof|size|empty|contains)\b", re.IGNORECASE
)
_FLAGS = re.compile(r"[a-zA-Z]*")
_WORDS = {"true": True, "false": False, "null": None}

ReadPath = Callable[[Scanner], Path]
# One side of a comparison: from the element and the document to a value.
_Side = Callable[[Any, Any, Charge], Any]


def read_filter(scanner: Scanner, read_path: ReadPath) -> Test:
    """From the question mark to the closing parenthesis."""
    scanner.expect("?")
    scanner.space()
    return _Filter(scanner, read_path).whole()


class _Filter:
    def __init__(self, scanner: Scanner, read_path: ReadPath) -> None:
        self._scanner = scanner
        self._read_path = read_path

    def whole(self) -> Test:
        scanner = self._scanner
        scanner.expect("(")
        scanner.deeper()
        test = self._either()
        scanner.space()
        scanner.expect(")")
        scanner.shallower()
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._sign("||"):
            tests.append(self._both())
        return (
            tests[0]
            if len(tests) == 1
            else lambda one, root, charge: any(t(one, root, charge) for t in tests)
        )

    def _both(self) -> Test:
        tests = [self._single()]
        while self._sign("&&"):
            tests.append(self._single())
        return (
            tests[0]
            if len(tests) == 1
            else lambda one, root, charge: all(t(one, root, charge) for t in tests)
        )

    def _sign(self, sign: str) -> bool:
        self._scanner.space()
        return self._scanner.accept(sign)

    def _single(self) -> Test:
        scanner = self._scanner
        scanner.space()
        negated = False
        while scanner.accept("!"):
            negated = not negated
            scanner.space()
        test = self.whole() if scanner.peek() == "(" else self._comparison()
        return (lambda one, root, charge: not test(one, root, charge)) if negated else test

    def _comparison(self) -> Test:
        scanner = self._scanner
        left, is_path = self._side()
        scanner.space()
        found = scanner.match(_OPERATOR)
        if found is None:
            if not is_path:
                raise scanner.fail("Expected an operator")
            return lambda one, root, charge: left(one, root, charge) is not MISSING
        scanner.space()
        sign = found[0].lower()
        if sign == "=~":
            return _matching(left, self._pattern())
        compare = comparing.OPERATORS[sign]
        right, _ = self._side()

        def test(one: Any, root: Any, charge: Charge) -> bool:
            charge(1)
            return compare(left(one, root, charge), right(one, root, charge), charge)

        return test

    def _pattern(self) -> JavaPattern:
        scanner = self._scanner
        if scanner.peek() != "/":
            raise scanner.fail("Expected a regular expression between slashes")
        pattern = scanner.until("/").replace("\\/", "/")
        flags = scanner.match(_FLAGS)
        try:
            return JavaPattern(pattern, flags[0] if flags else "")
        except PatternError as error:
            raise scanner.fail(str(error)) from error

    def _side(self) -> tuple[_Side, bool]:
        """A value, and whether it is a path."""
        scanner = self._scanner
        if scanner.accept("@"):
            path = self._read_path(scanner)
            return path.select, True
        if scanner.accept("$"):
            path = self._read_path(scanner)
            return (lambda _one, root, charge: path.select(root, root, charge)), True
        value = self._literal()
        return (lambda _one, _root, _charge: value), False

    def _literal(self) -> Any:
        scanner = self._scanner
        char = scanner.peek()
        if char in {"'", '"'} and char:
            return scanner.string()
        if char == "[":
            return self._list()
        if found := scanner.match(_WORD):
            return _WORDS[found[0]]
        if found := scanner.match(_NUMBER):
            return float(found[0]) if set(found[0]) & set(".eE") else int(found[0])
        raise scanner.fail("Expected a value")

    def _list(self) -> list[Any]:
        scanner = self._scanner
        scanner.at += 1
        scanner.deeper()
        items: list[Any] = []
        scanner.space()
        while not scanner.accept("]"):
            if items:
                scanner.expect(",")
                scanner.space()
            items.append(self._literal())
            scanner.space()
        scanner.shallower()
        return items


def _matching(left: _Side, pattern: JavaPattern) -> Test:
    def test(one: Any, root: Any, charge: Charge) -> bool:
        value = left(one, root, charge)
        charge(1)
        return isinstance(value, str) and pattern.matches(value, charge)

    return test
