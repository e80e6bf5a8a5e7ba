"""A compiled pattern and what Java's String does with one: matches, replaceAll, replaceFirst, split.

a fixed text                    str.replace, str.split
cheap on texts of this length   Python's `re`
all else                        a Program, whose steps are counted
"""

import re
from collections.abc import Callable, Iterator

from cumulo.gateway.java_regex.cost import cost_of
from cumulo.gateway.java_regex.program import Program, Span, Spans
from cumulo.wire.regex.parse import Parser
from cumulo.wire.regex.syntax import Chars, Node, Sequence, Untranslatable, to_python

PATTERN_CHARACTERS_MAX = 1000
_CHEAP_STEPS = 10_000_000
_GROUPS_MAX = 50
_CHARACTERS_A_STEP = 250  # what is made counts as well as what is looked at

Charge = Callable[[int], None]


class PatternError(Exception):
    """A pattern that is none, or that we cannot run; a sentence."""


class JavaPattern:
    """PatternError when the pattern cannot be read.  `charge` is told of steps, and may raise."""

    def __init__(self, pattern: str, flags: str = "") -> None:
        if len(pattern) > PATTERN_CHARACTERS_MAX:
            raise PatternError(f"A regular expression is longer than {PATTERN_CHARACTERS_MAX} characters")
        self.pattern = pattern
        parser = Parser((f"(?{flags})" if flags else "") + pattern, groups=True, strict=True)
        try:
            self._node: Node = parser.parse()
        except (Untranslatable, ValueError, OverflowError, RecursionError) as error:
            raise self._fail("cannot be read") from error
        if len(parser.groups) > _GROUPS_MAX:
            raise self._fail(f"has more than {_GROUPS_MAX} groups")
        self.groups = parser.groups
        self._any_case = parser.any_case
        self._cost = cost_of(self._node)
        self._fixed = None if parser.any_case else _fixed(self._node)
        self._backtracking = self._for_re()
        self._program: Program | None = None

    def _fail(self, what: str) -> PatternError:
        return PatternError(f"The regular expression {self.pattern[:100]!r} {what}")

    def _for_re(self) -> re.Pattern[str] | None:
        try:
            return re.compile(to_python(self._node), re.ASCII | (re.IGNORECASE if self._any_case else 0))
        except (Untranslatable, re.error, OverflowError, RecursionError, ValueError):
            return None

    def _cheap(self, text: str) -> re.Pattern[str] | None:
        if self._cost.loops == 0 and self._cost.branches <= 4:
            return self._backtracking
        return self._backtracking if self._cost.for_length(len(text)) <= _CHEAP_STEPS else None

    def _costly(self) -> Program:
        if self._program is None:
            try:
                self._program = Program(self._node, len(self.groups), any_case=self._any_case)
            except (Untranslatable, RecursionError) as error:
                raise self._fail("would take too long on a text like this") from error
        return self._program

    def matches(self, text: str, charge: Charge) -> bool:
        """Whether the whole text matches."""
        if self._fixed is not None:
            return text == self._fixed
        if (cheap := self._cheap(text)) is not None:
            return cheap.fullmatch(text) is not None
        return self._costly().search(text, 0, charge, whole=True) is not None

    def finds(self, text: str, charge: Charge) -> bool:
        """Whether it matches anywhere."""
        return next(self.find_all(text, charge), None) is not None

    def find_all(self, text: str, charge: Charge) -> Iterator[Spans]:
        """Matches from left to right, an empty one only where none has just ended."""
        if (cheap := self._cheap(text)) is not None:
            for found in cheap.finditer(text):
                yield tuple(found.span(number) for number in range(len(self.groups) + 1))
            return
        program, at = self._costly(), 0
        while at <= len(text) and (spans := program.search(text, at, charge)) is not None:
            yield spans
            began, ended = spans[0]
            at = ended if ended > began else ended + 1

    def replace(self, text: str, replacement: str, charge: Charge, *, once: bool = False) -> str:
        """With `$1`, `${name}` and backslashes in the replacement, as in Java."""
        pieces = self._replacement(replacement)
        if self._fixed and all(isinstance(piece, str) for piece in pieces):
            fixed = "".join(map(str, pieces))
            charge(text.count(self._fixed) * len(fixed) // _CHARACTERS_A_STEP)
            return text.replace(self._fixed, fixed, 1 if once else -1)
        out: list[str] = []
        at = 0
        for spans in self.find_all(text, charge):
            out.append(text[at : spans[0][0]])
            new = "".join(piece if isinstance(piece, str) else _slice(text, spans[piece]) for piece in pieces)
            charge(1 + len(new) // _CHARACTERS_A_STEP)
            out.append(new)
            at = spans[0][1]
            if once:
                break
        out.append(text[at:])
        return "".join(out)

    def _replacement(self, text: str) -> list[str | int]:
        """Texts and numbers of groups."""
        pieces: list[str | int] = []
        at = 0
        while at < len(text):
            char = text[at]
            at += 1
            if char == "\\":
                if at >= len(text):
                    raise PatternError("A replacement ends with a backslash")
                pieces.append(text[at])
                at += 1
            elif char == "$":
                number, at = self._group(text, at)
                pieces.append(number)
            else:
                pieces.append(char)
        return pieces

    def _group(self, text: str, at: int) -> tuple[int, int]:
        """The group named behind a dollar sign, and where the text goes on."""
        if text[at : at + 1] == "{":
            name, closed, _ = text[at + 1 :].partition("}")
            if not closed or not name or name not in self.groups:
                raise PatternError(f"A replacement names the group {name[:50]!r}, which does not exist")
            return self.groups.index(name) + 1, at + len(name) + 2
        digit = text[at : at + 1]
        if not digit.isascii() or not digit.isdigit():
            raise PatternError("A replacement has a dollar sign without a group's number")
        number, at = int(digit), at + 1
        if number > len(self.groups):
            raise PatternError(f"A replacement names the group {number}, which does not exist")
        while (digit := text[at : at + 1]).isascii() and digit.isdigit():
            if number * 10 + int(digit) > len(self.groups):
                break
            number, at = number * 10 + int(digit), at + 1
        return number, at

    def split(self, text: str, limit: int, charge: Charge) -> list[str]:
        """Java's split: nothing empty at the end unless the limit is negative, nothing empty in front of an empty match."""
        parts: list[str] = []
        at = 0
        for spans in self._separators(text, charge):
            began, ended = spans
            if 0 < limit <= len(parts) + 1:
                break
            if ended == 0:
                continue
            if began == ended == len(text):
                break
            charge(1)
            parts.append(text[at:began])
            at = ended
        parts.append(text[at:])
        if limit == 0:
            while len(parts) > 1 and not parts[-1]:
                parts.pop()
            if len(parts) == 1 and not parts[0] and text:
                return []
        return parts

    def _separators(self, text: str, charge: Charge) -> Iterator[Span]:
        if not self._fixed:
            for spans in self.find_all(text, charge):
                yield spans[0]
            return
        at = text.find(self._fixed)
        while at >= 0:
            yield at, at + len(self._fixed)
            at = text.find(self._fixed, at + len(self._fixed))


def _fixed(node: Node) -> str | None:
    """The only text that a pattern matches, if there is only one."""
    nodes = node.nodes if isinstance(node, Sequence) else (node,)
    out: list[str] = []
    for one in nodes:
        if not isinstance(one, Chars) or one.negated or one.parts or len(one.items) != 1:
            return None
        item = one.items[0]
        if item.category or item.negated or item.low != item.high:
            return None
        out.append(chr(item.low))
    return "".join(out)


def _slice(text: str, span: Span) -> str:
    return text[span[0] : span[1]] if span[0] >= 0 else ""
