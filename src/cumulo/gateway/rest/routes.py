"""Which method of which resource a request is for: a tree of path parts, walked from the most to the least specific.

/pets/{id}/toys          exact parts win over {id}, and {id} over {proxy+}; a resource without the request's method
      └ {proxy+}         (or ANY) is passed over, so that OPTIONS of /{proxy+} serves /pets where /pets has only POST
"""

from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import unquote

from cumulo.gateway.definitions.rest import Method, Resource

ANY: Final = "ANY"


class Route(NamedTuple):
    """What was found, with the path's parameters (percent-encoded as they came)."""

    resource: Resource
    method: Method
    parameters: dict[str, str]


class _Node:
    __slots__ = ("exact", "greedy", "name", "resource", "variable")

    def __init__(self, name: str = "") -> None:
        self.name = name  # of the variable that leads here
        self.exact: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.greedy: _Node | None = None
        self.resource: Resource | None = None


class Routes:
    """The resources of a deployment, made ready to be found."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._root = _Node()
        for resource in resources:
            if resource.methods:
                _grow(self._root, parts_of(resource.path)).resource = resource

    def find(self, method: str, path: str) -> Route | None:
        """The route for a request's method and path (without a stage); None when nothing fits."""
        parts = parts_of(path)
        taken: list[tuple[str, str]] = []
        resource = _walk(self._root, parts, 0, method, taken)
        if resource is None:
            return None
        chosen = resource.methods.get(method) or resource.methods[ANY]
        return Route(resource, chosen, dict(taken))


def parts_of(path: str) -> list[str]:
    """The parts between a path's slashes; those at its two ends say nothing."""
    inner = path.strip("/")
    return inner.split("/") if inner else []


def _grow(node: _Node, parts: list[str]) -> _Node:
    for part in parts:
        node = _child(node, part)
    return node


def _child(node: _Node, part: str) -> _Node:
    if part.startswith("{") and part.endswith("+}"):
        node.greedy = node.greedy or _Node(part[1:-2])
        return node.greedy
    if part.startswith("{") and part.endswith("}"):
        node.variable = node.variable or _Node(part[1:-1])
        return node.variable
    return node.exact.setdefault(part, _Node())


def _walk(
    node: _Node, parts: list[str], at: int, method: str, taken: list[tuple[str, str]]
) -> Resource | None:
    """Depth first; each node of the tree is seen once at most, so the walk is as long as the tree at worst."""
    if at == len(parts):
        return _serving(node, method)
    part = parts[at]
    exact = node.exact.get(part) or (node.exact.get(unquote(part)) if "%" in part else None)
    if exact is not None:
        found = _walk(exact, parts, at + 1, method, taken)
        if found is not None:
            return found
    if node.variable is not None and part:
        taken.append((node.variable.name, part))
        found = _walk(node.variable, parts, at + 1, method, taken)
        if found is not None:
            return found
        taken.pop()
    if node.greedy is not None:
        found = _serving(node.greedy, method)
        if found is not None:
            taken.append((node.greedy.name, "/".join(parts[at:])))
            return found
    return None


def _serving(node: _Node, method: str) -> Resource | None:
    resource = node.resource
    if resource is None or not (method in resource.methods or ANY in resource.methods):
        return None
    return resource
