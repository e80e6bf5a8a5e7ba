"""Values that are kept until a moment, in a bounded room."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Kept(Generic[KeyT, ValueT]):
    """Values by key, each until its own moment; those that were not asked for longest go when there are too many.

    count_max    values
    weight_max   the sum of what they weigh (bytes, where their size matters)
    """

    __slots__ = ("_count_max", "_values", "_weight", "_weight_max")

    def __init__(self, *, count_max: int, weight_max: int = 1 << 62) -> None:
        self._count_max = count_max
        self._weight_max = weight_max
        self._weight = 0
        self._values: OrderedDict[KeyT, tuple[ValueT, float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: KeyT, now: float) -> ValueT | None:
        """The value, unless its moment has come."""
        found = self._values.get(key)
        if found is None:
            return None
        if now >= found[1]:
            self.drop(key)
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: KeyT, value: ValueT, until: float, *, weight: int = 1) -> None:
        """Keep a value until then; one that is heavier than all may be together is not kept."""
        self.drop(key)
        if weight > self._weight_max:
            return
        self._values[key] = (value, until, weight)
        self._weight += weight
        while len(self._values) > self._count_max or self._weight > self._weight_max:
            self.drop(next(iter(self._values)))

    def drop(self, key: KeyT) -> None:
        """Forget a value; harmless when there is none."""
        gone = self._values.pop(key, None)
        if gone is not None:
            self._weight -= gone[2]

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._weight = 0
