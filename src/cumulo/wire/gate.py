"""Holds back what would change something while the store cannot keep it.

A full disk refuses commits.  Operations that change nothing go on; the others are refused before they begin, so
that they change nothing either and nothing piles up in memory.
"""

from collections.abc import Awaitable, Callable

import msgspec

from cumulo.base.caller import Caller
from cumulo.wire.service import Operation, Service, Values

_FREE = ("Get", "List", "Describe", "Filter", "Test", "StartLiveTail", "Invoke", "PutLogEvents")
"""What reads, and what looks after itself (the queue of asynchronous calls, the journal)."""


def gated(service: Service, ready: Callable[[], Awaitable[None]]) -> Service:
    """The service whose changing operations begin only when `ready()` raises nothing."""
    operations = {
        name: operation if name.startswith(_FREE) else _after(operation, ready)
        for name, operation in service.operations.items()
    }
    return msgspec.structs.replace(service, operations=operations)


def _after(operation: Operation, ready: Callable[[], Awaitable[None]]) -> Operation:
    async def run(caller: Caller, values: Values) -> Values | None:
        await ready()
        return await operation.run(caller, values)

    return msgspec.structs.replace(operation, run=run)
