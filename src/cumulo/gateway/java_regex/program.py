"""A pattern as a small program that runs all its threads at once, character by character (Pike's way).

It finds what Java's backtracking finds, with the same groups, and costs at most length times size.
"""

from collections.abc import Callable

import msgspec

from cumulo.wire.regex.syntax import (
    Around,
    Chars,
    Edge,
    Either,
    Group,
    Node,
    Repeat,
    Sequence,
    Untranslatable,
)

INSTRUCTIONS_MAX = 2000

Charge = Callable[[int], None]
Span = tuple[int, int]
Spans = tuple[Span, ...]  # of the whole match, and of its groups; (-1, -1) for those that took no part
_Marks = tuple[int, ...]


class _Take(msgspec.Struct, frozen=True):
    """One character."""

    chars: Chars


class _Fork(msgspec.Struct):
    """Go on in several places, the first of them preferred."""

    ways: list[int]


class _Mark(msgspec.Struct, frozen=True):
    """Keep the place."""

    slot: int


class _Check(msgspec.Struct, frozen=True):
    """Go on only at an edge: `^`, `$`, `b`, `B`."""

    edge: str


_Instruction = _Take | _Fork | _Mark | _Check | None  # None: it matches


class Program:
    """Untranslatable for what only backtracking can do, or when it is too large."""

    def __init__(self, node: Node, groups: int, *, any_case: bool) -> None:
        self._code: list[_Instruction] = []
        self._slots = 2 * groups
        self._any_case = any_case
        self._build(node)
        self._emit(None)

    def search(self, text: str, start: int, charge: Charge, *, whole: bool = False) -> Spans | None:
        """The first match from `start` on; `whole`: the match of all the text."""
        best: tuple[int, int, _Marks] | None = None
        threads: list[
            tuple[int, int, _Marks]
        ] = []  # instruction, where its match began, marks; the preferred first
        none = (-1,) * self._slots
        at = start
        while True:
            seen: set[int] = set()
            ready: list[tuple[int, int, _Marks]] = []
            if best is None and not (whole and at > start):
                threads.append((0, at, none))
            for place, began, marks in threads:
                self._follow(place, began, marks, text, at, seen, ready)
            charge(len(seen) * (8 + self._slots) // 16 + 1)
            threads = []
            for place, began, marks in ready:
                instruction = self._code[place]
                if instruction is None:
                    if not whole or at == len(text):
                        best = (began, at, marks)
                        break  # whatever comes after is less preferred
                elif at < len(text) and isinstance(instruction, _Take) and self._takes(instruction, text[at]):
                    threads.append((place + 1, began, marks))
            if at >= len(text) or (not threads and (best is not None or whole)):
                break
            at += 1
        if best is None:
            return None
        began, ended, marks = best
        return ((began, ended), *zip(marks[::2], marks[1::2], strict=True))

    def _takes(self, instruction: _Take, char: str) -> bool:
        holds = instruction.chars.holds
        return holds(char) or (
            self._any_case and (swapped := char.swapcase()) != char and len(swapped) == 1 and holds(swapped)
        )

    def _follow(
        self,
        place: int,
        began: int,
        marks: _Marks,
        text: str,
        at: int,
        seen: set[int],
        ready: list[tuple[int, int, _Marks]],
    ) -> None:
        """All places that take a character, or match, and can be reached from one without a character."""
        todo = [(place, marks)]
        while todo:
            place, marks = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            instruction = self._code[place]
            if isinstance(instruction, _Fork):
                todo.extend((way, marks) for way in reversed(instruction.ways))
            elif isinstance(instruction, _Mark):
                slot = instruction.slot
                todo.append((place + 1, (*marks[:slot], at, *marks[slot + 1 :])))
            elif isinstance(instruction, _Check):
                if _holds(instruction.edge, text, at):
                    todo.append((place + 1, marks))
            else:
                ready.append((place, began, marks))

    def _emit(self, instruction: _Instruction) -> int:
        if len(self._code) >= INSTRUCTIONS_MAX:
            raise Untranslatable("too many instructions")
        self._code.append(instruction)
        return len(self._code) - 1

    def _build(self, node: Node) -> None:
        if isinstance(node, Chars):
            self._emit(_Take(node))
        elif isinstance(node, Sequence):
            for one in node.nodes:
                self._build(one)
        elif isinstance(node, Either):
            self._build_either(node)
        elif isinstance(node, Group):
            slot = 2 * (node.number - 1)
            self._emit(_Mark(slot))
            self._build(node.node)
            self._emit(_Mark(slot + 1))
        elif isinstance(node, Edge):
            self._emit(_Check("$" if node.end else "^"))
        elif isinstance(node, Around):
            if node.node is not None:
                raise Untranslatable("looking around")
            self._emit(_Check(node.head[-1]))
        else:
            self._build_repeat(node)

    def _build_either(self, node: Either) -> None:
        fork = _Fork([])
        self._emit(fork)
        ends: list[_Fork] = []
        for one in node.nodes:
            fork.ways.append(len(self._code))
            self._build(one)
            end = _Fork([])
            self._emit(end)
            ends.append(end)
        for end in ends:
            end.ways.append(len(self._code))

    def _build_repeat(self, node: Repeat) -> None:
        if node.manner == "+":
            raise Untranslatable("possessive repetition")
        for _ in range(node.least):
            self._build(node.node)
        forks: list[_Fork] = []
        for _ in range(1 if node.most is None else node.most - node.least):
            fork = _Fork([])
            place = self._emit(fork)
            fork.ways.append(place + 1)
            self._build(node.node)
            forks.append(fork)
            if node.most is None:
                self._emit(_Fork([place]))
        for fork in forks:
            fork.ways.append(len(self._code))
            if node.manner == "?":
                fork.ways.reverse()


def _holds(edge: str, text: str, at: int) -> bool:
    if edge == "^":
        return at == 0
    if edge == "$":
        return at == len(text) or (at == len(text) - 1 and text[at] == "\n")
    before = at > 0 and _is_word(text[at - 1])
    after = at < len(text) and _is_word(text[at])
    return (before != after) == (edge == "b")


def _is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())
