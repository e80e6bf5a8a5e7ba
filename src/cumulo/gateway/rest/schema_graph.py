"""What a JSON Schema of draft 4 consists of, and what checking a value with it may cost.  Pure.

A schema is a graph: its parts point to parts that look at the same value (allOf, $ref, ...), and to parts that look at one
of its children (properties, items, ...).  A part that is reached in two ways is checked twice, so what points to itself, or
to the same part again and again, may cost exponentially much.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

PARTS_MAX: Final = 5_000
CHAIN_MAX: Final = 200  # of parts that look at the same value
LOOK_AROUND_COST: Final = 10_000  # of a pattern that looks around, in parts

HERE, CHILD, ALSO = (
    "here",
    "child",
    "also",
)  # the same value; a child that no other such part sees; a child, maybe another's too
_LISTS: Final = ("allOf", "anyOf", "oneOf")
_BACKTRACKS: Final = re.compile(r"\(\?(?:[=!>]|<[=!])|\\[1-9]|\\k<")

Schema = Mapping[str, Any]


class Unresolved(ValueError):
    """A reference that leads nowhere."""


class Part(NamedTuple):
    """A schema within a schema; `document` is what its own references begin with."""

    schema: Schema
    document: Schema


class Documents:
    """A model, and the others that it may refer to by their addresses."""

    def __init__(self, root: Schema, others: Mapping[str, Schema]) -> None:
        self.root = Part(root, root)
        self._others = others

    def resolve(self, part: Part, reference: str) -> Part:
        """What a reference means.  Unresolved."""
        address, _, pointer = reference.partition("#")
        document = self._others.get(address) if address else part.document
        if document is None:
            raise Unresolved(f"unknown model {reference}")
        found: Any = document
        for step in pointer.split("/")[1:] if pointer else ():
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(found):
                found = found[int(name[:9])]
            elif isinstance(found, Mapping) and name in found:
                found = found[name]
            else:
                raise Unresolved(f"unknown reference {reference}")
        if not isinstance(found, Mapping):
            raise Unresolved(f"{reference} is no schema")
        return Part(found, document)

    def parts_of(self, part: Part) -> Iterator[tuple[str, Part]]:
        """The parts that a part points to, and how.  Unresolved."""
        schema, document = part
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield HERE, self.resolve(part, reference)
            return
        for kind, one in _within(schema):
            if isinstance(one, Mapping):
                yield kind, Part(one, document)


def cost_of(documents: Documents) -> int | None:
    """How many parts may look at one value, at most; None: nobody knows, or too many.  Unresolved."""
    edges = _edges(documents)
    if edges is None:
        return None
    ends, looping = _peeled(edges, {HERE, CHILD, ALSO})
    in_place, circles = _peeled(edges, {HERE})
    if circles or _chain(edges, in_place) > CHAIN_MAX:
        return None
    counts: dict[int, int] = {}
    for node in [*ends, *looping]:
        same, other = 0, 0
        several = 0
        for kind, target, _ in edges[node][1]:
            if target in looping:
                several += kind != CHILD
            elif kind == CHILD:
                other = max(other, counts[target])
            else:
                same += counts[target]
        if node in looping and several + any(k == CHILD and t in looping for k, t, _ in edges[node][1]) > 1:
            return None
        counts[node] = edges[node][0] + same + other
    root = counts[id(documents.root.schema)]
    return root + sum(counts[node] for node in looping)


_Edges = dict[int, tuple[int, list[tuple[str, int, Part]]]]


def _edges(documents: Documents) -> _Edges | None:
    """Each part's own cost, and what it points to; None when there are too many."""
    edges: _Edges = {}
    waiting = [documents.root]
    while waiting:
        part = waiting.pop()
        node = id(part.schema)
        if node in edges:
            continue
        if len(edges) >= PARTS_MAX:
            return None
        found = [(kind, id(one.schema), one) for kind, one in documents.parts_of(part)]
        edges[node] = (_own_cost(part.schema), found)
        waiting += [one for _, _, one in found]
    return edges


def _peeled(edges: _Edges, kinds: set[str]) -> tuple[list[int], set[int]]:
    """Parts by how soon they end, each behind all that it points to; and those that lead into a circle."""
    leads: dict[int, list[int]] = {node: [] for node in edges}
    open_ends: dict[int, int] = dict.fromkeys(edges, 0)
    for node, (_, targets) in edges.items():
        for kind, target, _ in targets:
            if kind in kinds:
                leads[target].append(node)
                open_ends[node] += 1
    done = [node for node, count in open_ends.items() if not count]
    for node in done:  # which grows meanwhile
        for before in leads[node]:
            open_ends[before] -= 1
            if not open_ends[before]:
                done.append(before)
    return done, set(edges) - set(done)


def _chain(edges: _Edges, order: list[int]) -> int:
    """How many parts look at the same value one behind another, at most."""
    longest: dict[int, int] = {}
    for node in order:
        longest[node] = 1 + max((longest[to] for kind, to, _ in edges[node][1] if kind == HERE), default=0)
    return max(longest.values(), default=0)


def steps_of(pattern: str, text: str) -> int:
    """What matching a text may take, in parts: those that look around may read the whole text from each of its places."""
    return 20 + len(text) ** 2 // 2_500 if _BACKTRACKS.search(pattern) else 1


def _own_cost(schema: Schema) -> int:
    patterns = schema.get("patternProperties")
    texts = [schema.get("pattern"), *(patterns if isinstance(patterns, Mapping) else ())]
    enumerated = schema.get("enum")
    listed = len(enumerated) if isinstance(enumerated, list) else 0
    return (
        1
        + listed
        + sum(LOOK_AROUND_COST for text in texts if isinstance(text, str) and _BACKTRACKS.search(text))
    )


def _within(schema: Schema) -> Iterator[tuple[str, Any]]:
    for name in _LISTS:
        inner = schema.get(name)
        for one in inner if isinstance(inner, list) else ():
            yield HERE, one
    yield HERE, schema.get("not")
    for name, kind in (("dependencies", HERE), ("properties", CHILD), ("patternProperties", ALSO)):
        named = schema.get(name)
        for one in named.values() if isinstance(named, Mapping) else ():
            yield kind, one
    items = schema.get("items")
    for one in items if isinstance(items, list) else [items]:
        yield CHILD, one
    yield CHILD, schema.get("additionalItems")
    yield CHILD, schema.get("additionalProperties")
