"""Finds a rest operation by method, path and query: a tree of path segments."""

from collections.abc import Iterator, Mapping

import msgspec

from cumulo.wire.models import OperationModel, ServiceModel
from cumulo.wire.protocols.rest import percent_decode

_SEGMENTS_MAX = 512


class Match(msgspec.Struct, frozen=True):
    """An operation and its path's labels, decoded."""

    operation: OperationModel
    labels: Mapping[str, str]


class _Leaf(msgspec.Struct, frozen=True):
    operation: OperationModel
    labels: tuple[str, ...]
    constants: tuple[tuple[str, str | None], ...]
    wanted: tuple[str, ...]  # query parameters that must be there


class _Node:
    __slots__ = ("greedy", "label", "leaves", "literals")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.label: _Node | None = None
        self.greedy: _Node | None = None
        self.leaves: dict[str, list[_Leaf]] = {}


class Paths:
    """The operations of one rest service by where they live."""

    def __init__(self, model: ServiceModel) -> None:
        self._root = _Node()
        for operation in model.operations.values():
            self._add(operation, _required_query(model, operation))

    def find(self, method: str, path: str, query: str) -> Match | None:
        """The operation for a request; literal segments win over labels, labels over greedy ones."""
        segments = path.split("/")[1:] if path.startswith("/") else path.split("/")
        if len(segments) > 1 and not segments[-1]:
            segments.pop()
        if len(segments) > _SEGMENTS_MAX:
            return None
        for node, captured in _walk(self._root, segments, 0, ()):
            leaf = _choose(node.leaves.get(method, ()), query)
            if leaf is not None:
                labels = {
                    name: percent_decode(text) for name, text in zip(leaf.labels, captured, strict=True)
                }
                return Match(leaf.operation, labels)
        return None

    def firsts(self) -> frozenset[str]:
        """The literal first segments."""
        return frozenset(self._root.literals)

    def _add(self, operation: OperationModel, wanted: tuple[str, ...]) -> None:
        template, _, constants = operation.http.request_uri.partition("?")
        node, labels = self._root, []
        segments = template.split("/")[1:]
        if len(segments) > 1 and not segments[-1]:
            segments.pop()
        for segment in segments:
            if segment.startswith("{") and segment.endswith("+}"):
                labels.append(segment[1:-2])
                node.greedy = node = node.greedy or _Node()
            elif segment.startswith("{"):
                labels.append(segment[1:-1])
                node.label = node = node.label or _Node()
            else:
                node = node.literals.setdefault(segment, _Node())
        leaf = _Leaf(operation, tuple(labels), _constants(constants), wanted)
        leaves = node.leaves.setdefault(operation.http.method, [])
        leaves.append(leaf)
        leaves.sort(key=lambda one: (-len(one.constants), -len(one.wanted)))


def _walk(
    node: _Node, segments: list[str], at: int, captured: tuple[str, ...]
) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    if at == len(segments):
        yield node, captured
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _walk(literal, segments, at + 1, captured)
    if node.label is not None and segment:
        yield from _walk(node.label, segments, at + 1, (*captured, segment))
    if node.greedy is not None:
        # Greedy labels end their template nearly always; the longest capture is tried first.
        for end in range(len(segments), at, -1):
            yield from _walk(node.greedy, segments, end, (*captured, "/".join(segments[at:end])))
            if not node.greedy.literals and node.greedy.label is None:
                break


def _constants(query: str) -> tuple[tuple[str, str | None], ...]:
    found = []
    for part in query.split("&") if query else []:
        name, sign, value = part.partition("=")
        found.append((name, value if sign else None))
    return tuple(found)


def _choose(leaves: "list[_Leaf] | tuple[()]", query: str) -> _Leaf | None:
    if len(leaves) == 1 and not leaves[0].constants:
        return leaves[0]
    sent: dict[str, str] = {}
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        sent.setdefault(percent_decode(name), percent_decode(value))
    fitting = [leaf for leaf in leaves if _fits(leaf, sent)]
    if not fitting:
        return None
    # Most constants first; among equals the one whose required parameters are there, else the least demanding.
    equals = [leaf for leaf in fitting if len(leaf.constants) == len(fitting[0].constants)]
    return next((leaf for leaf in equals if all(name in sent for name in leaf.wanted)), equals[-1])


def _fits(leaf: _Leaf, sent: Mapping[str, str]) -> bool:
    return all(name in sent and (value is None or sent[name] == value) for name, value in leaf.constants)


def _required_query(model: ServiceModel, operation: OperationModel) -> tuple[str, ...]:
    if operation.input is None:
        return ()
    shape = model.shape(operation.input)
    return tuple(
        member.location_name or name
        for name, member in model.members(shape).items()
        if member.location == "querystring" and name in shape.required
    )
