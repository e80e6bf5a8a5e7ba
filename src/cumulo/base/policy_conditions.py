"""Conditions of IAM policies: `{"StringLike": {"aws:SourceArn": ["..."]}}`, compiled.  Pure.

    [ForAllValues:|ForAnyValue:] operator [IfExists]        NotX is X, turned round

A key that a request lacks fails a condition, fulfils one that is turned round, and never fails ForAllValues or
IfExists.  Between the keys of a condition stands "and", between the values of a key "or".
"""

import base64
import binascii
import ipaddress
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from cumulo.base import policy_texts as texts
from cumulo.base.policy_texts import Keys, Known, Matches, Test

Holds = Callable[[Keys], bool]


class Fault(ValueError):
    """What is wrong, as a sentence."""


class _Over(Enum):
    """Which of a key's values must fit."""

    ALL = "ForAllValues:"
    ANY = "ForAnyValue:"


def compile_conditions(conditions: Any, *, variables: bool) -> tuple[Holds, ...]:
    """A statement's conditions, all of which must hold.  Fault."""
    if not isinstance(conditions, dict):
        raise Fault("A Condition must be an object")
    found: list[Holds] = []
    for name, keys in conditions.items():
        if not isinstance(keys, dict) or not keys:
            raise Fault(f"The condition {name} must have condition keys")
        found += [_compile(name, key, values, variables=variables) for key, values in keys.items()]
    return tuple(found)


def _compile(name: str, key: str, values: Any, *, variables: bool) -> Holds:
    over = next((one for one in _Over if name.startswith(one.value)), None)
    bare = name.removeprefix(over.value) if over else name
    wanted = [_value(name, one) for one in (values if isinstance(values, list) else [values])]
    if bare == "Null":
        return _null(key.lower(), wanted)
    if_exists = bare.endswith("IfExists")
    bare = bare.removesuffix("IfExists")
    negated = bare in _NEGATED
    make = _TEXTS.get(_NEGATED.get(bare, bare))
    if make is not None:
        tests = [texts.test(one, make, variables=variables) for one in wanted]
    else:
        tests = [_typed(name, _NEGATED.get(bare, bare), one) for one in wanted]
    return _holds(key.lower(), tests, over=over, negated=negated, if_exists=if_exists)


def _holds(key: str, tests: Sequence[Test], *, over: _Over | None, negated: bool, if_exists: bool) -> Holds:
    missing = if_exists or over is _Over.ALL or (negated and over is None)
    every = over is _Over.ALL or (negated and over is None)

    def holds(keys: Keys) -> bool:
        found = keys.get(key)
        if found is None or (not found and not isinstance(found, str)):
            return missing
        values = (found,) if isinstance(found, str) else found
        fits = (any(test(value, keys) for test in tests) is not negated for value in values)
        return all(fits) if every else any(fits)

    return holds


def _null(key: str, wanted: Sequence[str]) -> Holds:
    absent = {_truth(one) for one in wanted}
    if None in absent:
        raise Fault("The condition Null takes true or false")
    return lambda keys: (keys.get(key) in (None, (), [])) in absent


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise Fault(f"A value of the condition {name} must be a text, a number or a truth value")


# -- texts -------------------------------------------------------------------------------------------------------


def _equal(known: Known) -> Matches:
    text = texts.plain(known)
    return lambda value: value == text


def _equal_but_case(known: Known) -> Matches:
    text = texts.plain(known).lower()
    return lambda value: value.lower() == text


_TEXTS: Mapping[str, Callable[[Known], Matches]] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _equal_but_case,
    "StringLike": texts.glob,
    "ArnEquals": texts.arn,
    "ArnLike": texts.arn,
}

# -- other types -------------------------------------------------------------------------------------------------


def _typed(name: str, bare: str, wanted: str) -> Test:
    """A test of values that are more than texts; one that cannot be read fits nothing."""
    found = _TYPED.get(bare)
    if found is None:
        raise Fault(f"The condition operator {name} is not known")
    read, compare = found
    bound = read(wanted)
    if bound is None:
        raise Fault(f"The value {wanted} does not suit the condition {name}")

    def fits(value: str, _keys: Keys) -> bool:
        mine = read(value)
        return mine is not None and compare(mine, bound)

    return fits


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> float | None:
    """Seconds since the epoch, of those or of ISO 8601's dates; without a zone it is UTC."""
    number = _number(text)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Of an address, only itself."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _inside(inner: Any, outer: Any) -> bool:
    return inner.version == outer.version and bool(inner.subnet_of(outer))


def _binary(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


_Typed = tuple[Callable[[str], Any], Callable[[Any, Any], bool]]


def _ordered(prefix: str, read: Callable[[str], Any]) -> dict[str, _Typed]:
    comparisons = {
        "Equals": operator.eq,
        "LessThan": operator.lt,
        "LessThanEquals": operator.le,
        "GreaterThan": operator.gt,
        "GreaterThanEquals": operator.ge,
    }
    return {prefix + name: (read, compare) for name, compare in comparisons.items()}


_TYPED: Mapping[str, _Typed] = {
    **_ordered("Numeric", _number),
    **_ordered("Date", _moment),
    "Bool": (_truth, operator.eq),
    "BinaryEquals": (_binary, operator.eq),
    "IpAddress": (_network, _inside),
}
_NEGATED: Mapping[str, str] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}
