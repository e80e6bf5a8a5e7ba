"""What Python's `re`, which backtracks, may cost with a pattern at worst."""

import msgspec

from cumulo.wire.regex.syntax import Around, Chars, Edge, Either, Group, Node, Repeat, Sequence

BRANCHES_MAX = 1 << 20


class Cost(msgspec.Struct, frozen=True):
    """`loops`: repetitions that may give back what they took; `branches`: ways through alternatives, and characters told off one by one."""

    loops: int = 0
    branches: int = 1

    def for_length(self, characters: int) -> int:
        """Steps of a search through a text."""
        return int(self.branches * (characters + 1) ** (min(self.loops, 20) + 1))


def cost_of(node: Node) -> Cost:
    """Counted on the safe side; a repetition at the very end takes what it can get and never gives back."""
    if isinstance(node, Sequence) and node.nodes and _greedy(node.nodes[-1]):
        return _cost(Sequence(node.nodes[:-1]))
    return Cost() if _greedy(node) else _cost(node)


def _greedy(node: Node) -> bool:
    return (
        isinstance(node, Repeat)
        and isinstance(node.node, Chars)
        and node.manner != "?"
        and node.most is None
        and node.least <= 1
    )


def _cost(node: Node) -> Cost:
    if isinstance(node, (Chars, Edge)):
        return Cost()
    if isinstance(node, Group):
        return _cost(node.node)
    if isinstance(node, Around):
        return Cost() if node.node is None else _cost(node.node)
    if isinstance(node, Sequence):
        return _product([_cost(one) for one in node.nodes])
    if isinstance(node, Either):
        below = [_cost(one) for one in node.nodes]
        return Cost(max(one.loops for one in below), _least(sum(one.branches for one in below)))
    return _repeated(node)


def _repeated(node: Repeat) -> Cost:
    if node.least == node.most == 1:
        return _cost(node.node)
    if not isinstance(node.node, Chars):
        # Repeating what is not one character may be ambiguous, and then every repetition doubles the cost.
        return Cost(20, BRANCHES_MAX)
    return Cost(0 if node.least == node.most else 1, _least(max(1, node.least)))


def _product(costs: list[Cost]) -> Cost:
    branches = 1
    for one in costs:
        branches = _least(branches * one.branches)
    return Cost(sum(one.loops for one in costs), branches)


def _least(branches: int) -> int:
    return min(branches, BRANCHES_MAX)
