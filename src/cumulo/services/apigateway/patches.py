"""Patch operations: which paths of a thing may be changed by which operation, as a table, and AWS's sentences for the others.

    {"op": "replace", "path": "/variables/a~1b", "value": "x"}   --Table.apply-->   a new record, or BadRequestException

Pure.  Operations are applied in their order to frozen records, so either all of them count or none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.apigateway import refusals
from cumulo.wire.service import Values

T = TypeVar("T")
Convert = Callable[[str], Any]

OPERATIONS_MAX: Final = 1_000  # a bound of ours: each may copy what it changes
ADD: Final = ("add",)
REPLACE: Final = ("replace",)
ADD_REMOVE: Final = ("add", "remove")
ALL: Final = ("add", "replace", "remove")


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """One operation whose path was found in a table.

    names    what stands for the path's placeholders, unescaped
    value    as sent; None: none was
    source   the segments of `from`, unescaped
    """

    op: str
    path: str
    names: Mapping[str, str] = {}
    value: str | None = None
    source: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The value, empty when none was sent."""
        return self.value or ""


class Field(msgspec.Struct, Generic[T], frozen=True):
    """A path (`/requestParameters/{name}`), the operations it knows, and how each changes a record.

    wrong_op   AWS's own sentence for other operations, where it has one
    """

    path: str
    ops: tuple[str, ...]
    change: Callable[[T, Patch], T]
    wrong_op: str = ""


class Table(Generic[T]):
    """The paths of a thing that can be patched.

    listed   whether AWS lists the paths when one is wrong ("Must be one of: [/a, /b]"), or only names it
    """

    def __init__(self, *fields: Field[T], listed: bool = False) -> None:
        self._fields = tuple((_template(field.path), field) for field in fields)
        self._listed = listed

    def apply(self, record: T, operations: Sequence[Values] | None) -> T:
        """The record after all operations.  AwsError for the first that cannot be."""
        for operation in bounded(operations):
            field, patch = self._find(operation)
            record = field.change(record, patch)
        return record

    def _find(self, operation: Values) -> tuple[Field[T], Patch]:
        op, path = operation.get("op", ""), operation.get("path")
        if path is None:
            raise refusals.bad_request("Invalid patch path null")
        segments = split(path)
        for template, field in self._fields:
            names = _match(template, segments)
            if names is None:
                continue
            if op not in field.ops:
                raise self._wrong_op(field, op, path)
            source = split(operation.get("from") or "")
            return field, Patch(op=op, path=path, names=names, value=operation.get("value"), source=source)
        raise self._wrong_path(op, path)

    def _wrong_op(self, field: Field[T], op: str, path: str) -> AwsError:
        if self._listed:
            return self._wrong_path(op, path)
        if field.wrong_op:
            return refusals.bad_request(field.wrong_op.format(path=path))
        known = ", ".join(field.ops)
        return refusals.bad_request(f"Invalid patch operation specified. Must be one of: [{known}]")

    def _wrong_path(self, op: str, path: str) -> AwsError:
        if not self._listed:
            return refusals.bad_request(f"Invalid patch path {path}")
        known = [field.path for _, field in self._fields if op in field.ops]
        rest = f"Must be one of: [{', '.join(known)}]" if known else "Please choose supported operations"
        return refusals.bad_request(f"Invalid patch path  '{path}' specified for op '{op}'. {rest}")


def bounded(operations: Sequence[Values] | None) -> Sequence[Values]:
    """A request's operations, none for None.  BadRequestException when they are too many."""
    if operations is not None and len(operations) > OPERATIONS_MAX:
        raise refusals.bad_request(f"A request can have at most {OPERATIONS_MAX} patch operations")
    return operations or ()


def split(path: str) -> tuple[str, ...]:
    """The segments of a JSON pointer, unescaped; an empty path has none."""
    if not path:
        return ()
    return tuple(unescape(part) for part in path.removeprefix("/").split("/"))


def unescape(segment: str) -> str:
    """A segment's text: ~1 is a slash, ~0 a tilde."""
    return segment.replace("~1", "/").replace("~0", "~")


