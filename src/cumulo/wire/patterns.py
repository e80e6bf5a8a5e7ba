"""The models' regular expressions, which are Java's, as functions that never fail and never run away."""

import re
from collections.abc import Callable

Matches = Callable[[str], bool]


class Patterns:
    """Compiles patterns on first use and keeps them."""

    def __init__(self) -> None:
        self._made: dict[str, Matches] = {}

    def matcher(self, pattern: str) -> Matches:
        """Whether the whole of a text matches."""

        def matches(text: str) -> bool:
            made = self._made.get(pattern)
            if made is None:
                made = self._made[pattern] = self._compile(pattern)
            return made(text)

        return matches

    def _compile(self, pattern: str) -> Matches:
        try:
            full = re.compile(pattern, re.ASCII).fullmatch
        except re.error:
            return lambda _text: True
        return lambda text: full(text) is not None
