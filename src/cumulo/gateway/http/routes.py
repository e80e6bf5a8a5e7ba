"""Which route of an HTTP API a request takes.  Pure.

A route is a full match (its path has as many segments as the request's; a `{name}` matches any one that is not
empty), or a greedy one (`{proxy+}` at its end matches one segment or more), or `$default`.  The better wins:

    GET /pets/dog/1  >  GET /pets/dog/{id}  >  GET /pets/{id}/1  >  GET /pets/{proxy+}  >  ANY /{proxy+}  >  $default

A path that fits is asked for the request's method, then for ANY; when it has neither, the next best path is
looked at.  Paths are compared as they are after percent-decoding, which API Gateway does before all else; a slash
at the end makes another path.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

DEFAULT: Final = "$default"
ANY: Final = "ANY"

T = TypeVar("T")


class Key(NamedTuple):
    """A route key, taken apart; the path of `$default` is empty."""

    method: str
    path: str


def key_of(route_key: str) -> Key:
    """`GET /pets/{id}` or `$default`, taken apart."""
    if route_key == DEFAULT:
        return Key(ANY, "")
    method, _, path = route_key.partition(" ")
    return Key(method, path)


class Match(NamedTuple, Generic[T]):
    """The route, and the values of its path parameters (a greedy one's without the plus)."""

    route: T
    parameters: Mapping[str, str]


class _Leaf(NamedTuple, Generic[T]):
    """A path of routes: names of its parameters in order, and routes by method."""

    names: tuple[str, ...]
    methods: dict[str, T]


class _Node(Generic[T]):
    """A place in the tree of segments."""

    __slots__ = ("any", "greedy", "leaves", "literals")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.any: _Node[T] | None = None
        self.leaves: list[_Leaf[T]] = []  # several when their parameters have different names
        self.greedy: list[_Leaf[T]] = []


class Routes(Generic[T]):
    """All routes of an API, by their keys."""

    def __init__(self, routes: Iterable[tuple[str, T]]) -> None:
        self._default: T | None = None
        self._root: _Node[T] = _Node()
        self._static: dict[str, dict[str, T]] = {}
        for route_key, route in routes:
            method, path = key_of(route_key)
            if not path:
                self._default = route
            else:
                self._add(method, path, route)

    def match(self, method: str, path: str) -> Match[T] | None:
        """The best route for a method and a path (decoded, with its first slash); None when there is none."""
        methods = self._static.get(path)
        if methods is not None:
            route = _of(methods, method)
            if route is not None:
                return Match(route, _NOTHING)
        found = self._walk(method, path) if path[:1] == "/" else None
        if found is not None:
            return found
        return None if self._default is None else Match(self._default, _NOTHING)

    def _add(self, method: str, path: str, route: T) -> None:
        if "{" not in path:
            self._static.setdefault(path, {})[method] = route
        node, names = self._root, []
        segments = path[1:].split("/")
        greedy = False
        for segment in segments:
            if segment.startswith("{") and segment.endswith("}"):
                name = segment[1:-1]
                greedy = name.endswith("+")
                names.append(name.removesuffix("+"))
                if not greedy:
                    node.any = node.any or _Node()
                    node = node.any
            else:
                node = node.literals.setdefault(segment, _Node())
        leaves = node.greedy if greedy else node.leaves
        for leaf in leaves:
            if leaf.names == tuple(names):
                leaf.methods[method] = route
                return
        leaves.append(_Leaf(tuple(names), {method: route}))

    def _walk(self, method: str, path: str) -> Match[T] | None:
        segments = path[1:].split("/")
        return _full(self._root, method, segments, 0, []) or _greedy(self._root, method, segments, 0, [])


_NOTHING: Final[Mapping[str, str]] = {}


def _of(methods: dict[str, T], method: str) -> T | None:
    route = methods.get(method)
    return methods.get(ANY) if route is None else route


def _pick(leaves: list[_Leaf[T]], method: str, values: list[str]) -> Match[T] | None:
    for wanted in (method, ANY):
        for leaf in leaves:
            route = leaf.methods.get(wanted)
            if route is not None:
                return Match(route, dict(zip(leaf.names, values, strict=True)))
    return None


def _full(node: _Node[T], method: str, segments: list[str], at: int, values: list[str]) -> Match[T] | None:
    """The best route without a greedy parameter, literal segments first; as deep as paths have segments."""
    if at == len(segments):
        return _pick(node.leaves, method, values)
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _full(literal, method, segments, at + 1, values)
        if found is not None:
            return found
    if node.any is None or not segment:
        return None
    return _full(node.any, method, segments, at + 1, [*values, segment])


def _greedy(node: _Node[T], method: str, segments: list[str], at: int, values: list[str]) -> Match[T] | None:
    """The best route with a greedy parameter: the one that leaves it the least."""
    if at == len(segments):
        return None
    segment = segments[at]
    literal = node.literals.get(segment)
    found = None if literal is None else _greedy(literal, method, segments, at + 1, values)
    if found is None and node.any is not None and segment:
        found = _greedy(node.any, method, segments, at + 1, [*values, segment])
    if found is not None:
        return found
    rest = "/".join(segments[at:])
    return _pick(node.greedy, method, [*values, rest]) if node.greedy and rest else None
