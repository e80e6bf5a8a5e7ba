"""Lets time and chance be repeated inside the moto process.

moto keeps its state in memory only.  What it did can be done again to the letter when the same requests meet the
same clock and the same random numbers; so while a request that changes something runs, both are pinned.
`install` must run before moto is imported.
"""

import datetime as dt
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime as RealDatetime  # noqa: N812 - what is replaced below
from typing import Any


class Pinned:
    """The clock and the chance of the process: the machine's, except in a thread that has pinned them."""

    def __init__(self) -> None:
        self._real_time = time.time  # noqa: TID251 - what is replaced below
        self._real_urandom = os.urandom
        self._here = threading.local()
        self.apart = False  # whether what others than moto draw has a chance of its own

    def time(self) -> float:
        """Seconds since the epoch."""
        at = getattr(self._here, "at", None)
        return self._real_time() if at is None else float(at)

    def urandom(self, size: int) -> bytes:
        """Random bytes; uuid4 draws on this too."""
        source = getattr(self._here, "source", None)
        return self._real_urandom(size) if source is None else bytes(source(size))

    @contextmanager
    def pin(self, at: float, seed: str) -> Iterator[None]:
        """Hold the clock still and seed the chance, in this thread."""
        from moto.moto_api._internal import mock_random

        mock_random.seed(seed)
        self._here.at, self._here.source = at, self._source(seed)
        try:
            yield
        finally:
            self._here.at, self._here.source = None, None

    def _source(self, seed: str) -> Callable[[int], bytes]:
        from moto.moto_api._internal import mock_random

        # Modules that are imported late draw numbers too; these must not shift what a request draws.
        return random.Random(f"{seed}:system").randbytes if self.apart else mock_random.randbytes

    @contextmanager
    def aside(self, seed: str) -> Iterator[None]:
        """Seed the chance anew for a while; what comes after goes on as if nothing had been drawn."""
        from moto.moto_api._internal import mock_random

        state = mock_random.getstate()
        source = getattr(self._here, "source", None)
        mock_random.seed(seed)
        self._here.source = self._source(seed)
        try:
            yield
        finally:
            mock_random.setstate(state)
            self._here.source = source


def seed_backends(pinned: Pinned, salt: str) -> None:
    """Make what a service has from the start (networks, images) the same whenever it comes into being.

    moto makes a region's state with the first request that touches it, also when that only reads and so is in no
    journal.
    """
    from moto.core.base_backend import AccountSpecificBackend

    pinned.apart = True
    real = AccountSpecificBackend.__getitem__

    def get(self: Any, region: str) -> Any:
        if ("aws" if region == "global" else region) in self.keys():
            return real(self, region)
        with pinned.aside(f"{salt}:{self.service_name}:{self.account_id}:{region}"):
            return real(self, region)

    setattr(AccountSpecificBackend, "__getitem__", get)  # noqa: B010


def install() -> Pinned:
    """Put a pinnable clock and chance in the place of the real ones."""
    pinned = Pinned()
    setattr(time, "time", pinned.time)  # noqa: B010 - said aloud: it is replaced
    setattr(os, "urandom", pinned.urandom)  # noqa: B010
    setattr(dt, "datetime", _datetime_on(pinned.time))  # noqa: B010
    return pinned


def _datetime_on(clock: Callable[[], float]) -> type[RealDatetime]:
    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, RealDatetime)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, RealDatetime)

    class PinnableDatetime(RealDatetime, metaclass=Meta):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(clock(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.fromtimestamp(clock(), dt.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.fromtimestamp(clock())

    return PinnableDatetime
