"""Filter patterns over fields between spaces: `[ip, user, ..., status = 4*, bytes > 1000]`.  Pure."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from cumulo.services.logs.pattern_conditions import Condition, Reader, Scalar
from cumulo.services.logs.pattern_errors import InvalidPattern

FIELDS_MAX = 1024  # of a line; what follows is the last one's
_ELLIPSIS = "..."
_STOPS = ",&|()=!<>"
# A field is what stands between brackets or quotes, else a word.
_FIELD = re.compile(r'\[([^\]]{0,4096})\](?=\s|$)|"([^"]{0,4096})"(?=\s|$)|(\S+)')


class Field(msgspec.Struct, frozen=True):
    """One field of the pattern: its name (maybe empty) and alternatives of conditions that all must hold."""

    name: str
    alternatives: tuple[tuple[Condition, ...], ...] = ()

    def accepts(self, value: Scalar) -> bool:
        """Whether a field's value meets the conditions."""
        if not self.alternatives:
            return True
        return any(all(test(value) for test in tests) for tests in self.alternatives)


class Fields:
    """A compiled pattern over fields."""

    def __init__(self, before: Sequence[Field], after: Sequence[Field] | None) -> None:
        self._before = before
        self._after = after  # behind the ellipsis; None when there is none

    def test(self, message: str) -> bool:
        """Whether a line matches."""
        return self._pairs(message) is not None

    def extract(self, message: str) -> Mapping[str, str]:
        """The line's fields by `$name`, or `$number` where the pattern gives no name."""
        pairs = self._pairs(message) or []
        return {f"${field.name or i}": value for i, (field, value) in enumerate(pairs, 1)}

    def _pairs(self, message: str) -> list[tuple[Field, str]] | None:
        values = split_line(message)
        known = len(self._before) + len(self._after or ())
        spare = len(values) - known
        if spare < 0 or (self._after is None and spare):
            return None
        fields = [*self._before, *[Field("")] * spare, *(self._after or ())]
        pairs = list(zip(fields, values, strict=True))
        return pairs if all(field.accepts(value) for field, value in pairs) else None


def split_line(message: str) -> list[str]:
    """A line's fields."""
    values: list[str] = []
    for found in _FIELD.finditer(message):
        if len(values) == FIELDS_MAX:
            break
        values.append(found[1] if found[1] is not None else found[2] if found[2] is not None else found[3])
    return values


def compile_fields(text: str) -> Fields:
    """Compile what stands between the brackets."""
    reader = Reader(text)
    before: list[Field] = []
    after: list[Field] | None = None
    while True:
        if reader.take(_ELLIPSIS):
            if after is not None:
                raise InvalidPattern
            after = []
        else:
            (before if after is None else after).append(_field(reader))
        if reader.ended():
            return Fields(before, after)
        reader.need(",")


def _field(reader: Reader) -> Field:
    name = _name(reader)
    reader.skip()
    if reader.ended() or reader.text[reader.at] == ",":
        return Field(name)
    return Field(name, _alternatives(reader, name))


def _alternatives(reader: Reader, name: str) -> tuple[tuple[Condition, ...], ...]:
    """Conditions joined by && and ||, in parentheses or not; each may repeat the field's name."""
    found = [_conjunction(reader, name)]
    while reader.take("||"):
        _same_name(reader, name)
        found.append(_conjunction(reader, name))
    return tuple(found)


def _conjunction(reader: Reader, name: str) -> tuple[Condition, ...]:
    tests = [reader.condition(_STOPS)]
    while reader.take("&&"):
        _same_name(reader, name)
        tests.append(reader.condition(_STOPS))
    return tuple(tests)


def _same_name(reader: Reader, name: str) -> None:
    if _name(reader) not in ("", name):
        raise InvalidPattern  # one field's conditions cannot be about another


def _name(reader: Reader) -> str:
    name = reader.until(_STOPS)
    if name and not all(c.isalnum() or c in "_-.@" for c in name):
        raise InvalidPattern
    return name
