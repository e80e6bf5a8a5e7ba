"""The operators of filters; what is not there compares with nothing."""

from collections.abc import Callable
from typing import Any

from cumulo.gateway.jsonpath.functions import MISSING
from cumulo.gateway.jsonpath.selectors import Charge

Compare = Callable[[Any, Any, Charge], bool]

_DEPTH_MAX = 100


def equal(left: Any, right: Any, charge: Charge, depth: int = _DEPTH_MAX) -> bool:
    """Numbers by value, all else by type and value: 1 is not '1', and true is not 1."""
    charge(1)
    if isinstance(left, (list, dict)) and isinstance(right, (list, dict)):
        if len(left) != len(right) or isinstance(left, list) != isinstance(right, list) or depth <= 0:
            return False
        if isinstance(left, list):
            return all(equal(a, b, charge, depth - 1) for a, b in zip(left, right, strict=True))
        return all(key in right and equal(one, right[key], charge, depth - 1) for key, one in left.items())
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left is not MISSING and right is not MISSING and bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Compare:
    def test(left: Any, right: Any, charge: Charge) -> bool:
        charge(1)
        numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (left, right))
        texts = isinstance(left, str) and isinstance(right, str)
        return (numbers or texts) and compare(left, right)

    return test


def _among(left: Any, right: Any, charge: Charge) -> bool:
    return isinstance(right, list) and any(equal(left, one, charge) for one in right)


def _share(left: Any, right: Any, charge: Charge) -> bool:
    return isinstance(left, list) and any(_among(one, right, charge) for one in left)


def _size(left: Any, right: Any, _charge: Charge) -> bool:
    expected = len(right) if isinstance(right, (list, str)) else right
    return isinstance(left, (list, str)) and not isinstance(expected, bool) and len(left) == expected


def _contains(left: Any, right: Any, charge: Charge) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return _among(right, left, charge)


OPERATORS: dict[str, Compare] = {
    "==": equal,
    "!=": lambda left, right, charge: not equal(left, right, charge),
    "<": _ordered(lambda left, right: bool(left < right)),
    "<=": _ordered(lambda left, right: bool(left <= right)),
    ">": _ordered(lambda left, right: bool(left > right)),
    ">=": _ordered(lambda left, right: bool(left >= right)),
    "in": _among,
    "nin": lambda left, right, charge: isinstance(right, list) and not _among(left, right, charge),
    "subsetof": lambda left, right, charge: isinstance(left, list) and all(_among(one, right, charge) for one in left),
    "anyof": _share,
    "noneof": lambda left, right, charge: not _share(left, right, charge),
    "size": _size,
    "empty": lambda left, right, _charge: isinstance(left, (list, str, dict)) and (not left) == (right is True),
    "contains": _contains,
}  # fmt: skip
