"""Reads a path.

$.a.b   $['a']   $['a','b']   $[0]   $[-1]   $[0,2]   $[1:3]   $.*   $[*]   $..a   $..*
$[?(@.price < 10 && @.kind == 'x')]   $.a.length()
"""

import re
from typing import Any

from cumulo.gateway.jsonpath import selectors
from cumulo.gateway.jsonpath.errors import JsonPathError
from cumulo.gateway.jsonpath.filters import read_filter
from cumulo.gateway.jsonpath.functions import FUNCTIONS, Function
from cumulo.gateway.jsonpath.path import Path
from cumulo.gateway.jsonpath.scanner import Scanner
from cumulo.gateway.jsonpath.selectors import Selector

PATH_CHARACTERS_MAX = 4096
_PARTS_MAX = 200
_NAME = re.compile(r"[^.\[\]()\s,='\"<>!&|]+")
_WHOLE_NAME = re.compile(r"[^.\[\]()]+")
_CALL = re.compile(r"([A-Za-z]+)\(\s*(-?\d{1,9})?\s*\)")
_NUMBER = re.compile(r"-?\d{1,9}")


def compile_path(text: str) -> Path:
    """The path; JsonPathError when it is none.  `$.` may be left out, as in Jayway's."""
    text = text.strip()
    if not text:
        raise JsonPathError("A path is empty")
    if len(text) > PATH_CHARACTERS_MAX:
        raise JsonPathError(f"A path is longer than {PATH_CHARACTERS_MAX} characters")
    if text[0] != "$":
        text = ("$" if text[0] == "[" else "$.") + text
    scanner = Scanner(text)
    scanner.at = 1
    try:
        path = _Reader(scanner, _WHOLE_NAME).read()
    except RecursionError:
        raise JsonPathError("A path is nested too deeply") from None
    if scanner.at < len(text):
        raise scanner.fail("Expected '.' or '['")
    return path


def read_path(scanner: Scanner) -> Path:
    """What follows a `$` or `@` inside of a filter, where names end at the latest where operators begin."""
    return _Reader(scanner, _NAME).read()


class _Reader:
    def __init__(self, scanner: Scanner, name: re.Pattern[str]) -> None:
        self._scanner = scanner
        self._name = name
        self._parts: list[Selector] = []
        self._definite = True
        self._function: Function | None = None
        self._arguments: list[int] = []

    def read(self) -> Path:
        while self._function is None and self._part():
            if len(self._parts) > _PARTS_MAX:
                raise self._scanner.fail(f"A path has more than {_PARTS_MAX} parts")
        return Path(
            tuple(self._parts), definite=self._definite, function=self._function, arguments=self._arguments
        )

    def _part(self) -> bool:
        scanner = self._scanner
        if scanner.accept(".."):
            self._definite = False
            self._parts.append(
                selectors.everywhere(self._bracket() if scanner.accept("[") else self._dotted())
            )
            return True
        if scanner.accept("."):
            found = None if scanner.peek() == "[" else self._call() or self._dotted()
            if found is not None:
                self._parts.append(found)
            elif self._function is None and scanner.peek() != "[":
                raise scanner.fail("Expected a name")
            return True
        if scanner.accept("["):
            self._parts.append(self._bracket())
            return True
        return False

    def _call(self) -> Selector | None:
        """A function at the end; selects nothing."""
        found = _CALL.match(self._scanner.text, self._scanner.at)
        if found is None:
            return None
        if found[1] not in FUNCTIONS:
            raise self._scanner.fail(f"There is no function {found[1]}()")
        self._scanner.at = found.end()
        self._function = FUNCTIONS[found[1]]
        self._arguments = [int(found[2])] if found[2] else []
        return _itself

    def _dotted(self) -> Selector:
        scanner = self._scanner
        if scanner.accept("*"):
            self._definite = False
            return selectors.every
        found = scanner.match(self._name)
        if found is None or not found[0].strip():
            raise scanner.fail("Expected a name")
        return selectors.name(found[0].strip())

    def _bracket(self) -> Selector:
        scanner = self._scanner
        scanner.space()
        char = scanner.peek()
        if char == "*":
            scanner.at += 1
            self._definite = False
            found: Selector = selectors.every
        elif char == "?":
            found = self._filter()
        elif char in {"'", '"'}:
            return self._names()
        else:
            found = self._numbers()
        scanner.space()
        scanner.expect("]")
        return found

    def _names(self) -> Selector:
        scanner = self._scanner
        keys = [scanner.string()]
        scanner.space()
        while scanner.accept(","):
            scanner.space()
            keys.append(scanner.string())
            scanner.space()
        scanner.expect("]")
        if len(keys) == 1:
            return selectors.name(keys[0])
        if scanner.peek() not in {".", "["}:
            return selectors.merged(tuple(keys))
        self._definite = False
        return selectors.names(tuple(keys))

    def _number(self) -> int | None:
        self._scanner.space()
        found = self._scanner.match(_NUMBER)
        self._scanner.space()
        return int(found[0]) if found else None

    def _numbers(self) -> Selector:
        scanner = self._scanner
        first = self._number()
        if scanner.accept(":"):
            self._definite = False
            return selectors.part(first, self._number())
        if first is None:
            raise scanner.fail("Expected a name in quotes, a number, '*' or '?'")
        numbers = [first]
        while scanner.accept(","):
            following = self._number()
            if following is None:
                raise scanner.fail("Expected a number")
            numbers.append(following)
        self._definite = self._definite and len(numbers) == 1
        return selectors.indexes(tuple(numbers))

    def _filter(self) -> Selector:
        self._definite = False
        return selectors.those(read_filter(self._scanner, read_path))


def _itself(value: Any, found: list[Any], _root: Any, _charge: Any) -> None:
    found.append(value)
