"""How values are read and changed by references: properties, indexes and methods, by the value's type."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cumulo.gateway.vtl import collections, numbers, strings, things
from cumulo.gateway.vtl.methods import Methods, find
from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.values import ArrayList, Entry

_NONE: Methods = {}

METHODS: Mapping[type, Methods] = {
    str: strings.STRING,
    int: numbers.INTEGER,
    float: numbers.FLOAT,
    bool: numbers.BOOLEAN,
    list: collections.LIST,
    ArrayList: collections.LIST,
    dict: collections.MAP,
    Entry: collections.ENTRY,
    things.Input: things.INPUT,
    things.Util: things.UTIL,
    things.Loop: things.LOOP,
}

_Property = Callable[[Any, State], Any]

_PROPERTIES: Mapping[type, Mapping[str, _Property]] = {
    str: {"empty": lambda text, _: not text},
    list: {"empty": lambda items, _: not items},
    ArrayList: {"empty": lambda items, _: not items},
    Entry: {"key": lambda entry, _: entry.key, "value": lambda entry, _: entry.value},
    things.Input: {"body": lambda _, state: things.body_text(state)},
    things.Loop: {
        "count": lambda loop, _: loop.index + 1,
        "first": lambda loop, _: loop.index == 0,
        "hasNext": lambda loop, _: loop.index + 1 < loop.size,
        "index": lambda loop, _: loop.index,
        "last": lambda loop, _: loop.index + 1 == loop.size,
        "parent": lambda loop, _: loop.parent,
        "topmost": lambda loop, _: loop.topmost(),
    },
}


def get_property(value: Any, name: str, state: State) -> Any:
    """`value.name`; None if there is none."""
    if type(value) is dict:
        return value.get(name)
    found = _PROPERTIES.get(type(value))
    function = found.get(name) if found is not None else None
    return function(value, state) if function is not None else None


def get_index(value: Any, key: Any, state: State) -> Any:
    """`value[key]`, which is get(key)."""
    if isinstance(value, list) and type(key) is int and key < 0:
        key += len(value)
    return call(value, "get", (key,), state)


def call(value: Any, name: str, arguments: Sequence[Any], state: State) -> Any:
    """`value.name(arguments)`; None if there is no such method."""
    function = find(METHODS.get(type(value), _NONE), name, arguments)
    return function(value, arguments, state) if function is not None else None


def set_property(value: Any, name: str, new: Any, state: State) -> None:
    """`#set($value.name = new)`; only maps can be changed so."""
    if type(value) is dict:
        collections.put(value, name, new, state)


def set_index(value: Any, key: Any, new: Any, state: State) -> None:
    """`#set($value[key] = new)`: set of lists, put of maps."""
    if type(value) is dict:
        collections.put(value, key, new, state)
    elif isinstance(value, list) and type(key) is int:
        collections.set_at(value, key + len(value) if key < 0 else key, new, state)