def escape(text: str) -> str:
    """Text as a segment."""
    return text.replace("~", "~0").replace("/", "~1")


# -- fields of the usual shapes ----------------------------------------------------------------------------


def value(path: str, member: str, convert: Convert = str, ops: tuple[str, ...] = REPLACE) -> Field[Any]:
    """A member that is replaced as a whole; `remove` (where allowed) and no value put what `convert` makes of ''."""

    def change(record: Any, patch: Patch) -> Any:
        text = "" if patch.op == "remove" else patch.text
        return msgspec.structs.replace(record, **{member: convert(text)})

    return Field(path, ops, change)


def entry(
    path: str,
    member: str,
    convert: Convert = str,
    ops: tuple[str, ...] = ALL,
    *,
    missing: str = "",
) -> Field[Any]:
    """An entry of a mapping, the key being the path's placeholder.

    missing   AWS's sentence when an entry is replaced or removed that is not there; empty: nothing happens
    """

    def change(record: Any, patch: Patch) -> Any:
        (key,) = patch.names.values()
        have: dict[str, Any] = dict(getattr(record, member))
        if patch.op != "add" and missing and key not in have:
            raise refusals.not_found(missing)
        if patch.op == "remove":
            have.pop(key, None)
        else:
            have[key] = convert(patch.text)
        return msgspec.structs.replace(record, **{member: have})

    return Field(path, ops, change)


def members(path: str, member: str, ops: tuple[str, ...] = ADD_REMOVE) -> Field[Any]:
    """Values of a list: the operation's value is added, removed, or (replaced) the only one; commas part several."""

    def change(record: Any, patch: Patch) -> Any:
        given = [one.strip() for one in patch.text.split(",") if one.strip()]
        have = [] if patch.op == "replace" else list(getattr(record, member))
        if patch.op == "remove":
            have = [one for one in have if one not in given] if given else []
        else:
            have += [one for one in given if one not in have]
        return msgspec.structs.replace(record, **{member: tuple(have)})

    return Field(path, ops, change)


def member(path: str, name: str, ops: tuple[str, ...] = ADD_REMOVE) -> Field[Any]:
    """A value of a list that stands in the path; `replace` takes it away and puts the operation's value at the end."""

    def change(record: Any, patch: Patch) -> Any:
        (which,) = patch.names.values()
        have = [one for one in getattr(record, name) if one != which or patch.op == "add"]
        more = {"add": which, "replace": patch.text, "remove": ""}[patch.op]
        if more and more not in have:
            have.append(more)
        return msgspec.structs.replace(record, **{name: tuple(have)})

    return Field(path, ops, change)


def inside(name: str, field: Field[Any]) -> Field[Any]:
    """A field of the record that lies in a member of another."""

    def change(record: Any, patch: Patch) -> Any:
        return msgspec.structs.replace(record, **{name: field.change(getattr(record, name), patch)})

    return Field(field.path, field.ops, change, field.wrong_op)


def flag(text: str) -> bool:
    """A boolean as AWS reads it: everything but `true` is false."""
    return text.strip().lower() == "true"


def whole(text: str, sentence: str) -> int:
    """An integer.  BadRequestException with the sentence for what is none."""
    try:
        number = int(text)
    except ValueError:
        raise refusals.bad_request(sentence) from None
    if not -(1 << 63) <= number < 1 << 63:
        raise refusals.bad_request(sentence)
    return number


def number(text: str, sentence: str) -> float:
    """A number.  BadRequestException with the sentence for what is none."""
    try:
        found = float(text)
    except ValueError:
        raise refusals.bad_request(sentence) from None
    if found != found or found in (float("inf"), float("-inf")):  # noqa: PLR0124 - nan is not itself
        raise refusals.bad_request(sentence)
    return found


def _template(path: str) -> tuple[str, ...]:
    return tuple(path.removeprefix("/").split("/"))


def _match(template: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    names: dict[str, str] = {}
    for want, have in zip(template, segments, strict=True):
        if want.startswith("{"):
            if not have:
                return None
            names[want[1:-1]] = have
        elif want != have:
            return None
    return names
