"""The last things that happened, for whoever wants to look at them: bounded, in memory, and cheap to add to."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The last `many`; what is older is forgotten."""

    def __init__(self, many: int) -> None:
        self._kept: deque[T] = deque(maxlen=many)
        self.add: Callable[[T], None] = self._kept.append  # itself, for it is called all the time

    def __iter__(self) -> Iterator[T]:
        """The latest first; it must be used up before the next await."""
        return reversed(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


class FunctionRun(NamedTuple):
    """One run of a function.

    trace        X-Amzn-Trace-Id, whole
    ended        seconds since the epoch, when its answer was there
    waited_ms    from the call's arrival until a runtime had it, the start of an environment included
    init_ms      how long the environment's initialisation took before this call, its first; None for later ones
    duration_ms  how long the run took
    error        empty, or what kind of error it ended with
    """

    request_id: str
    trace: str
    function: str
    ended: float
    waited_ms: float
    init_ms: float | None
    duration_ms: float
    error: str
