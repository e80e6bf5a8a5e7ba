"""Matches a pattern in time linear in the text: a set of states walks along, and its steps are remembered."""

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

_STATES_MAX = 4096
_STEPS_KEPT_MAX = 4096


class Automaton:
    """A pattern as states; Untranslatable for what needs looking around, or too many states."""

    def __init__(self, node: Node) -> None:
        self._chars: list[Chars | None] = []  # what a state consumes; None for a state that only leads on
        self._next: list[list[int]] = []
        self._edge: dict[
            int, bool
        ] = {}  # states that are passed only at the text's start (False) or end (True)
        self._last = self._state()
        self._start = self._build(node, self._last)
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        here = self._closure({self._start}, at_start=True, at_end=not text)
        for number, char in enumerate(text, 1):
            here = self._step(here, char, at_end=number == len(text))
            if not here:
                return False
        return self._last in here

    def _step(self, here: frozenset[int], char: str, *, at_end: bool) -> frozenset[int]:
        key = (here, char)
        found = None if at_end else self._steps.get(key)
        if found is None:
            moved = {
                self._next[state][0]
                for state in here
                if (chars := self._chars[state]) is not None and chars.holds(char)
            }
            found = self._closure(moved, at_start=False, at_end=at_end)
            if not at_end:
                if len(self._steps) >= _STEPS_KEPT_MAX:
                    self._steps.clear()
                self._steps[key] = found
        return found

    def _closure(self, states: set[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        """The states and all that can be reached without a character."""
        seen = set(states)
        todo = list(states)
        while todo:
            state = todo.pop()
            if self._chars[state] is not None:
                continue
            edge = self._edge.get(state)
            if (edge is False and not at_start) or (edge is True and not at_end):
                continue
            for follower in self._next[state]:
                if follower not in seen:
                    seen.add(follower)
                    todo.append(follower)
        return frozenset(seen)

    def _state(self, chars: Chars | None = None, *followers: int) -> int:
        if len(self._chars) >= _STATES_MAX:
            raise Untranslatable("too many states")
        self._chars.append(chars)
        self._next.append(list(followers))
        return len(self._chars) - 1

    def _build(self, node: Node, after: int) -> int:
        """Add a node's states in front of `after`; returns where it begins."""
        if isinstance(node, Chars):
            return self._state(node, after)
        if isinstance(node, Sequence):
            for one in reversed(node.nodes):
                after = self._build(one, after)
            return after
        if isinstance(node, Either):
            return self._state(None, *[self._build(one, after) for one in node.nodes])
        if isinstance(node, Edge):
            state = self._state(None, after)
            self._edge[state] = node.end
            return state
        if isinstance(node, Group):
            return self._build(node.node, after)
        if isinstance(node, Around) or node.manner == "+":
            raise Untranslatable("only backtracking can do this")
        return self._build_repeat(node, after)

    def _build_repeat(self, node: Repeat, after: int) -> int:
        if node.most is None:
            loop = self._state(None)
            self._next[loop] += [self._build(node.node, loop), after]
            after = loop
        else:
            end = after
            for _ in range(node.most - node.least):
                after = self._state(None, self._build(node.node, after), end)
        for _ in range(node.least):
            after = self._build(node.node, after)
        return after
