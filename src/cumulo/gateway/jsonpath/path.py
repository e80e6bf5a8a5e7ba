"""A compiled path."""

from collections.abc import Callable
from typing import Any

from cumulo.gateway.jsonpath.errors import JsonPathError
from cumulo.gateway.jsonpath.functions import MISSING, Function
from cumulo.gateway.jsonpath.selectors import Selector

STEPS_MAX = 1_000_000

Charge = Callable[[int], None]


class Path:
    """What `compile_path` makes.  `definite`: leads to one value at most; otherwise to a list of what it found."""

    __slots__ = ("_arguments", "_function", "_selectors", "definite")

    def __init__(
        self,
        selectors: tuple[Selector, ...],
        *,
        definite: bool,
        function: Function | None = None,
        arguments: list[int] | None = None,
    ) -> None:
        self._selectors = selectors
        self._function = function
        self._arguments = arguments or []
        self.definite = definite

    def read(self, document: Any, charge: Charge | None = None) -> Any:
        """What it leads to in a document, MISSING if a definite path leads nowhere.

        `charge` is told how many values were looked at, and may raise; without it JsonPathError is raised beyond
        STEPS_MAX of them.
        """
        return self.select(document, document, charge or _meter())

    def select(self, value: Any, root: Any, charge: Charge) -> Any:
        """The same from a value inside of a document."""
        here = [value]
        for selector in self._selectors:
            found: list[Any] = []
            charge(len(here))
            for one in here:
                selector(one, found, root, charge)
            here = found
            if not here:
                break
        result = (here[0] if here else MISSING) if self.definite else here
        if self._function is None or result is MISSING:
            return result
        charge(1)
        return self._function(result, self._arguments)


def _meter() -> Charge:
    left = STEPS_MAX

    def charge(steps: int) -> None:
        nonlocal left
        left -= steps
        if left < 0:
            raise JsonPathError(f"A path takes more than {STEPS_MAX} steps")

    return charge
