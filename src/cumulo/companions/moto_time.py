"""Lets time and chance be repeated inside the moto process.

moto keeps its state in memory only.  What it did can be done again to the letter when the same requests meet the
same clock and the same random numbers; so while a request that changes something runs, both are pinned.
`install` must run before moto is imported.
"""

import datetime as dt
import os
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
        self._here.at, self._here.source = at, mock_random.randbytes
        try:
            yield
        finally:
            self._here.at, self._here.source = None, None


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
