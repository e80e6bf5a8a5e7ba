"""Requests that an enemy of the API would send: the shapes of the model, filled with what nobody expects."""

import random
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from botocore.model import ServiceModel, Shape

NUMBERS = (0, 1, -1, 5, 80, 443, 65535, 65536, 50001, 2**31 - 1, 2**31, 2**63, -(2**63), 10**30)
WORDS = (
    "", " ", "x", "*", "?", "%00", "\x7f", "\u202egnp", "é" * 40, "\U0001f4a3", "a" * 5000, "../../etc/passwd", "' OR 1=1 --",
    "\r\nX-Evil: 1", "#{path}", "arn:", "arn:aws:elasticloadbalancing", "null", "true", "-1", "1e309", "NaN", "{}", "[]", "$",
)  # fmt: skip
INDEXES = ("0", "-1", "1", "2", "01", "999999999", "99999999999999999999", "x", "", "1.1", "１")


class Enemy:
    """Makes inputs by chance; every second one has nothing in it but what means something.

    known       by name of member: values that mean something
    operations  those that are worth asking for; others are asked for now and then
    """

    def __init__(
        self,
        model: ServiceModel,
        known: Mapping[str, Sequence[Any]],
        chance: random.Random,
        operations: Sequence[str],
    ) -> None:
        self.model = model
        self.known = known
        self.chance = chance
        self.operations = operations
        self.madness = 0.0  # how often a value means nothing

    def operation(self) -> str:
        names = self.operations if self.chance.random() < 0.9 else self.model.operation_names
        return self.chance.choice(names)

    def input(self, operation: str) -> dict[str, Any]:
        """What a client sends for an operation: mostly of the model's form."""
        self.madness = self.chance.choice((0.0, 0.06))
        shape = self.model.operation_model(operation).input_shape
        return self._structure(shape, 0) if shape is not None else {}

    def form(self, operation: str, values: Mapping[str, Any], version: str) -> bytes:
        """The query protocol's body, with lists that are counted oddly now and then."""
        pairs = [("Action", operation), ("Version", version)]
        for name, value in values.items():
            self._flatten(name, value, pairs)
        if self.chance.random() < self.madness:
            pairs.append(self.chance.choice(pairs))
        if self.chance.random() < self.madness:
            pairs.append((f"{self.chance.choice(WORDS)}.member.1", self.chance.choice(WORDS)))
        return urlencode(pairs).encode()

    def _flatten(self, name: str, value: Any, pairs: list[tuple[str, str]]) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                self._flatten(f"{name}.{key}", part, pairs)
        elif isinstance(value, list):
            if not value:
                pairs.append((name, ""))
            for number, part in enumerate(value, start=1):
                place = self.chance.choice(INDEXES) if self.chance.random() < self.madness else str(number)
                word = "" if self.chance.random() < self.madness else "member."
                self._flatten(f"{name}.{word}{place}", part, pairs)
        elif isinstance(value, bool):
            pairs.append((name, str(value).lower()))
        else:
            pairs.append((name, str(value)))

    def _structure(self, shape: Any, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, member in shape.members.items():
            needed = name in shape.required_members
            if self.chance.random() < (1.0 - self.madness if needed else 0.25):
                made[name] = self._value(name, member, depth + 1)
        return made

    def _value(self, name: str, shape: Shape, depth: int) -> Any:
        if self.chance.random() < self.madness:
            return self.chance.choice((*WORDS, *NUMBERS, [], {}, [[]], {"": ""}))
        if name in self.known:
            value = self.chance.choice(self.known[name])
            return [value] if shape.type_name == "list" and not isinstance(value, list) else value
        if depth > 6:
            return ""
        return self._by_type(name, shape, depth)

    def _by_type(self, name: str, shape: Any, depth: int) -> Any:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape, depth)
        if kind == "list":
            count = self.chance.choice((0, 1, 1, 1, 2, 3))
            return [self._value(name.removesuffix("s"), shape.member, depth + 1) for _ in range(count)]
        if kind == "map":
            return {self.chance.choice(WORDS): self._value("", shape.value, depth + 1)}
        if kind == "boolean":
            return self.chance.choice((True, False))
        if kind in ("integer", "long"):
            return self.chance.choice(NUMBERS)
        if kind in ("double", "float"):
            return self.chance.choice((0.0, 50.0, -1.0, 1e308, 0.1))
        if kind == "timestamp":
            return self.chance.choice((0, 1.0, -1, 2**33, "2030-01-01T00:00:00Z", "never"))
        if shape.enum:
            return self.chance.choice(shape.enum)
        return self.chance.choice(WORDS)
