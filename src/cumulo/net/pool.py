"""Pools of backends: who gets the next request.  Pure: no socket, no clock but the one handed in.

up ──▶ down ──▶ up        a backend that is up gets requests; one that is down gets none, unless all are
any ──▶ draining          down (`fail_open`); one that drains gets no new ones, and finishes what it has
"""

import asyncio
import random
import ssl
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable
from enum import StrEnum
from hashlib import blake2b
from itertools import accumulate
from typing import Any, Final, Protocol

WEIGHT_LEAST: Final = 0.05  # of a backend's weight, at the beginning of its slow start


class Algorithm(StrEnum):
    """How a pool chooses."""

    ROUND_ROBIN = "round_robin"
    LEAST_OUTSTANDING = "least_outstanding"
    WEIGHTED_RANDOM = "weighted_random"


class Mark(StrEnum):
    """What a backend may be given."""

    UP = "up"
    DOWN = "down"
    DRAINING = "draining"


class Idle(Protocol):
    """A connection that waits for its next request."""

    def close(self) -> None:
        """Close it; it is not in the list any more."""
        ...


class Backend:
    """One address that answers; compared by identity.

    address    IPv4, IPv6 or a name that resolves
    tls        a context: the backend speaks TLS; None: plain text
    weight     its share beside the others'; 0: only when preferred, or alone
    key        whatever the caller knows it by
    in_flight  requests (or tunnels, TCP connections) that it is busy with
    failures   connections refused, timed out, or broken before an answer, since ever
    idle       connections to it that wait; kept by the fronts
    """

    __slots__ = (
        "address",
        "credit",
        "failures",
        "idle",
        "in_flight",
        "key",
        "mark",
        "port",
        "tls",
        "up_since",
        "weight",
    )

    def __init__(
        self,
        address: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        weight: float = 1.0,
        key: Hashable = None,
        mark: Mark = Mark.UP,
    ) -> None:
        assert weight >= 0, "weights are not negative"
        self.address = address
        self.port = port
        self.tls = tls
        self.weight = weight
        self.key = key
        self.mark = mark
        self.up_since: float | None = None
        self.in_flight = 0
        self.failures = 0
        self.credit = 0.0
        self.idle: list[Any] = []

    def __repr__(self) -> str:
        return f"<Backend {self.address}:{self.port} {self.mark} in_flight={self.in_flight}>"

    def close_idle(self) -> None:
        """Close the connections that wait."""
        waiting, self.idle = self.idle, []
        for connection in waiting:
            connection.close()


def ramp(seconds_up: float, slow_start_seconds: float) -> float:
    """The share of its weight that a backend gets so long after it came up: linear, from 0.05 to 1."""
    if slow_start_seconds <= 0 or seconds_up >= slow_start_seconds:
        return 1.0
    return max(WEIGHT_LEAST, seconds_up / slow_start_seconds)


