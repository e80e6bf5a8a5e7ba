"""Who runs what, and what has to wait: every decision of the fleet.  Pure: no clock, no loop, no I/O.

a call       -> admit()            429, or it counts against a concurrency
admitted     -> choose()           which idle environment, or wait
waiting      -> launches_wanted()  how many environments to start for those who wait
a launch     -> make_room()        does the machine hold another, and who has to go for it
every second -> reap()             who was idle too long, or is too old
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

T = TypeVar("T")

REQUESTS_PER_ENVIRONMENT_S = 10.0  # AWS: ten times the concurrency is the bound of requests in a second
STARTS_BURST = 1000  # environments of one function that may start at once,
STARTS_PER_SECOND = 100.0  # and how quickly that allowance comes back: 1,000 in 10 s
SETTLING_YOUNG_S = 0.02  # a runtime that answered so recently is about to ask for the next call


class Reason(StrEnum):
    """Why a call is refused, as TooManyRequestsException names it."""

    CONCURRENCY = "ConcurrentInvocationLimitExceeded"
    RATE = "FunctionInvocationRateLimitExceeded"
    RESERVED_CONCURRENCY = "ReservedFunctionConcurrentInvocationLimitExceeded"
    RESERVED_RATE = "ReservedFunctionInvocationRateLimitExceeded"


class Bucket:
    """An allowance that refills steadily."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float, burst: float) -> None:
        self._left = burst
        self._at = now

    def take(self, now: float, rate: float, burst: float) -> bool:
        """One unit, if there is one."""
        left = min(burst, self._left + (now - self._at) * rate)
        self._at = now
        if left < 1.0:
            self._left = left
            return False
        self._left = left - 1.0
        return True

    def wait_s(self, rate: float) -> float:
        """How long until there is one again."""
        return max(0.0, (1.0 - self._left) / rate) if rate > 0 else 60.0


class Load(msgspec.Struct, frozen=True, gc=False):
    """What counts when a call asks to be admitted."""

    limit: int  # of the account in this region
    reserved_total: int  # the part of it that functions have reserved
    unreserved_used: int  # calls in flight of functions without a reservation
    reserved: int | None  # this function's reservation
    function_used: int  # its calls in flight


def admit(load: Load) -> Reason | None:
    """Why a call may not run now; None when it may."""
    if load.reserved is not None:
        return Reason.RESERVED_CONCURRENCY if load.function_used >= load.reserved else None
    free = load.limit - load.reserved_total - load.unreserved_used
    return Reason.CONCURRENCY if free <= 0 else None


def rate_limit(load: Load) -> tuple[float, Reason]:
    """Requests per second that hold for a call, and what to say beyond."""
    if load.reserved is not None:
        return load.reserved * REQUESTS_PER_ENVIRONMENT_S, Reason.RESERVED_RATE
    return load.limit * REQUESTS_PER_ENVIRONMENT_S, Reason.RATE


def choose(idle: Sequence[T], reset: Sequence[T]) -> T | None:
    """The environment for a call: the most recently used idle one, else one that was reset.

    Both are kept in order of use, the latest last.  The latest is the quickest (its memory is in the caches),
    and the others get old enough to be reaped.
    """
    if idle:
        return idle[-1]
    return reset[-1] if reset else None


def launches_wanted(*, waiting: int, starting: int, settling: int) -> int:
    """How many environments to start now: one for each waiting call that nothing else is coming for.

    `settling` counts the environments that answered a moment ago.  Starting a sandbox for a call that arrives
    in that moment would end with a sandbox too many for each of them.
    """
    return max(0, waiting - starting - settling)


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine can hold."""

    memory_mib: int = 64 * 1024  # sum of the memory sizes of all environments
    environments: int = 2000
    launching: int = 16  # environments that are being started at the same moment


class Occupant(NamedTuple):
    """An idle environment, as `make_room` and `reap` see it."""

    key: str
    memory_mib: int
    used_at: float
    born_at: float = 0.0
    expires_in: float = float("inf")


class Room(NamedTuple):
    """`fits`: start it now.  Else `evict` these, and try again when something has ended."""

    fits: bool
    evict: tuple[str, ...] = ()


def make_room(
    *,
    need_mib: int,
    capacity: Capacity,
    used_mib: int,
    count: int,
    leaving_mib: int,
    leaving: int,
    idle: Iterable[Occupant],
) -> Room:
    """Whether another environment fits; if not, which idle ones have to go, the least recently used first.

    `used_mib` and `count` include those that are already leaving.
    """
    if used_mib + need_mib <= capacity.memory_mib and count < capacity.environments:
        return Room(fits=True)
    missing_mib = used_mib - leaving_mib + need_mib - capacity.memory_mib
    missing = count - leaving + 1 - capacity.environments
    chosen: list[str] = []
    for occupant in sorted(idle, key=lambda o: o.used_at):
        if missing_mib <= 0 and missing <= 0:
            break
        chosen.append(occupant.key)
        missing_mib -= occupant.memory_mib
        missing -= 1
    if missing_mib > 0 or missing > 0:
        return Room(fits=False)  # not even all of them would do: leave them be
    return Room(fits=False, evict=tuple(chosen))


def reap(
    idle: Iterable[Occupant], *, now: float, idle_seconds: float, age_seconds_max: float
) -> tuple[str, ...]:
    """Which idle environments have to end: unused for long, old, or with keys that expire soon."""
    return tuple(
        o.key
        for o in idle
        if now - o.used_at >= idle_seconds or now - o.born_at >= age_seconds_max or o.expires_in < 300.0
    )
