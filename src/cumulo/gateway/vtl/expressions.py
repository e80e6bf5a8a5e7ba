"""Reads what stands inside of directives, and references, by Velocity 1.7's grammar."""

import re
from collections.abc import Callable

from cumulo.gateway.vtl.cursor import Cursor
from cumulo.gateway.vtl.syntax import (
    Binary,
    Block,
    Call,
    Expression,
    Index,
    Interpolation,
    ListLiteral,
    Literal,
    MapLiteral,
    Not,
    Property,
    Range,
    Reference,
    Step,
    Text,
)

REFERENCE_START = re.compile(r"\$(!?)(\{?)([A-Za-z_][A-Za-z0-9_-]*)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_FLOAT = re.compile(
    r"-?(?:[0-9]+\.(?!\.)[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)"
)
_INTEGER = re.compile(r"-?[0-9]+")
_WORD = re.compile(r"(?:true|false|null)(?![A-Za-z0-9_])")
_OPERATOR = re.compile(r"\|\||&&|==|!=|<=|>=|[<>+\-*/%]|(?:or|and|eq|ne|lt|le|gt|ge)(?![A-Za-z0-9_])")
_NOT = re.compile(r"!(?!=)|not(?![A-Za-z0-9_])")
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_SIGNS = {
    "or": "||", "and": "&&", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_BINDS = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
}  # fmt: skip
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_DIGITS_MAX = 300

# Reads a text in double quotes as a template: what it says, where it begins, how deep it is nested.
Inner = Callable[[str, int, int], Block]


