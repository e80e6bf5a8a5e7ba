r"""Whether texts match the models' patterns, by the way that is quick and safe for each.

simple patterns              Python's `re`
nested repetitions, \p{L}    an automaton, linear in the text's length
what neither understands     everything matches: a check less, never a request lost
"""

import re
from collections.abc import Callable

from cumulo.wire.regex.automaton import Automaton
from cumulo.wire.regex.parse import Parser
from cumulo.wire.regex.syntax import Node, Untranslatable, endless, to_python

Matches = Callable[[str], bool]

# Backtracking over n endless repetitions costs up to length ** n; beyond these lengths the automaton takes over.
_SHORT_CHARACTERS = {1: 1 << 30, 2: 1024, 3: 128, 4: 64}
_SHORTEST_CHARACTERS = 16
_AUTOMATON_CHARACTERS_MAX = 65_536  # texts beyond it break a length constraint anyway


class Patterns:
    """Compiles patterns on first use and keeps them."""

    def __init__(self) -> None:
        self._made: dict[str, Matches] = {}

    def matcher(self, pattern: str) -> Matches:
        """Whether the whole of a text matches, as Java's `matches` says."""

        def matches(text: str) -> bool:
            made = self._made.get(pattern)
            if made is None:
                made = self._made[pattern] = compile_pattern(pattern) or _anything
            return made(text)

        return matches


def compile_pattern(pattern: str) -> Matches | None:
    """The function that matches a pattern; None when it cannot be done."""
    parser = Parser(pattern)
    try:
        node = parser.parse()
    except (Untranslatable, ValueError, RecursionError):
        return None
    depth, count = endless(node)
    backtrack = _backtracking(node, any_case=parser.any_case)
    if backtrack is not None and depth <= 1 and count <= 1:
        return backtrack
    walk = None if parser.any_case else _walking(node)
    if backtrack is None or depth > 1:
        return walk
    return _by_length(backtrack, walk or _anything, _SHORT_CHARACTERS.get(count, _SHORTEST_CHARACTERS))


def _backtracking(node: Node, *, any_case: bool) -> Matches | None:
    try:
        full = re.compile(to_python(node), re.ASCII | (re.IGNORECASE if any_case else 0)).fullmatch
    except (Untranslatable, re.error, OverflowError, RecursionError):
        return None
    return lambda text: full(text) is not None


def _walking(node: Node) -> Matches | None:
    try:
        matches = Automaton(node).matches
    except (Untranslatable, RecursionError):
        return None
    return lambda text: len(text) > _AUTOMATON_CHARACTERS_MAX or matches(text)


def _by_length(short: Matches, long: Matches, limit: int) -> Matches:
    return lambda text: short(text) if len(text) <= limit else long(text)


def _anything(_text: str) -> bool:
    return True
