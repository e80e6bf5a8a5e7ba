"""Documents as text: JSON and YAML, read with bounds and written.

A tree is what JSON can say: mappings with keys of text, lists, texts, numbers, booleans, None.  YAML is put together
here from its events and not by PyYAML's own constructors, because those call themselves at every level and take
`2016-10-13` for a date, `on` for a boolean; only JSON's types are recognized, as by AWS's parser.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from cumulo.base.errors import AwsError

Tree = Any

DOCUMENT_BYTES_MAX: Final = 6 * 1024 * 1024
DEPTH_MAX: Final = 100
NODES_MAX: Final = 500_000
ALIASES_MAX: Final = 50

_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,3999})")
_FLOAT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,3999})(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?")
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUES: Final = frozenset({"true", "True", "TRUE"})
_FALSES: Final = frozenset({"false", "False", "FALSE"})
_CORE: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(_CORE + name for name in ("str", "int", "float", "bool", "null", "map", "seq"))


def invalid(why: str = "") -> AwsError:
    """What AWS says of a document that is none."""
    return AwsError("BadRequestException", f"Invalid OpenAPI input.{' ' if why else ''}{why}")


def read(body: bytes) -> dict[str, Tree]:
    """The document in a body.  BadRequestException for what is no document, and for what is too much of one."""
    if len(body) > DOCUMENT_BYTES_MAX:
        raise invalid(f"The document exceeds the limit of {DOCUMENT_BYTES_MAX // 1024 // 1024} MB.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid("The document is not UTF-8.") from None
    tree = _json(text) if text.lstrip().startswith("{") else None
    if tree is None:
        tree = _yaml(text)
    if not isinstance(tree, dict):
        raise invalid("The document is not an object.")
    _check_bounds(tree)
    return tree


def write(tree: Tree, *, yaml: bool) -> bytes:
    """A document as text, with its members in the order in which they are."""
    if not yaml:
        return msgspec.json.format(msgspec.json.encode(tree), indent=2)
    import yaml as pyyaml  # type: ignore[import-untyped]

    plain = _without_shared(tree)  # else the same mapping in two places becomes an anchor and an alias
    text: str = pyyaml.dump(plain, Dumper=_dumper(pyyaml), sort_keys=False, allow_unicode=True, width=120)
    return b"---\n" + text.encode()


def _dumper(pyyaml: Any) -> Any:
    """Writes every text in quotes: "1.0" is no number, "on" is no boolean, whoever reads it."""

    class Dumper(getattr(pyyaml, "CSafeDumper", pyyaml.SafeDumper)):  # type: ignore[misc]
        pass

    Dumper.add_representer(
        str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    )
    return Dumper


def _json(text: str) -> Tree:
    """The tree, or None when this is no JSON (but maybe YAML that begins with a brace)."""
    try:
        tree = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:
            json.dumps(tree, ensure_ascii=False).encode()  # half a surrogate pair is no text
        return tree
    except RecursionError:
        raise invalid(f"The document is nested more than {DEPTH_MAX} deep.") from None
    except UnicodeEncodeError:
        raise invalid("A text is not Unicode.") from None
    except ValueError:
        return None


def _refuse_constant(name: str) -> Tree:
    raise invalid(f"{name} is not a number.")


def _without_shared(tree: Tree) -> Tree:
    if isinstance(tree, dict):
        return {name: _without_shared(one) for name, one in tree.items()}
    return [_without_shared(one) for one in tree] if isinstance(tree, list | tuple) else tree


def _check_bounds(tree: Tree) -> None:
    """Refuse a tree that is too deep or too big once what is shared in it is written out."""
    level: list[Tree] = [tree]
    count = 0
    for _ in range(DEPTH_MAX):
        count += len(level)
        if count > NODES_MAX:
            raise invalid(f"The document has more than {NODES_MAX} values.")
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            raise invalid("A number is too large.")
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise invalid(f"The document is nested more than {DEPTH_MAX} deep.")


def _inside(value: Tree) -> Iterable[Tree]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


# -- YAML ------------------------------------------------------------------------------------------------------


def _yaml(text: str) -> Tree:
    import yaml as pyyaml

    loader = getattr(pyyaml, "CSafeLoader", pyyaml.SafeLoader)
    building = _Building()
    try:
        for event in pyyaml.parse(text, Loader=loader):
            building.take(event, pyyaml)
    except pyyaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise invalid(f"{getattr(error, 'problem', None) or 'It is neither JSON nor YAML'}{where}.") from None
    except RecursionError:
        raise invalid(f"The document is nested more than {DEPTH_MAX} deep.") from None
    return building.tree


class _Building:
    """Puts a tree together from events; the path to where it is lies in a list, not on Python's stack."""

    def __init__(self) -> None:
        self.tree: Tree = None
        self._open: list[tuple[Tree, str | None]] = []  # a container, and the anchor that names it
        self._keys: list[
            Tree
        ] = []  # of each open container the key that waits for its value; _NO_KEY when none does
        self._anchors: dict[str, Tree] = {}
        self._documents = self._aliases = self._nodes = 0

    def take(self, event: Any, pyyaml: Any) -> None:
        """One event.  BadRequestException at the bounds."""
        if isinstance(event, pyyaml.ScalarEvent):
            value = event.value if self._at_key() else _scalar(event)
            self._name(event.anchor, value)
            self._place(value)
        elif isinstance(event, pyyaml.MappingStartEvent):
            self._begin({}, event)
        elif isinstance(event, pyyaml.SequenceStartEvent):
            self._begin([], event)
        elif isinstance(event, pyyaml.MappingEndEvent | pyyaml.SequenceEndEvent):
            self._end()
        elif isinstance(event, pyyaml.AliasEvent):
            self._alias(event.anchor)
        elif isinstance(event, pyyaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise invalid("There is more than one document.")

    def _begin(self, container: Tree, event: Any) -> None:
        _check_tag(event.tag)
        if len(self._open) >= DEPTH_MAX:
            raise invalid(f"The document is nested more than {DEPTH_MAX} deep.")
        self._open.append((container, event.anchor))
        self._keys.append(_NO_KEY)

    def _end(self) -> None:
        container, anchor = self._open.pop()
        self._keys.pop()
        self._name(anchor, container)  # only now: an alias within would be a cycle
        self._place(container)

    def _alias(self, anchor: str) -> None:
        self._aliases += 1
        if self._aliases > ALIASES_MAX:
            raise invalid(f"The document has more than {ALIASES_MAX} aliases.")
        if anchor not in self._anchors:
            raise invalid("There is an alias of something that is not there yet.")
        self._place(self._anchors[anchor])

    def _at_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1][0], dict) and self._keys[-1] is _NO_KEY

    def _name(self, anchor: str | None, value: Tree) -> None:
        if anchor is not None:
            self._anchors[anchor] = value

    def _place(self, value: Tree) -> None:
        self._nodes += 1
        if self._nodes > 2 * NODES_MAX:  # keys count here too
            raise invalid(f"The document has more than {NODES_MAX} values.")
        if not self._open:
            self.tree = value
            return
        container, _ = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif self._keys[-1] is _NO_KEY:
            self._keys[-1] = _key(value)
        else:
            container[self._keys[-1]] = value
            self._keys[-1] = _NO_KEY


_NO_KEY: Final = object()


def _key(value: Tree) -> str:
    if isinstance(value, dict | list):
        raise invalid("A key is an object or an array.")
    return value if isinstance(value, str) else json.dumps(value)


def _scalar(event: Any) -> Tree:
    text: str = event.value
    if event.tag not in (None, "!"):
        _check_tag(event.tag)
        if event.tag == _CORE + "str":
            return text
    elif not event.implicit[0]:
        return text
    if text in _NULLS:
        return None
    if text in _TRUES or text in _FALSES:
        return text in _TRUES
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _check_tag(tag: str | None) -> None:
    if tag not in (None, "!") and tag not in _TAGS:
        raise invalid(f"The tag {tag} is not supported.")
