"""What has to be looked at later: a bell for each thing, in the order of time."""

import heapq
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Wakes(Generic[Thing]):
    """Things by the second at which they are due; the same second: in the order of their coming."""

    def __init__(self) -> None:
        """Nothing is due."""
        self._heap: list[tuple[float, int, Thing]] = []
        self._number = 0

    def add(self, at: float, thing: Thing) -> None:
        """Look at it then."""
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, thing))

    def due(self, now: float) -> list[Thing]:
        """What is due; it is forgotten here."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            found.append(heapq.heappop(self._heap)[2])
        return found

    def next_at(self) -> float | None:
        """When the next one is due."""
        return self._heap[0][0] if self._heap else None
