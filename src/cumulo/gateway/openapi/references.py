"""`$ref` within a document: followed step by step, never beyond the document, never for ever."""

from collections.abc import Mapping
from typing import Final

from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.texts import Tree, invalid

STEPS_MAX: Final = 32


def pointer_of(parts: str) -> list[str]:
    """The names in a JSON pointer (`/components/schemas/Pet`)."""
    return [one.replace("~1", "/").replace("~0", "~") for one in parts.split("/")[1:]]


def resolved(root: Mapping[str, Tree], node: Tree, where: str, notes: Notes) -> Mapping[str, Tree]:
    """The object that a node is or refers to; empty (and a warning) when there is none.

    BadRequestException for references that lead back to themselves.
    """
    seen: set[str] = set()
    while isinstance(node, dict) and isinstance(node.get("$ref"), str):
        target: str = node["$ref"]
        if target in seen or len(seen) >= STEPS_MAX:
            raise invalid(f"The reference {target[:200]} leads back to itself.")
        seen.add(target)
        node = look_up(root, target)
        if node is None:
            notes.parse_issue(f"{where}.{target}", "is missing")
            return {}
    if isinstance(node, dict):
        return node
    notes.parse_issue(where, "is not of type `object`")
    return {}


def look_up(root: Mapping[str, Tree], target: str) -> Tree:
    """What a reference names within the document, or None."""
    if not target.startswith("#/"):
        return None
    found: Tree = root
    for name in pointer_of(target[1:]):
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name[:6]) < len(found):
            found = found[int(name[:6])]
        else:
            return None
    return found
