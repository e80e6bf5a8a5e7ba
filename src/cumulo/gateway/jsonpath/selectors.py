"""The parts of a path: each takes a value, and adds what it selects there to a list."""

from collections.abc import Callable, Iterator
from typing import Any

Charge = Callable[[int], None]
# From a value to what is found: the value, where to add, the whole document, and who counts.
Selector = Callable[[Any, list[Any], Any, Charge], None]
Test = Callable[[Any, Any, Charge], bool]

_MISSING = object()


def name(key: str) -> Selector:
    """`.key`"""

    def select(value: Any, found: list[Any], _root: Any, _charge: Charge) -> None:
        if isinstance(value, dict) and (one := value.get(key, _MISSING)) is not _MISSING:
            found.append(one)

    return select


def names(keys: tuple[str, ...]) -> Selector:
    """`['a', 'b']`, followed by more."""

    def select(value: Any, found: list[Any], _root: Any, _charge: Charge) -> None:
        if isinstance(value, dict):
            found.extend(value[key] for key in keys if key in value)

    return select


def merged(keys: tuple[str, ...]) -> Selector:
    """`['a', 'b']` at the end: an object of these."""

    def select(value: Any, found: list[Any], _root: Any, _charge: Charge) -> None:
        if isinstance(value, dict):
            found.append({key: value[key] for key in keys if key in value})

    return select


def indexes(numbers: tuple[int, ...]) -> Selector:
    """`[0]`, `[-1]`, `[0, 2]`."""

    def select(value: Any, found: list[Any], _root: Any, _charge: Charge) -> None:
        if isinstance(value, list):
            size = len(value)
            found.extend(value[number] for number in numbers if -size <= number < size)

    return select


def part(first: int | None, last: int | None) -> Selector:
    """`[1:3]`"""

    def select(value: Any, found: list[Any], _root: Any, charge: Charge) -> None:
        if isinstance(value, list):
            chosen = value[first:last]
            charge(len(chosen))
            found.extend(chosen)

    return select


def every(value: Any, found: list[Any], _root: Any, charge: Charge) -> None:
    """`*`"""
    if isinstance(value, dict):
        charge(len(value))
        found.extend(value.values())
    elif isinstance(value, list):
        charge(len(value))
        found.extend(value)


def those(test: Test) -> Selector:
    """`[?(...)]`: elements of a list, or an object itself."""

    def select(value: Any, found: list[Any], root: Any, charge: Charge) -> None:
        if isinstance(value, list):
            found.extend(one for one in value if test(one, root, charge))
        elif isinstance(value, dict) and test(value, root, charge):
            found.append(value)

    return select


def everywhere(inner: Selector) -> Selector:
    """`..`: the selector at a value and at all below it, parents first."""

    def select(value: Any, found: list[Any], root: Any, charge: Charge) -> None:
        for one in _descend(value, charge):
            inner(one, found, root, charge)

    return select


def _descend(value: Any, charge: Charge) -> Iterator[Any]:
    todo = [value]
    while todo:
        one = todo.pop()
        charge(1)
        yield one
        if isinstance(one, dict):
            todo.extend(item for item in reversed(one.values()) if isinstance(item, (dict, list)))
        elif isinstance(one, list):
            todo.extend(item for item in reversed(one) if isinstance(item, (dict, list)))