class Pool:
    """Backends, and how to choose among them.

    algorithm           may be set anew at any time
    random              for WEIGHTED_RANDOM
    now                 monotonic seconds; asked only when `slow_start_seconds` is above 0
    slow_start_seconds  how long a backend that came up takes to its full weight; 0: no time
    fail_open           when none is up, all that are down count as up
    """

    def __init__(
        self,
        algorithm: Algorithm = Algorithm.ROUND_ROBIN,
        *,
        random: random.Random,
        now: Callable[[], float],
        slow_start_seconds: float = 0.0,
        fail_open: bool = True,
        name: str = "",
    ) -> None:
        self.name = name
        self.algorithm = algorithm
        self._random = random
        self._now = now
        self._slow_start_seconds = slow_start_seconds
        self._fail_open = fail_open
        self._backends: list[Backend] = []
        self._eligible: tuple[Backend, ...] = ()
        self._even = True
        self._ramped_until = float("-inf")
        self._turn = 0
        self._waiting: dict[Backend, list[asyncio.Future[None]]] = {}

    # Who is there

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All of them, in the order in which they came."""
        return tuple(self._backends)

    @property
    def eligible(self) -> tuple[Backend, ...]:
        """Those that may get the next request."""
        return self._eligible

    @property
    def in_flight(self) -> int:
        """Requests that backends of this pool are busy with."""
        return sum(backend.in_flight for backend in self._backends)

    def add(self, backend: Backend) -> None:
        """Add one; harmless when it is there."""
        if backend not in self._backends:
            self._backends.append(backend)
            if backend.mark is Mark.UP:
                self._came_up(backend)
            self._changed()

    def remove(self, backend: Backend) -> None:
        """Take one out, for good: it drains.  What it is busy with goes on; connections that wait are closed."""
        if backend in self._backends:
            self._backends.remove(backend)
        backend.mark = Mark.DRAINING
        self._changed()
        backend.close_idle()

    def mark(self, backend: Backend, mark: Mark) -> None:
        """Mark one up, down or draining."""
        if backend.mark is mark:
            return
        backend.mark = mark
        if mark is Mark.UP:
            self._came_up(backend)
        self._changed()

    def weigh(self, backend: Backend, weight: float) -> None:
        """Give one another weight."""
        assert weight >= 0, "weights are not negative"
        backend.weight = weight
        self._changed()

    def configure(self, *, slow_start_seconds: float | None = None, fail_open: bool | None = None) -> None:
        """Change how it chooses; None leaves a setting as it is."""
        if slow_start_seconds is not None:
            self._slow_start_seconds = slow_start_seconds
        if fail_open is not None:
            self._fail_open = fail_open
        self._changed()

    # Who is next

    def pick(self, preferred: Backend | None = None, exclude: Iterable[Backend] = ()) -> Backend | None:
        """The backend for the next request; None when there is none.

        `preferred` (for stickiness) is taken whenever it may get requests at all.  `exclude` has those that
        were tried in vain.
        """
        eligible = self._eligible
        if preferred is not None and preferred in eligible and preferred not in exclude:
            return preferred
        if exclude:
            eligible = tuple(backend for backend in eligible if backend not in exclude)
        if len(eligible) < 2:
            return eligible[0] if eligible else None
        if self.algorithm is Algorithm.LEAST_OUTSTANDING:
            return self._least(eligible)
        if self.algorithm is Algorithm.WEIGHTED_RANDOM:
            return self._weighted_random(eligible)
        if self._even and not self._ramping():
            self._turn += 1
            return eligible[self._turn % len(eligible)]
        return self._smooth(eligible)

    def pick_by(self, key: str) -> Backend | None:
        """The backend for a key (an address, a flow): always the same while it may be chosen at all.

        Backends that come or go change the choice only for the keys that they win or lose.
        """
        return max(self._eligible, key=lambda backend: _score(key, backend), default=None)

    def begin(self, backend: Backend) -> None:
        """A backend is given something to do."""
        backend.in_flight += 1

    def end(self, backend: Backend) -> None:
        """A backend has done one thing."""
        assert backend.in_flight > 0, "what ends has begun"
        backend.in_flight -= 1
        if not backend.in_flight and backend in self._waiting:
            for future in self._waiting.pop(backend):
                if not future.done():
                    future.set_result(None)

    async def drained(self, backend: Backend) -> None:
        """Wait until a backend is busy with nothing.  Cancel it, or put a time limit on it, at will."""
        while backend.in_flight:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(backend, []).append(future)
            try:
                await future
            finally:
                left = [other for other in self._waiting.get(backend, ()) if other is not future]
                if left:
                    self._waiting[backend] = left
                else:
                    self._waiting.pop(backend, None)

    def weight_of(self, backend: Backend) -> float:
        """What a backend weighs now: its weight, less while it starts slowly."""
        if self._slow_start_seconds <= 0 or backend.up_since is None:
            return backend.weight
        return backend.weight * ramp(self._now() - backend.up_since, self._slow_start_seconds)

    # How

    def _least(self, eligible: tuple[Backend, ...]) -> Backend:
        """The least busy for its weight; among equals each in its turn."""
        self._turn += 1
        start = self._turn % len(eligible)
        ramping = self._ramping()
        best, least = eligible[start], float("inf")
        for backend in (*eligible[start:], *eligible[:start]):
            weight = self.weight_of(backend) if ramping else backend.weight
            load = (backend.in_flight + 1) / weight if weight > 0 else float("inf")
            if load < least:
                best, least = backend, load
        return best

    def _weighted_random(self, eligible: tuple[Backend, ...]) -> Backend:
        sums = list(accumulate(map(self.weight_of, eligible)))
        if sums[-1] <= 0:
            return eligible[self._random.randrange(len(eligible))]
        at = bisect_right(sums, self._random.random() * sums[-1])
        return eligible[min(at, len(eligible) - 1)]

    def _smooth(self, eligible: tuple[Backend, ...]) -> Backend:
        """Weighted round robin whose turns are spread: each earns its weight, the richest pays for all."""
        best, total = eligible[0], 0.0
        for backend in eligible:
            weight = self.weight_of(backend)
            backend.credit += weight
            total += weight
            if backend.credit > best.credit:
                best = backend
        if total <= 0:
            self._turn += 1
            return eligible[self._turn % len(eligible)]
        best.credit -= total
        return best

    def _ramping(self) -> bool:
        return self._slow_start_seconds > 0 and self._now() < self._ramped_until

    def _came_up(self, backend: Backend) -> None:
        """Slow start is for those that join others, not for the first."""
        if self._slow_start_seconds <= 0:
            return
        others = any(other.mark is Mark.UP for other in self._backends if other is not backend)
        backend.up_since = self._now() if others else None
        if others:
            self._ramped_until = max(self._ramped_until, self._now() + self._slow_start_seconds)

    def _changed(self) -> None:
        up = tuple(backend for backend in self._backends if backend.mark is Mark.UP)
        if not up and self._fail_open:
            up = tuple(backend for backend in self._backends if backend.mark is Mark.DOWN)
        self._eligible = up
        self._even = len({backend.weight for backend in up}) <= 1
        for backend in up:
            backend.credit = 0.0


def _score(key: str, backend: Backend) -> int:
    text = f"{key}|{backend.address}|{backend.port}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
