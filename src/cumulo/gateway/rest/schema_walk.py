"""Checks values with schemas that may cost too much otherwise: each part looks at each value once, and there is an end.

What a part says of a value itself (type, required, pattern, ...) is the library's business; which part looks at what is ours.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cumulo.gateway.rest.schema_graph import Documents, Part, Schema, steps_of

STEPS_MAX: Final = 20_000  # about half a second

_PARTS: Final = frozenset(
    {"$ref", "$schema", "id", "definitions", "allOf", "anyOf", "oneOf", "not", "properties", "patternProperties",
     "additionalProperties", "items", "additionalItems"}
)  # fmt: skip

Leaf = Callable[[Any], bool]
Compile = Callable[[Schema], Leaf]


class TooCostly(Exception):
    """A value cannot be checked within the bounds."""


class Walker:
    """Checks.  `compile_leaf` makes the check of a schema without parts."""

    def __init__(self, documents: Documents, compile_leaf: Compile) -> None:
        self._documents = documents
        self._compile = compile_leaf
        self._leaves: dict[int, Leaf] = {}
        self._names: dict[str, Leaf] = {}

    def is_valid(self, value: Any) -> bool:
        """Whether a value keeps to the schema.  TooCostly; Unresolved."""
        try:
            return _Walk(self).check(self._documents.root, value)
        except RecursionError:
            raise TooCostly("it is nested too deeply") from None

    def leaf(self, schema: Schema) -> Leaf:
        """What a part says of a value itself."""
        found = self._leaves.get(id(schema))
        if found is None:
            own = {name: one for name, one in schema.items() if name not in _PARTS}
            dependencies = own.get("dependencies")
            if isinstance(dependencies, Mapping):
                own["dependencies"] = {
                    name: one for name, one in dependencies.items() if isinstance(one, list)
                }
            found = self._leaves[id(schema)] = self._compile(own)
        return found

    def named(self, pattern: str, name: str) -> bool:
        """Whether a property's name is one of a pattern's."""
        found = self._names.get(pattern)
        if found is None:
            found = self._names[pattern] = self._compile({"pattern": pattern})
        return found(name)

    def resolve(self, part: Part, reference: str) -> Part:
        """What a reference means."""
        return self._documents.resolve(part, reference)


class _Walk:
    """One value's check."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._steps = 0
        self._known: dict[tuple[int, int], bool] = {}

    def check(self, part: Part, value: Any) -> bool:
        key = (id(part.schema), id(value))
        self._step(1)
        known = self._known.get(key)
        if known is None:
            self._known[key] = True  # while it is being looked at: what only depends on itself holds
            known = self._known[key] = self._looked_at(part, value)
        return known

    def _step(self, steps: int) -> None:
        self._steps += steps
        if self._steps > STEPS_MAX:
            raise TooCostly("it takes too many steps")

    def _looked_at(self, part: Part, value: Any) -> bool:
        schema = part.schema
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self.check(self._walker.resolve(part, reference), value)
        if isinstance(schema.get("pattern"), str) and isinstance(value, str):
            self._step(steps_of(schema["pattern"], value))
        if isinstance(schema.get("enum"), list):
            self._step(len(schema["enum"]) // 10)
        return (
            self._walker.leaf(schema)(value)
            and self._combined(part, value)
            and all(self.check(one, child) for one, child in self._children(part, value))
        )

    def _combined(self, part: Part, value: Any) -> bool:
        schema, document = part

        def holds(one: Any) -> bool:
            return not isinstance(one, Mapping) or self.check(Part(one, document), value)

        if not all(map(holds, schema.get("allOf") or ())):
            return False
        if schema.get("anyOf") and not any(map(holds, schema["anyOf"])):
            return False
        if schema.get("oneOf") and sum(map(holds, schema["oneOf"])) != 1:
            return False
        if isinstance(schema.get("not"), Mapping) and holds(schema["not"]):
            return False
        dependencies = schema.get("dependencies")
        if isinstance(value, dict) and isinstance(dependencies, Mapping):
            return all(holds(one) for name, one in dependencies.items() if name in value)
        return True

    def _children(self, part: Part, value: Any) -> Iterator[tuple[Part, Any]]:
        schema, document = part
        pairs: Iterator[tuple[Any, Any]]
        if isinstance(value, dict):
            pairs = self._properties(schema, value)
        elif isinstance(value, list):
            pairs = _items(schema, value)
        else:
            return
        for one, child in pairs:
            if one is False:
                one = _NOTHING  # noqa: PLW2901 - what no value keeps to
            if isinstance(one, Mapping):
                yield Part(one, document), child

    def _properties(self, schema: Schema, value: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
        properties = schema.get("properties") or {}
        patterns = schema.get("patternProperties") or {}
        rest = schema.get("additionalProperties")
        for name, child in value.items():
            fitting = [properties[name]] if name in properties else []
            for pattern, one in patterns.items():
                self._step(steps_of(pattern, name))
                if self._walker.named(pattern, name):
                    fitting.append(one)
            for one in fitting or [rest]:
                yield one, child


_NOTHING: Final[Schema] = {"not": {}}


def _items(schema: Schema, value: list[Any]) -> Iterator[tuple[Any, Any]]:
    items = schema.get("items")
    if isinstance(items, list):
        yield from zip(items, value, strict=False)
        rest = schema.get("additionalItems")
        yield from ((rest, child) for child in value[len(items) :])
    else:
        yield from ((items, child) for child in value)
