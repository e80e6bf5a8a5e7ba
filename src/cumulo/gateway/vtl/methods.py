"""Which methods values have: by the value's type, the method's name and the arguments' types, in a table.

Nothing of Python is ever looked up by a name out of a template.  What is not in the table does not exist,
and calling it gives null, as in Velocity.

    s text   i integer   n number   b boolean   l list   m map   v anything
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.values import is_number

# What it is called on, its arguments, and the rendering.
Function = Callable[[Any, Sequence[Any], State], Any]
Overloads = Sequence[tuple[str, Function]]
Methods = Mapping[str, Overloads]

_FITS: dict[str, Callable[[Any], bool]] = {
    "s": lambda value: type(value) is str,
    "i": lambda value: type(value) is int,
    "n": is_number,
    "b": lambda value: type(value) is bool,
    "l": lambda value: isinstance(value, list),
    "m": lambda value: isinstance(value, dict),
    "v": lambda _value: True,
}


def find(methods: Methods, name: str, arguments: Sequence[Any]) -> Function | None:
    """The method that takes these arguments."""
    count = len(arguments)
    for kinds, function in methods.get(name, ()):
        if len(kinds) == count and (not count or _fit(kinds, arguments)):
            return function
    return None


def _fit(kinds: str, arguments: Sequence[Any]) -> bool:
    for kind, argument in zip(kinds, arguments, strict=True):
        if kind != "v" and not _FITS[kind](argument):
            return False
    return True
