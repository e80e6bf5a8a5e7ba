"""What may stand at a path's end: `.length()`, `.sum()` and so on, over what the path found."""

import math
from collections.abc import Callable
from typing import Any

MISSING: Any = object()

Function = Callable[[Any, list[int]], Any]


def _length(value: Any, _arguments: list[int]) -> Any:
    return len(value) if isinstance(value, (list, dict, str)) else MISSING


def _keys(value: Any, _arguments: list[int]) -> Any:
    return list(value) if isinstance(value, dict) else MISSING


def _at(value: Any, arguments: list[int]) -> Any:
    number = arguments[0] if arguments else 0
    if isinstance(value, list) and -len(value) <= number < len(value):
        return value[number]
    return MISSING


def _first(value: Any, _arguments: list[int]) -> Any:
    return _at(value, [0])


def _last(value: Any, _arguments: list[int]) -> Any:
    return _at(value, [-1])


def _over_numbers(calculate: Callable[[list[float]], float]) -> Function:
    def function(value: Any, _arguments: list[int]) -> Any:
        items = value if isinstance(value, list) else []
        try:
            numbers = [
                float(one) for one in items if isinstance(one, (int, float)) and not isinstance(one, bool)
            ]
            return calculate(numbers) if numbers else MISSING
        except OverflowError:
            return MISSING

    return function


def _deviation(numbers: list[float]) -> float:
    mean = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in numbers) / len(numbers))


FUNCTIONS: dict[str, Function] = {
    "length": _length,
    "size": _length,
    "keys": _keys,
    "first": _first,
    "last": _last,
    "index": _at,
    "min": _over_numbers(min),
    "max": _over_numbers(max),
    "sum": _over_numbers(math.fsum),
    "avg": _over_numbers(lambda numbers: math.fsum(numbers) / len(numbers)),
    "stddev": _over_numbers(_deviation),
}
