"""The values of templates: plain JSON-like data, how Java prints it, and what is equal to what.

    None, bool, int, float, str     themselves
    dict                            a LinkedHashMap, printed {a=1, b=x}
    list                            an array out of JSON, printed as JSON
    ArrayList                       a list that a template made, printed [1, x]

Everything else in a template (loops, $input, ...) is a Thing with methods in a table and no way to its attributes.
"""

import math
from collections.abc import Callable
from typing import Any

import msgspec

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.limits import (
    CHARACTERS_A_STEP,
    ELEMENTS_A_STEP,
    INTEGER_BITS_MAX,
    JSON_DEPTH_MAX,
    VALUE_DEPTH_MAX,
)

Charge = Callable[[int], None]

_NUMBERS = (int, float)


class ArrayList(list[Any]):
    """A list that a template made."""

    __slots__ = ()


class Thing:
    """Something that is no data."""

    __slots__ = ()


class Entry(Thing):
    """An entry of a map; printed k=v."""

    __slots__ = ("key", "value")

    def __init__(self, key: Any, value: Any) -> None:
        self.key = key
        self.value = value


def is_number(value: Any) -> bool:
    """Whether it is one of Java's numbers; booleans are none."""
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def java_text(value: Any, charge: Charge) -> str:
    """What Java's toString says; charges a step for each element."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return integer_text(value)
    if kind is float:
        return float_text(value)
    if value is None:
        return "null"
    if kind is list:
        return json_text(value, charge)
    out: list[str] = []
    _write(value, out, charge, VALUE_DEPTH_MAX)
    return "".join(out)


def _write(value: Any, out: list[str], charge: Charge, depth: int) -> None:
    if depth <= 0:
        raise TemplateError(f"A value is nested more than {VALUE_DEPTH_MAX} levels deep")
    kind = type(value)
    if kind is dict:
        charge(len(value) // ELEMENTS_A_STEP + 1)
        between = "{"
        for key, one in value.items():
            out.append(between)
            _write(key, out, charge, depth - 1)
            out.append("=")
            _write(one, out, charge, depth - 1)
            between = ", "
        out.append("}" if value else "{}")
    elif kind is ArrayList:
        charge(len(value) // ELEMENTS_A_STEP + 1)
        between = "["
        for one in value:
            out.append(between)
            _write(one, out, charge, depth - 1)
            between = ", "
        out.append("]" if value else "[]")
    elif kind is Entry:
        _write(value.key, out, charge, depth - 1)
        out.append("=")
        _write(value.value, out, charge, depth - 1)
    elif not isinstance(value, Thing):
        text = java_text(value, charge)
        if (
            len(text) >= CHARACTERS_A_STEP
        ):  # before it is copied: the same text may be in there a thousand times
            charge(len(text) // CHARACTERS_A_STEP)
        out.append(text)


def json_text(value: Any, charge: Charge, *, measured: bool = True) -> str:
    """A value as JSON without white space; `measured` unless it is known to be as large as it looks."""
    try:
        if measured:
            measure(value, charge)
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TemplateError("A value cannot be written as JSON") from error
    charge(len(text) // CHARACTERS_A_STEP)
    return text


def measure(value: Any, charge: Charge) -> None:
    """Charge for all that is in a value, before somebody walks through it who does not count.

    A list that holds itself, or the same list twice and so on, is longer than it looks.
    """
    level = [value]
    for _ in range(JSON_DEPTH_MAX):
        below: list[Any] = []
        for one in level:
            items = one.values() if isinstance(one, dict) else one if isinstance(one, list) else (one,)
            characters = 0
            for item in items:
                if isinstance(item, str):
                    characters += len(item)
                elif isinstance(item, (dict, list)):
                    below.append(item)
            charge(1 + len(items) // ELEMENTS_A_STEP + characters // CHARACTERS_A_STEP)
        if not below:
            return
        level = below
    raise TemplateError(f"A value is nested more than {JSON_DEPTH_MAX} levels deep")


def integer_text(value: int) -> str:
    """Decimal digits."""
    try:
        return str(value)
    except ValueError as error:
        raise TemplateError("A number has too many digits") from error


def float_text(value: float) -> str:
    """As Java writes a double: 1.0, 0.05, 1.0E10."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = repr(value)
    size = abs(value)
    if value == 0 or 1e-3 <= size < 1e7:
        return text
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    leading = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    power = int(exponent or 0) + len(whole) - 1 - leading
    digits = (whole + fraction).strip("0")
    return f"{'-' if value < 0 else ''}{digits[0]}.{digits[1:] or '0'}E{power}"


def same(left: Any, right: Any, charge: Charge, depth: int = VALUE_DEPTH_MAX) -> bool:
    """What Java's equals says: 1 is not 1.0, and lists and maps are compared by what they hold."""
    if left is right:
        return True
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return False
        _deeper(charge, len(left) + 1, depth)
        return all(same(one, other, charge, depth - 1) for one, other in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return False
        _deeper(charge, len(left) + 1, depth)
        return all(same(one, right[key], charge, depth - 1) for key, one in left.items())
    return type(left) is type(right) and not isinstance(left, Thing) and bool(left == right)


def _deeper(charge: Charge, steps: int, depth: int) -> None:
    charge(steps)
    if depth <= 0:
        raise TemplateError(f"A value is nested more than {VALUE_DEPTH_MAX} levels deep")


def bounded(value: int) -> int:
    """An integer that was calculated."""
    if value.bit_length() > INTEGER_BITS_MAX:
        raise TemplateError("A number has too many digits")
    return value


def key_of(value: Any) -> Any:
    """A value as a map's key."""
    if isinstance(value, (list, dict, Thing)):
        raise TemplateError("Only texts, numbers and booleans can be keys of a map")
    return value
