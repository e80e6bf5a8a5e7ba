"""Arithmetic and comparisons of Velocity, and the methods of Java's numbers and booleans."""

import math
from typing import Any

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.methods import Function, Methods
from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.values import bounded, float_text, integer_text, is_number, java_text, same

_DIGITS_MAX = 300
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def calculate(sign: str, left: Any, right: Any) -> Any:
    """A sum and so on; None (and #set then sets nothing) where it is not defined."""
    if not is_number(left) or not is_number(right):
        return None
    if isinstance(left, float) or isinstance(right, float):
        return _floating(sign, _as_float(left), _as_float(right))
    if sign == "+":
        return bounded(left + right)
    if sign == "-":
        return bounded(left - right)
    if sign == "*":
        return bounded(left * right)
    if right == 0:
        return None
    whole = abs(left) // abs(right)
    whole = whole if (left < 0) == (right < 0) else -whole  # Java cuts off towards zero
    return whole if sign == "/" else left - whole * right


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _floating(sign: str, left: float, right: float) -> float | None:
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign == "*":
        return left * right
    if right == 0:
        return None
    if sign == "/":
        return left / right
    return math.nan if math.isinf(left) or math.isnan(left) else math.fmod(left, right)


def compare(sign: str, left: Any, right: Any) -> bool:
    """Smaller, greater and so on: of numbers; false for all else."""
    if not is_number(left) or not is_number(right):
        return False
    if sign == "<":
        return bool(left < right)
    if sign == "<=":
        return bool(left <= right)
    return bool(left > right) if sign == ">" else bool(left >= right)


def equal(left: Any, right: Any, state: State) -> bool:
    """Numbers by value, what is of one type by equals, all else by how it prints."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if left is None or right is None:
        return left is right
    if type(left) is type(right) or (isinstance(left, list) and isinstance(right, list)):
        return same(left, right, state.charge)
    return java_text(left, state.charge) == java_text(right, state.charge)


def _integer(text: str, radix: int) -> int:
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not (2 <= radix <= 36) or not digits.isascii() or not digits.isalnum() or len(digits) > _DIGITS_MAX:
        raise TemplateError(f"{text[:50]!r} is not an integer")
    try:
        return bounded(int(text, radix))
    except ValueError as error:
        raise TemplateError(f"{text[:50]!r} is not an integer") from error


def _parse_integer(_value: Any, arguments: Any, _state: State) -> int:
    return _integer(arguments[0], arguments[1] if len(arguments) > 1 else 10)


def _parse_float(_value: Any, arguments: Any, _state: State) -> float:
    text = arguments[0].strip()
    if not set(text) <= set("0123456789+-.eE") or len(text) > _DIGITS_MAX:
        raise TemplateError(f"{text[:50]!r} is not a number")
    try:
        return float(text)
    except ValueError as error:
        raise TemplateError(f"{text[:50]!r} is not a number") from error


def _whole(value: Any, _arguments: Any, _state: State) -> int:
    if isinstance(value, float) and not math.isfinite(value):
        return 0
    return bounded(int(value))


def _in_radix(value: Any, arguments: Any, _state: State) -> str:
    radix = arguments[0] if 2 <= arguments[0] <= 36 else 10
    rest, digits = abs(bounded(value)), ""
    while rest:
        rest, digit = divmod(rest, radix)
        digits = _DIGITS[digit] + digits
    return ("-" if value < 0 else "") + (digits or "0")


def _bits(radix: int) -> Function:
    """Without a sign, as of 32 bits."""

    def function(value: Any, arguments: Any, state: State) -> str:
        number = arguments[0] if arguments else value
        return _in_radix(number % (1 << 32) if number < 0 else number, [radix], state)

    return function


def _order(value: Any, arguments: Any, _state: State) -> int:
    return int(value > arguments[0]) - int(value < arguments[0])


def _text(value: Any, _arguments: Any, _state: State) -> str:
    return float_text(value) if isinstance(value, float) else integer_text(value)


def _equals(value: Any, arguments: Any, state: State) -> bool:
    return same(value, arguments[0], state.charge)


_NUMBER: Methods = {
    "compareTo": (("n", _order),),
    "doubleValue": (("", lambda value, _, __: _as_float(value)),),
    "equals": (("v", _equals),),
    "floatValue": (("", lambda value, _, __: _as_float(value)),),
    "intValue": (("", _whole),),
    "longValue": (("", _whole),),
    "max": (("nn", lambda _, given, __: max(given)),),
    "min": (("nn", lambda _, given, __: min(given)),),
}

INTEGER: Methods = {
    **_NUMBER,
    "hashCode": (("", lambda value, _, __: value),),
    "parseInt": (("s", _parse_integer), ("si", _parse_integer)),
    "parseLong": (("s", _parse_integer), ("si", _parse_integer)),
    "toBinaryString": (("", _bits(2)), ("i", _bits(2))),
    "toHexString": (("", _bits(16)), ("i", _bits(16))),
    "toString": (("", _text), ("i", lambda _, given, __: integer_text(given[0]))),
    "valueOf": (("s", _parse_integer), ("si", _parse_integer), ("i", lambda _, given, __: given[0])),
}

FLOAT: Methods = {
    **_NUMBER,
    "isInfinite": (("", lambda value, _, __: math.isinf(value)),),
    "isNaN": (("", lambda value, _, __: math.isnan(value)),),
    "parseDouble": (("s", _parse_float),),
    "parseFloat": (("s", _parse_float),),
    "toString": (("", _text), ("n", lambda _, given, __: float_text(_as_float(given[0])))),
    "valueOf": (("s", _parse_float), ("n", lambda _, given, __: _as_float(given[0]))),
}

BOOLEAN: Methods = {
    "booleanValue": (("", lambda value, _, __: value),),
    "compareTo": (("b", _order),),
    "equals": (("v", _equals),),
    "hashCode": (("", lambda value, _, __: 1231 if value else 1237),),
    "parseBoolean": (("s", lambda _, given, __: given[0].lower() == "true"),),
    "toString": (("", lambda value, _, __: "true" if value else "false"),),
    "valueOf": (
        ("s", lambda _, given, __: given[0].lower() == "true"),
        ("b", lambda _, given, __: given[0]),
    ),
}
