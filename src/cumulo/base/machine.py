"""State machines as tables: (state, event) -> state."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class IllegalMove(Exception):
    """An event that the table has no row for: a bug, never a user's fault."""


class Machine(Generic[S, E]):
    """A named table of moves; docs' diagrams are printed from it."""

    def __init__(self, *, name: str, start: S, moves: Mapping[tuple[S, E], S]) -> None:
        self.name = name
        self.start = start
        self.moves = dict(moves)

    def step(self, state: S, event: E) -> S:
        """What `state` becomes on `event`; IllegalMove when the table has no such row."""
        try:
            return self.moves[state, event]
        except KeyError:
            raise IllegalMove(f"{self.name}: no move from {state} on {event}") from None

    def allows(self, state: S, event: E) -> bool:
        """Whether the table has a row for this pair."""
        return (state, event) in self.moves

    def states(self) -> frozenset[S]:
        """Every state that the table names."""
        return frozenset({self.start, *self.moves.values(), *(s for s, _ in self.moves)})

    def terminal(self) -> frozenset[S]:
        """The states that nothing leaves."""
        return self.states() - {s for s, _ in self.moves}

    def reachable(self) -> frozenset[S]:
        """The states that some path of events leads to."""
        seen = {self.start}
        frontier = [self.start]
        while frontier:
            here = frontier.pop()
            for (source, _), target in self.moves.items():
                if source == here and target not in seen:
                    seen.add(target)
                    frontier.append(target)
        return frozenset(seen)

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram."""
        rows = [f"    [*] --> {self.start}"]
        rows += [f"    {s} --> {t}: {e}" for (s, e), t in self.moves.items()]
        rows += [f"    {s} --> [*]" for s in sorted(self.terminal())]
        return "\n".join(["stateDiagram-v2", *rows])
