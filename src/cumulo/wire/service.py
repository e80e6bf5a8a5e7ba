"""How a service of ours says what it can do; the door asks nothing else of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from cumulo.base.caller import Caller

Values = dict[str, Any]
"""Members of an input or output shape by the names of the botocore model.

    string, enum   str          timestamp  float (seconds since the epoch)     blob  bytes
    integer, long  int          list       list                               map   dict
    double, float  float        structure  Values                             boolean  bool
    document       plain JSON   streaming blob in an answer: bytes or AsyncIterator[bytes]
    event stream in an answer: AsyncIterator of Values with one member each
Members that were not sent are absent; members that are None in an answer are left out.
"""

Stream = AsyncIterator[bytes]
Run = Callable[[Caller, Values], Awaitable[Values | None]]


class Coverage(StrEnum):
    """What docs/coverage.md says of an operation."""

    RUNS = "runs"  # does what AWS does
    STORED = "stored"  # keeps and shows what it was told; nothing acts on it
    REFUSED = "refused"  # answers with a clear error that names what is missing


class Operation(msgspec.Struct, frozen=True):
    """One AWS operation: who runs it, and what may be said of it."""

    run: Run
    coverage: Coverage = Coverage.RUNS
    note: str = ""


class Service(msgspec.Struct, frozen=True):
    """An AWS service of ours: `name` is botocore's (`lambda`, `logs`); operations by AWS's names.

    An operation of the model that is not in `operations` is answered 501 NotImplemented by the door.
    """

    name: str
    operations: Mapping[str, Operation]