class Expressions:
    """Reads from a cursor that parses share."""

    def __init__(self, cursor: Cursor, inner: Inner) -> None:
        self._cursor = cursor
        self._inner = inner

    def expression(self, binds: int = 1) -> Expression:
        """Operators by their precedence, those of one precedence from left to right."""
        left = self._unary()
        while True:
            self._cursor.space()
            found = _OPERATOR.match(self._cursor.text, self._cursor.at)
            if found is None:
                return left
            sign = _SIGNS.get(found[0], found[0])
            if _BINDS[sign] < binds:
                return left
            self._cursor.at = found.end()
            left = Binary(sign, left, self.expression(_BINDS[sign] + 1))

    def _unary(self) -> Expression:
        cursor = self._cursor
        cursor.space()
        nots = 0
        while cursor.match(_NOT):
            nots += 1
            cursor.space()
        found = self._primary()
        # An even number of negations still makes a boolean of what it negates.
        for _ in range(nots if nots <= 2 else 1 + (nots + 1) % 2):
            found = Not(found)
        return found

    def _primary(self) -> Expression:
        cursor = self._cursor
        if not cursor.accept("("):
            return self.parameter()
        cursor.deeper()
        found = self.expression()
        cursor.space()
        cursor.expect(")", "to close a parenthesis")
        cursor.shallower()
        return found

    def parameter(self) -> Expression:
        """What may be an argument, an element or a key: no operators, as in Velocity."""
        cursor = self._cursor
        cursor.space()
        char = cursor.peek()
        if char == "$":
            return self.reference()
        if char in {'"', "'"}:
            return self._string(char)
        if char == "[":
            return self._list()
        if char == "{":
            return self._map()
        return self._plain()

    def _plain(self) -> Literal:
        cursor = self._cursor
        if found := cursor.match(_FLOAT):
            return Literal(float(found[0]))
        if found := cursor.match(_INTEGER):
            if len(found[0]) > _DIGITS_MAX:
                raise cursor.fail("A number has too many digits", found.start())
            return Literal(int(found[0]))
        if found := cursor.match(_WORD):
            return Literal(_WORDS[found[0]])
        rest = cursor.peek(12)
        raise cursor.fail(f"Expected a value, found {rest!r}" if rest else "Expected a value, found the end")

    def _string(self, quote: str) -> Expression:
        cursor = self._cursor
        start = cursor.at + 1
        end = self._end_of_string(quote, start)
        raw = cursor.text[start:end].replace(quote * 2, quote)
        cursor.at = end + 1
        if quote == "'":
            return Literal(raw)
        raw = _unescape(raw)
        if "$" not in raw and "#" not in raw:
            return Literal(raw)
        block = self._inner(raw, cursor.base + start, cursor.depth + 1)
        if not block:
            return Literal("")
        if len(block) == 1 and isinstance(block[0], Text):
            return Literal(block[0].text)
        return Interpolation(block)

    def _end_of_string(self, quote: str, start: int) -> int:
        """A quote ends the string; two of them are one, if the string goes on to another."""
        text = self._cursor.text
        at = text.find(quote, start)
        while at >= 0 and text.startswith(quote, at + 1) and (later := text.find(quote, at + 2)) >= 0:
            at = later
        if at < 0:
            raise self._cursor.fail("A string is not closed", start - 1)
        return at

    def _list(self) -> Expression:
        cursor = self._cursor
        cursor.at += 1
        cursor.deeper()
        cursor.space()
        items: list[Expression] = []
        if not cursor.accept("]"):
            items.append(self.parameter())
            cursor.space()
            if cursor.accept(".."):
                last = self.parameter()
                cursor.space()
                cursor.expect("]", "to close a range")
                cursor.shallower()
                return Range(items[0], last)
            while cursor.accept(","):
                items.append(self.parameter())
                cursor.space()
            cursor.expect("]", "to close a list")
        cursor.shallower()
        return ListLiteral(tuple(items))

    def _map(self) -> Expression:
        cursor = self._cursor
        cursor.at += 1
        cursor.deeper()
        cursor.space()
        pairs: list[tuple[Expression, Expression]] = []
        if not cursor.accept("}"):
            pairs.append(self._pair())
            while cursor.accept(","):
                pairs.append(self._pair())
            cursor.expect("}", "to close a map")
        cursor.shallower()
        return MapLiteral(tuple(pairs))

    def _pair(self) -> tuple[Expression, Expression]:
        key = self.parameter()
        self._cursor.space()
        self._cursor.expect(":", "after a map's key")
        value = self.parameter()
        self._cursor.space()
        return key, value

    def reference(self) -> Reference:
        """A reference that must be one."""
        cursor = self._cursor
        start = cursor.at
        found = cursor.match(REFERENCE_START)
        if found is None:
            raise cursor.fail("Expected a reference")
        cursor.deeper()
        steps: list[Step] = []
        while (step := self._step()) is not None:
            steps.append(step)
        if found[2]:
            cursor.expect("}", "to close a reference")
        cursor.shallower()
        return Reference(found[3], tuple(steps), cursor.text[start : cursor.at])

    def _step(self) -> Step | None:
        cursor = self._cursor
        if cursor.accept("["):
            key = self.parameter()
            cursor.space()
            cursor.expect("]", "to close an index")
            return Index(key)
        found = _NAME.match(cursor.text, cursor.at + 1) if cursor.peek() == "." else None
        if found is None:
            return None
        cursor.at = found.end()
        if cursor.accept("("):
            return Call(found[0], self._arguments())
        return Property(found[0])

    def _arguments(self) -> tuple[Expression, ...]:
        cursor = self._cursor
        cursor.space()
        arguments: list[Expression] = []
        if not cursor.accept(")"):
            arguments.append(self.parameter())
            cursor.space()
            while cursor.accept(","):
                arguments.append(self.parameter())
                cursor.space()
            cursor.expect(")", "to close a method's arguments")
        return tuple(arguments)


def _unescape(text: str) -> str:
    r"""\u0041 in double quotes; all other backslashes stay, as in Velocity."""
    if "\\u" not in text:
        return text
    text = _UNICODE.sub(lambda found: chr(int(found[1], 16)), text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
