"""What a pattern is made of, and how it is written for Python's `re`."""

import unicodedata

import msgspec


class Untranslatable(Exception):
    """A pattern with something in it that we do not understand."""


class Item(msgspec.Struct, frozen=True):
    """One part of a character class: a range of code points, or a Unicode category; maybe its opposite."""

    low: int = 0
    high: int = -1
    category: str = ""
    negated: bool = False

    def holds(self, char: str) -> bool:
        """Whether a character is in it."""
        if self.category:
            return unicodedata.category(char).startswith(self.category) != self.negated
        return (self.low <= ord(char) <= self.high) != self.negated


class Chars(msgspec.Struct, frozen=True):
    """One character out of a class; `parts` are further classes in the union."""

    items: tuple[Item, ...] = ()
    negated: bool = False
    parts: tuple["Chars", ...] = ()

    def holds(self, char: str) -> bool:
        """Whether a character is in it."""
        found = any(item.holds(char) for item in self.items) or any(part.holds(char) for part in self.parts)
        return found != self.negated


class Sequence(msgspec.Struct, frozen=True):
    """One after the other."""

    nodes: tuple["Node", ...]


class Either(msgspec.Struct, frozen=True):
    """One of several."""

    nodes: tuple["Node", ...]


class Repeat(msgspec.Struct, frozen=True):
    """Again and again; `most` None is without end, `manner` is `?` for lazy and `+` for possessive."""

    node: "Node"
    least: int
    most: int | None
    manner: str = ""


class Edge(msgspec.Struct, frozen=True):
    """`^` or `$`."""

    end: bool


class Around(msgspec.Struct, frozen=True):
    """What only `re` can do: looking around, word boundaries, atomic groups; `head` is how it is written."""

    head: str
    node: "Node | None" = None


class Group(msgspec.Struct, frozen=True):
    """Parentheses that keep what they matched, numbered from 1; only where the parser is asked for them."""

    node: "Node"
    number: int
    name: str = ""


Node = Chars | Sequence | Either | Repeat | Edge | Around | Group


def to_python(node: Node) -> str:
    """The pattern for `re`; Untranslatable when it has Unicode categories, which `re` does not know."""
    if isinstance(node, Chars):
        return _chars_to_python(node)
    if isinstance(node, Sequence):
        return "".join(to_python(one) for one in node.nodes)
    if isinstance(node, Either):
        return f"(?:{'|'.join(to_python(one) for one in node.nodes)})"
    if isinstance(node, Edge):
        return "$" if node.end else "^"
    if isinstance(node, Around):
        return node.head if node.node is None else f"{node.head}{to_python(node.node)})"
    if isinstance(node, Group):
        return f"({to_python(node.node)})"
    most = "" if node.most is None else str(node.most)
    return f"(?:{to_python(node.node)}){{{node.least},{most}}}{node.manner}"


def _chars_to_python(chars: Chars) -> str:
    items = _flatten(chars)
    if not items:
        return r"[\s\S]" if chars.negated else r"(?!)"
    inner = "".join(f"{_escape(low)}-{_escape(high)}" for low, high in items)
    return f"[{'^' if chars.negated else ''}{inner}]"


def _flatten(chars: Chars) -> list[tuple[int, int]]:
    """The union as ranges."""
    found: list[tuple[int, int]] = []
    for item in chars.items:
        if item.category:
            raise Untranslatable(item.category)
        found += _opposite([(item.low, item.high)]) if item.negated else [(item.low, item.high)]
    for part in chars.parts:
        ranges = _flatten(part)
        found += _opposite(ranges) if part.negated else ranges
    return found


def _opposite(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found, at = [], 0
    for low, high in sorted(ranges):
        if low > at:
            found.append((at, low - 1))
        at = max(at, high + 1)
    return [*found, (at, 0x10FFFF)] if at <= 0x10FFFF else found


def _escape(point: int) -> str:
    return f"\\U{point:08x}"


def endless(node: Node, many: int = 16) -> tuple[int, int]:
    """How deep repetitions without (near) end nest, and how many of them there are: what backtracking costs."""
    if isinstance(node, (Sequence, Either)):
        below = [endless(one, many) for one in node.nodes]
        return max((depth for depth, _ in below), default=0), sum(count for _, count in below)
    if isinstance(node, Repeat):
        depth, count = endless(node.node, many)
        if node.most is None or node.most >= many:
            # Repeating anything but one character may be ambiguous: (a|a)* is as bad as (a*)*.
            return depth + (1 if isinstance(node.node, Chars) else 2), count + 1
        return depth, count * max(1, node.most)
    if isinstance(node, (Group, Around)) and node.node is not None:
        return endless(node.node, many)
    return 0, 0
