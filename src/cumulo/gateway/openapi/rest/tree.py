"""The resources of a REST API, grown path by path."""

from collections.abc import Callable, Iterable

import msgspec

from cumulo.gateway.definitions.rest import Method, Resource
from cumulo.gateway.openapi.base_paths import parts_of


class ResourceTree:
    """Grows resources.

    have      the API's own: they keep their ids, and (`keep`) stay with their methods
    new_id    makes an id for a resource
    """

    def __init__(
        self, have: Iterable[Resource], root_id: str, new_id: Callable[[], str], *, keep: bool
    ) -> None:
        known = {one.path: one for one in have}
        self._ids = {path: one.id for path, one in known.items()}
        self._new_id = new_id
        root = known.get("/", Resource(id=root_id, path="/"))
        self._resources: dict[str, Resource] = dict(known) if keep else {}
        self._resources["/"] = root if keep else Resource(id=root.id, path="/")

    def grow(self, path: str) -> Resource:
        """The resource at a path, with all above it."""
        parts = parts_of(path)
        here = self._resources["/"]
        for depth, part in enumerate(parts, 1):
            at = "/" + "/".join(parts[:depth])
            if at not in self._resources:
                made = Resource(
                    id=self._ids.get(at) or self._new_id(), path=at, parent_id=here.id, path_part=part
                )
                self._resources[at] = made
            here = self._resources[at]
        return here

    def put(self, path: str, methods: Iterable[Method]) -> None:
        """Give the resource at a path methods, beside or in place of those that it has."""
        resource = self.grow(path)
        have = dict(resource.methods) | {one.http_method: one for one in methods}
        self._resources[resource.path] = msgspec.structs.replace(resource, methods=have)

    def resources(self) -> tuple[Resource, ...]:
        """All of them by their paths, the root first: the same document gives the same API."""
        return tuple(self._resources[path] for path in sorted(self._resources))
