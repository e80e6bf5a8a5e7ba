"""Looking into a tree of which nothing is known: the value when it is of the kind that is asked for, else a warning."""

from collections.abc import Mapping
from typing import Final

from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.texts import Tree

_NOTHING: Final[Mapping[str, Tree]] = {}


def object_at(node: Mapping[str, Tree], name: str, where: str, notes: Notes) -> Mapping[str, Tree]:
    """A member that is an object; empty when it is none or is not there."""
    value = node.get(name)
    if value is None:
        return _NOTHING
    if isinstance(value, dict):
        return value
    notes.parse_issue(_in(where, name), "is not of type `object`")
    return _NOTHING


def list_at(node: Mapping[str, Tree], name: str, where: str, notes: Notes) -> list[Tree]:
    """A member that is a list; empty when it is none or is not there."""
    value = node.get(name)
    if value is None or isinstance(value, list):
        return value or []
    notes.parse_issue(_in(where, name), "is not of type `array`")
    return []


def text_at(node: Mapping[str, Tree], name: str, where: str, notes: Notes) -> str:
    """A member that is a text (or a number, as YAML's `2.0`); empty when it is none or is not there."""
    value = node.get(name)
    if value is None:
        return ""
    text = as_text(value)
    if text is None:
        notes.parse_issue(_in(where, name), "is not of type `string`")
        return ""
    return text


def flag_at(node: Mapping[str, Tree], name: str, where: str, notes: Notes) -> bool | None:
    """A member that is a boolean, or None."""
    value = node.get(name)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    notes.parse_issue(_in(where, name), "is not of type `boolean`")
    return None


def number_at(node: Mapping[str, Tree], name: str, where: str, notes: Notes) -> int | None:
    """A member that is a whole number (or a text that is one), or None."""
    value = node.get(name)
    if value is None:
        return None
    number = _whole(value)
    if number is None:
        notes.parse_issue(_in(where, name), "is not of type `integer`")
    return number


def texts_at(node: Mapping[str, Tree], name: str, where: str, notes: Notes) -> tuple[str, ...]:
    """A member that is a list of texts, without those that are none."""
    found = []
    for number, value in enumerate(list_at(node, name, where, notes)):
        text = as_text(value)
        if text is None:
            notes.parse_issue(f"{_in(where, name)}[{number}]", "is not of type `string`")
        else:
            found.append(text)
    return tuple(found)


def as_text(value: Tree) -> str | None:
    """A text, or a number as a text; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _whole(value: Tree) -> int | None:
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    elif isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**31) <= value < 2**31 else None


def _in(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
