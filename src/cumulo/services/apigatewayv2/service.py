"""API Gateway v2 as the door wants it: every operation that is built, by AWS's name."""

from collections.abc import Mapping
from typing import Protocol

from cumulo.wire.service import Operation, Service


class Noun(Protocol):
    """The operations on one kind of things."""

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        ...


def service_of(*nouns: Noun, extra: Mapping[str, Operation]) -> Service:
    """The service.  `extra`: operations that others build (domain names, API mappings, OpenAPI)."""
    operations: dict[str, Operation] = {}
    for noun in nouns:
        operations |= noun.operations()
    return Service("apigatewayv2", operations | dict(extra))
