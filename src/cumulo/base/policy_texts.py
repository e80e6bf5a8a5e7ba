"""Texts of IAM policies: wildcards (`*`, `?`) and variables (`${aws:username, 'nobody'}`).  Pure.

    "user/${aws:username}/*"  ─parse─▶  "user/" Variable "/" ANY  ─resolve─▶  "user/" "bob" "/" ANY  ─glob─▶  matches

What a variable stands for is literal: a star in it is a star.  A text without variables is resolved and made
into a matcher once.  Matching never goes back further than the last star, so no pattern is slow.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

Keys = Mapping[str, str | Sequence[str]]
"""Values of condition keys by their names in lower case; a sequence where a key may have several values."""

Matches = Callable[[str], bool]
Test = Callable[[str, Keys], bool]
"""(a value of the request, its keys)"""


class Wild(Enum):
    """What stands for other characters."""

    ANY = "*"
    ONE = "?"


class Variable(NamedTuple):
    """A condition key whose value is put here; `default` when the request has none, or several."""

    key: str
    default: str | None = None


Known = tuple[str | Wild, ...]
Text = tuple[str | Wild | Variable, ...]

_VARIABLE = re.compile(r"\$\{\s*([^}',\s]+)\s*(?:,\s*'((?:[^']|'')*)'\s*)?\}")
_WILD = re.compile(r"([*?])")


def parse(text: str, *, variables: bool) -> Text:
    """Take a text apart; without `variables` a `${...}` is what it looks like."""
    if not variables or "${" not in text:
        return tuple(_wilds(text))
    found: list[str | Wild | Variable] = []
    at = 0
    for match in _VARIABLE.finditer(text):
        found += _wilds(text[at : match.start()])
        name, default = match[1], match[2]
        if name in ("*", "?", "$"):
            found.append(name)
        else:
            found.append(Variable(name.lower(), None if default is None else default.replace("''", "'")))
        at = match.end()
    return (*found, *_wilds(text[at:]))


def _wilds(text: str) -> list[str | Wild]:
    return [Wild(part) if part in ("*", "?") else part for part in _WILD.split(text) if part]


def resolve(text: Text, keys: Keys) -> Known | None:
    """Put values in place of variables; None when one has none, or several, and no default."""
    found: list[str | Wild] = []
    for part in text:
        if isinstance(part, Variable):
            value = keys.get(part.key)
            if not isinstance(value, str):
                value = value[0] if value is not None and len(value) == 1 else part.default
            if value is None:
                return None
            found.append(value)
        else:
            found.append(part)
    return tuple(found)


def test(text: str, make: Callable[[Known], Matches], *, variables: bool) -> Test:
    """A test that is compiled now, or (with variables) for each request; an unknown variable matches nothing."""
    parts = parse(text, variables=variables)
    known = tuple(part for part in parts if not isinstance(part, Variable))
    if len(known) == len(parts):
        matches = make(known)
        return lambda value, _keys: matches(value)

    def late(value: str, keys: Keys) -> bool:
        resolved = resolve(parts, keys)
        return resolved is not None and make(resolved)(value)

    return late


def plain(known: Known) -> str:
    """The text itself, where wildcards mean nothing."""
    return "".join(part.value if isinstance(part, Wild) else part for part in known)


def glob(known: Known) -> Matches:
    """Whether a whole value fits."""
    first, *rest = _runs(known)
    if not rest:
        return _whole(first)
    if not first.length and not any(run.length for run in rest):
        return lambda _value: True
    middle, last = rest[:-1], rest[-1]

    def matches(value: str) -> bool:
        end = len(value) - last.length
        if end < first.length or not first.fits(value, 0) or not last.fits(value, end):
            return False
        at = first.length
        for run in middle:
            at = run.find(value, at, end)
            if at < 0:
                return False
            at += run.length
        return True

    return matches


def arn(known: Known) -> Matches:
    """Whether each of an ARN's six parts fits; parts that the pattern lacks fit always."""
    parts = [glob(tuple(part)) for part in _colons(known)]

    def matches(value: str) -> bool:
        found = value.split(":", 5)
        if len(found) != 6:
            return False
        for fits, part in zip(parts, found, strict=False):  # noqa: SIM110 - half of what a generator costs
            if not fits(part):
                return False
        return True

    return matches


def resource(known: Known) -> Matches:
    """Whether a resource fits; AWS completes a short ARN with stars, which may go beyond colons."""
    missing = 6 - len(_colons(known))
    if missing > 0 and known and isinstance(known[0], str) and known[0].startswith("arn:"):
        known = (*known, *(":", Wild.ANY) * missing)
    return glob(known)


def _colons(known: Known) -> list[list[str | Wild]]:
    """The parts between the first five colons."""
    found: list[list[str | Wild]] = [[]]
    for part in known:
        if isinstance(part, Wild):
            found[-1].append(part)
            continue
        head, *more = part.split(":", 6 - len(found))
        found[-1].append(head)
        found += [[one] for one in more]
    return found


class _Run:
    """Characters of a fixed number between two stars, some of which may be any."""

    __slots__ = ("_pattern", "length", "literal")

    def __init__(self, parts: Sequence[str | Wild]) -> None:
        self.literal = "".join(part for part in parts if isinstance(part, str))
        self.length = sum(1 if isinstance(part, Wild) else len(part) for part in parts)
        self._pattern: re.Pattern[str] | None = None
        if self.length != len(self.literal):
            expression = "".join("." if isinstance(part, Wild) else re.escape(part) for part in parts)
            self._pattern = re.compile(expression, re.DOTALL)

    def fits(self, value: str, at: int) -> bool:
        """Whether it stands there."""
        if self._pattern is None:
            return value.startswith(self.literal, at)
        return self._pattern.match(value, at) is not None

    def find(self, value: str, start: int, end: int) -> int:
        """Where it stands first; -1 when nowhere."""
        if self._pattern is None:
            return value.find(self.literal, start, end)
        found = self._pattern.search(value, start, end)
        return -1 if found is None else found.start()


def _runs(known: Known) -> list[_Run]:
    runs: list[list[str | Wild]] = [[]]
    for part in known:
        if part is Wild.ANY:
            runs.append([])
        else:
            runs[-1].append(part)
    return [_Run(run) for run in runs]


def _whole(run: _Run) -> Matches:
    literal = run.literal
    if len(literal) == run.length:
        return lambda value: value == literal
    return lambda value: len(value) == run.length and run.fits(value, 0)
