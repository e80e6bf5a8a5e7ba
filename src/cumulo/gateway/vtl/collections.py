"""The methods of java.util.List, Map and Map.Entry; keySet(), values() and the like give lists."""

from typing import Any

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.methods import Methods
from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.values import ArrayList, Entry, java_text, key_of, same


def get_at(items: list[Any], number: int) -> Any:
    """An element; Java's error beyond the ends."""
    if not 0 <= number < len(items):
        raise TemplateError(f"Index {number} is out of the range of a list of {len(items)} elements")
    return items[number]


def set_at(items: list[Any], number: int, value: Any, state: State) -> Any:
    """Replace an element; gives the old one."""
    state.nest(value)
    old = get_at(items, number)
    items[number] = value
    return old


def put(values: dict[Any, Any], key: Any, value: Any, state: State) -> Any:
    """Set a value; gives the old one."""
    state.nest(value)
    key = key_of(key)
    if key not in values:
        state.room(len(values) + 1)
    old = values.get(key)
    values[key] = value
    return old


def _find(items: Any, value: Any, state: State, *, last: bool = False) -> int:
    numbers = range(len(items) - 1, -1, -1) if last else range(len(items))
    state.charge(len(items) // 10 + 1)
    for number in numbers:
        if same(items[number], value, state.charge):
            return number
    return -1


def _add(items: Any, arguments: Any, state: State) -> bool:
    state.nest(arguments[0])
    state.room(len(items) + 1)
    items.append(arguments[0])
    return True


def _insert(items: Any, arguments: Any, state: State) -> str:
    state.nest(arguments[1])
    state.room(len(items) + 1)
    if not 0 <= arguments[0] <= len(items):
        raise TemplateError(f"Index {arguments[0]} is out of the range of a list of {len(items)} elements")
    state.charge(len(items) // 10)
    items.insert(arguments[0], arguments[1])
    return ""


def _add_all(items: Any, arguments: Any, state: State) -> bool:
    state.room(len(items) + len(arguments[0]))
    state.charge(len(arguments[0]))
    state.tangled = True
    items.extend(list(arguments[0]))
    return bool(arguments[0])


def _remove_at(items: Any, arguments: Any, state: State) -> Any:
    found = get_at(items, arguments[0])
    state.charge(len(items) // 10)
    del items[arguments[0]]
    return found


def _remove(items: Any, arguments: Any, state: State) -> bool:
    number = _find(items, arguments[0], state)
    if number >= 0:
        del items[number]
    return number >= 0


def _contains_all(items: Any, arguments: Any, state: State) -> bool:
    return all(_find(items, value, state) >= 0 for value in arguments[0])


def _sub_list(items: Any, arguments: Any, state: State) -> ArrayList:
    first, last = arguments
    if not 0 <= first <= last <= len(items):
        raise TemplateError(
            f"subList({first}, {last}) is out of the range of a list of {len(items)} elements"
        )
    state.charge(last - first)
    return ArrayList(items[first:last])


def _copy(items: Any, _arguments: Any, state: State) -> ArrayList:
    state.charge(len(items))
    return ArrayList(items)


def _clear(values: Any, _arguments: Any, _state: State) -> None:
    values.clear()


def _put_all(values: Any, arguments: Any, state: State) -> None:
    state.room(len(values) + len(arguments[0]))
    state.charge(len(arguments[0]))
    state.tangled = True
    values.update(dict(arguments[0]))


def _has_key(values: Any, arguments: Any, _state: State) -> bool:
    return not isinstance(arguments[0], (list, dict)) and key_of(arguments[0]) in values


def _get(values: Any, arguments: Any, state: State) -> Any:
    return values.get(arguments[0]) if _has_key(values, arguments, state) else None


def _pop(values: Any, arguments: Any, state: State) -> Any:
    return values.pop(arguments[0]) if _has_key(values, arguments, state) else None


def _get_or_default(values: Any, arguments: Any, state: State) -> Any:
    return values[arguments[0]] if _has_key(values, arguments, state) else arguments[1]


def _put_if_absent(values: Any, arguments: Any, state: State) -> Any:
    found = _get(values, arguments, state)
    if found is None:
        put(values, arguments[0], arguments[1], state)
    return found


def _has_value(values: Any, arguments: Any, state: State) -> bool:
    return _find(list(values.values()), arguments[0], state) >= 0


def _entries(values: Any, _arguments: Any, state: State) -> ArrayList:
    state.charge(len(values))
    return ArrayList(Entry(key, value) for key, value in values.items())


def _keys(values: Any, _arguments: Any, state: State) -> ArrayList:
    state.charge(len(values))
    return ArrayList(values)


def _values(values: Any, _arguments: Any, state: State) -> ArrayList:
    state.charge(len(values))
    return ArrayList(values.values())


def to_string(value: Any, _arguments: Any, state: State) -> str:
    """toString()."""
    return state.string(java_text(value, state.charge))


LIST: Methods = {
    "add": (("v", _add), ("iv", _insert)),
    "addAll": (("l", _add_all),),
    "clear": (("", _clear),),
    "clone": (("", _copy),),
    "contains": (("v", lambda items, given, state: _find(items, given[0], state) >= 0),),
    "containsAll": (("l", _contains_all),),
    "equals": (("v", lambda items, given, state: same(items, given[0], state.charge)),),
    "get": (("i", lambda items, given, _: get_at(items, given[0])),),
    "indexOf": (("v", lambda items, given, state: _find(items, given[0], state)),),
    "isEmpty": (("", lambda items, _, __: not items),),
    "lastIndexOf": (("v", lambda items, given, state: _find(items, given[0], state, last=True)),),
    "length": (("", lambda items, _, __: len(items)),),
    "remove": (("i", _remove_at), ("v", _remove)),
    "set": (("iv", lambda items, given, state: set_at(items, given[0], given[1], state)),),
    "size": (("", lambda items, _, __: len(items)),),
    "subList": (("ii", _sub_list),),
    "toArray": (("", _copy),),
    "toString": (("", to_string),),
}

MAP: Methods = {
    "clear": (("", _clear),),
    "containsKey": (("v", _has_key),),
    "containsValue": (("v", _has_value),),
    "entrySet": (("", _entries),),
    "equals": (("v", lambda values, given, state: same(values, given[0], state.charge)),),
    "get": (("v", _get),),
    "getOrDefault": (("vv", _get_or_default),),
    "isEmpty": (("", lambda values, _, __: not values),),
    "keySet": (("", _keys),),
    "put": (("vv", lambda values, given, state: put(values, given[0], given[1], state)),),
    "putAll": (("m", _put_all),),
    "putIfAbsent": (("vv", _put_if_absent),),
    "remove": (("v", _pop),),
    "size": (("", lambda values, _, __: len(values)),),
    "toString": (("", to_string),),
    "values": (("", _values),),
}

ENTRY: Methods = {
    "getKey": (("", lambda entry, _, __: entry.key),),
    "getValue": (("", lambda entry, _, __: entry.value),),
    "toString": (("", to_string),),
}
