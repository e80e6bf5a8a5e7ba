"""What happens to a queued event: when it runs, when again, when never.  Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

RETRY_DELAYS_S = (60.0, 120.0)  # after the first and the second error of the function
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 300.0

FunctionKey = tuple[str, str, str]  # account, region, name


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """AWS's defaults of a function's EventInvokeConfig."""

    age_seconds_max: float = 6 * 3600.0
    retries_max: int = 2


class Result(StrEnum):
    """How one attempt went."""

    OK = "ok"
    FUNCTION_ERROR = "function error"
    THROTTLED = "throttled"  # 429 or 5xx: not the function's doing
    ZERO_CONCURRENCY = "zero reserved concurrency"
    GONE = "gone"  # the function does not exist


class Condition(StrEnum):
    """Why an event is given up, as its record names it."""

    RETRIES_EXHAUSTED = "RetriesExhausted"
    AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_CONCURRENCY = "ZeroReservedConcurrency"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A queued event without its payload.  `attempts` counts errors of the function, `throttles` refusals in a row."""

    id: str
    function: FunctionKey
    qualifier: str | None
    request_id: str
    enqueued_at: float
    next_at: float
    attempts: int = 0
    throttles: int = 0


class Remove(NamedTuple):
    """It is over: it ran, or its function is gone."""


class Retry(NamedTuple):
    """Try again then."""

    next_at: float
    attempts: int
    throttles: int


class Discard(NamedTuple):
    """Give it up, and tell."""

    condition: Condition
    attempts: int


Verdict = Remove | Retry | Discard


def after(event: Event, result: Result, policy: Policy, now: float) -> Verdict:
    """What to do with an event after an attempt."""
    match result:
        case Result.OK | Result.GONE:
            return Remove()
        case Result.ZERO_CONCURRENCY:
            return Discard(Condition.ZERO_CONCURRENCY, event.attempts)
        case Result.FUNCTION_ERROR:
            attempts = event.attempts + 1
            if attempts > policy.retries_max:
                return Discard(Condition.RETRIES_EXHAUSTED, attempts)
            delay = RETRY_DELAYS_S[min(attempts, len(RETRY_DELAYS_S)) - 1]
            retry = Retry(now + delay, attempts, 0)
        case Result.THROTTLED:
            delay = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(event.throttles, 20))
            retry = Retry(now + delay, event.attempts, event.throttles + 1)
    if retry.next_at - event.enqueued_at > policy.age_seconds_max:
        return Discard(Condition.AGE_EXCEEDED, retry.attempts)
    return retry


def too_old(event: Event, policy: Policy, now: float) -> bool:
    """Whether it may not be tried any more."""
    return now - event.enqueued_at > policy.age_seconds_max


def share(
    functions: Iterable[FunctionKey], running: Mapping[FunctionKey, int], *, slots: int, per_function: int
) -> dict[FunctionKey, int]:
    """How many events each function may have started now: round robin, the least busy first."""
    total = slots - sum(running.values())
    shares: dict[FunctionKey, int] = {}
    queue = sorted(functions, key=lambda f: (running.get(f, 0), f))
    while total > 0 and queue:
        still: list[FunctionKey] = []
        for function in queue:
            if total <= 0:
                break
            if running.get(function, 0) + shares.get(function, 0) >= per_function:
                continue
            shares[function] = shares.get(function, 0) + 1
            total -= 1
            still.append(function)
        queue = still
    return shares
