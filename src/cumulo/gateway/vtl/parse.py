r"""Reads a template: text, references and directives, white space as Velocity 1.7 treats it.

A directive with parentheses takes the blanks and the line's end behind it along, so do #else and #end;
blanks before #set go when nothing else is between them and what came before.  What is no reference and no
directive is text.  API Gateway reads #macro but never calls it, and prints #foo(...) as it is written.
"""

import re

from cumulo.gateway.vtl.cursor import Cursor, Misread
from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.expressions import REFERENCE_START, Expressions
from cumulo.gateway.vtl.limits import TEMPLATE_CHARACTERS_MAX
from cumulo.gateway.vtl.syntax import (
    Block,
    Break,
    Define,
    Expression,
    Foreach,
    If,
    Print,
    Set,
    Statement,
    Stop,
    Text,
)

_SPECIAL = re.compile(r"\\*[$#]")
_SET = re.compile(r"#(?:set|\{set\}) *\(")
_BLANKS_BEFORE_SET = re.compile(r"[ \t]+(?=#(?:set|\{set\}) *\()")
_DIRECTIVE = re.compile(r"#(?:([A-Za-z_@][A-Za-z0-9_@]*)|\{([A-Za-z_][A-Za-z0-9_@]*)\})")
_LINE_COMMENT = re.compile(r"##[^\r\n]*(?:\r\n|\n|\r)?")
_PARENTHESIS = re.compile(r"[ \t\r\n]*\(")
_IN = re.compile(r"[ \t\r\n]+in(?=[^A-Za-z0-9_])")
_BARE_WORD = re.compile(r"[A-Za-z_@][A-Za-z0-9_@]*")
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_CLOSERS = {"end", "else", "elseif"}
_KNOWN = {
    "if",
    "elseif",
    "else",
    "end",
    "set",
    "foreach",
    "define",
    "macro",
    "break",
    "stop",
    "include",
    "parse",
}


def parse_template(text: str) -> Block:
    """The template as statements; a TemplateError says what is wrong with it, and where."""
    if len(text) > TEMPLATE_CHARACTERS_MAX:
        raise TemplateError(f"A template is longer than {TEMPLATE_CHARACTERS_MAX} characters")
    try:
        return Parser(Cursor(text), whole=True).parse()
    except Misread as error:
        raise error.at(text, error.offset) from None
    except RecursionError:
        raise TemplateError("A template is nested too deeply") from None


def _inner(text: str, base: int, depth: int) -> Block:
    return Parser(Cursor(text, base, depth), whole=False).parse()


class Parser:
    """One text being read; `whole` is a template, otherwise it is a string inside of one."""

    def __init__(self, cursor: Cursor, *, whole: bool) -> None:
        self._cursor = cursor
        self._whole = whole
        self._expressions = Expressions(cursor, _inner)
        self._found: list[Statement] = []
        self._closer_at = 0

    def parse(self) -> Block:
        """All of it."""
        block, closer = self._block()
        if closer:
            raise self._cursor.fail(f"#{closer} without a directive that it belongs to", self._closer_at)
        return block

    def _block(self) -> tuple[Block, str]:
        """Statements up to #end, #else or #elseif, which is passed and named; or up to the end."""
        self._cursor.deeper()
        outer, self._found = self._found, []
        closer = ""
        while not closer and self._cursor.at < len(self._cursor.text):
            closer = self._statement()
        found, self._found = self._found, outer
        self._cursor.shallower()
        return _joined(found), closer

    def _statement(self) -> str:
        """Read the next thing; the name of what closes the block, if it is that."""
        cursor = self._cursor
        cursor.match(_BLANKS_BEFORE_SET)
        special = _SPECIAL.search(cursor.text, cursor.at)
        if special is None:
            self._text(cursor.text[cursor.at :])
            cursor.at = len(cursor.text)
            return ""
        self._text(cursor.text[cursor.at : special.start()])
        slashes = special.end() - special.start() - 1
        cursor.at = special.end() - 1
        if special[0][-1] == "$":
            self._dollar(slashes)
            return ""
        return self._hash(slashes)

    def _text(self, text: str) -> None:
        if text:
            self._found.append(Text(text))

    def _literal(self, count: int, slashes: int = 0) -> None:
        """Print the next characters as they are."""
        cursor = self._cursor
        self._text("\\" * slashes + cursor.peek(count))
        cursor.at += count
        if self._whole and cursor.at >= len(cursor.text):
            # Velocity's reader cannot tell what this would have become; on AWS such a template answers 500.
            raise cursor.fail(f"A template cannot end with {cursor.text[-1]!r}", cursor.at - 1)

    def _dollar(self, slashes: int) -> None:
        cursor = self._cursor
        if REFERENCE_START.match(cursor.text, cursor.at) is None:
            self._literal(1, slashes)
            return
        at = cursor.here()
        reference = self._expressions.reference()
        if slashes % 2:
            self._text("\\" * (slashes // 2) + reference.source)
        else:
            self._found.append(Print(at, reference, "\\" * (slashes // 2)))

    def _hash(self, slashes: int) -> str:
        cursor = self._cursor
        found = _DIRECTIVE.match(cursor.text, cursor.at)
        name = (found[1] or found[2]) if found else ""
        if slashes % 2 and found is not None:
            self._text("\\" * (slashes // 2 if name in _KNOWN else slashes) + found[0])
            cursor.at = found.end()
            return ""
        if name in _KNOWN and name != "set":  # backslashes before #set are text: Velocity's oddity
            slashes //= 2
        if not slashes and self._comment():
            return ""
        if found is None:
            self._text("\\" * slashes)
            if not (slashes and self._comment()):
                self._literal(1)
            return ""
        self._text("\\" * slashes)
        return self._directive(name, found)

    def _comment(self) -> bool:
        cursor = self._cursor
        if cursor.match(_LINE_COMMENT):
            return True
        for opens, closes in (("#*", "*#"), ("#[[", "]]#")):
            if not cursor.text.startswith(opens, cursor.at):
                continue
            end = cursor.text.find(closes, cursor.at + len(opens))
            if end < 0:
                raise cursor.fail(f"{opens} is not closed by {closes}")
            if opens == "#[[":
                self._text(cursor.text[cursor.at + len(opens) : end])
            cursor.at = end + len(closes)
            return True
        return False

    def _directive(self, name: str, found: re.Match[str]) -> str:
        cursor = self._cursor
        at = cursor.here()
        if name == "set" and cursor.match(_SET):
            self._found.append(self._set(at))
            return ""
        cursor.at = found.end()
        if name in _CLOSERS:
            self._closer_at = found.start()
            if name != "elseif":
                cursor.rest_of_line()
            return name
        if name == "if":
            self._found.append(self._if(at))
        elif name == "break":
            self._optional_arguments()
            self._found.append(Break())
        elif name == "stop":
            self._optional_arguments()
            self._found.append(Stop())
        elif name in {"foreach", "define", "macro", "include", "parse"} and cursor.match(_PARENTHESIS):
            self._block_directive(name, at, found.start())
        else:
            self._unknown(name, found)
        return ""

    def _block_directive(self, name: str, at: int, start: int) -> None:
        if name == "foreach":
            self._found.append(self._foreach(at))
        elif name == "define":
            self._found.append(self._define(start))
        elif name == "macro":
            self._arguments()
            self._closed_block(start, name)  # API Gateway has no macros of one's own: read, and gone
        else:
            raise self._cursor.fail(
                f"API Gateway does not allow #{name}: there is nothing it could read", start
            )

    def _unknown(self, name: str, found: re.Match[str]) -> None:
        """Print a directive that nobody knows as it is written, arguments and all."""
        cursor = self._cursor
        if name.startswith("@"):
            raise cursor.fail(
                f"API Gateway does not allow #{name}: block macros do not exist there", found.start()
            )
        if cursor.match(_PARENTHESIS):
            self._arguments()
        self._text(cursor.text[found.start() : cursor.at])

    def _optional_arguments(self) -> None:
        if self._cursor.match(_PARENTHESIS):
            self._arguments()

    def _arguments(self) -> None:
        """Pass the arguments of a directive that does nothing with them."""
        cursor = self._cursor
        while True:
            cursor.match(_BETWEEN)
            if cursor.accept(")"):
                cursor.rest_of_line()
                return
            if not cursor.match(_BARE_WORD):
                self._expressions.parameter()

    def _close(self, what: str) -> None:
        self._cursor.space()
        self._cursor.expect(")", f"to close {what}")
        self._cursor.rest_of_line()

    def _set(self, at: int) -> Set:
        cursor = self._cursor
        cursor.space()
        target = self._expressions.reference()
        cursor.space()
        cursor.expect("=", "in #set")
        value = self._expressions.expression()
        self._close("#set")
        return Set(at, target, value)

    def _condition(self, name: str) -> Expression:
        if not self._cursor.match(_PARENTHESIS):
            raise self._cursor.fail(f"Expected '(' after #{name}")
        found = self._expressions.expression()
        self._close(f"#{name}")
        return found

    def _if(self, at: int) -> If:
        branches: list[tuple[Expression, Block]] = []
        closer, otherwise, start = "elseif", (), self._cursor.at
        name = "if"
        while closer == "elseif":
            condition = self._condition(name)
            block, closer = self._block()
            branches.append((condition, block))
            name = "elseif"
        found: Block = otherwise
        if closer == "else":
            found, closer = self._block()
        if closer != "end":
            message = f"#{closer} after #else" if closer else "#if without #end"
            raise self._cursor.fail(message, self._closer_at if closer else start)
        return If(at, tuple(branches), found)

    def _foreach(self, at: int) -> Foreach:
        cursor = self._cursor
        start = cursor.at
        cursor.space()
        name = self._plain_name("#foreach")
        if not cursor.match(_IN):
            raise cursor.fail("Expected 'in' in #foreach")
        items = self._expressions.parameter()
        self._close("#foreach")
        return Foreach(at, name, items, self._closed_block(start, "foreach"))

    def _define(self, start: int) -> Define:
        self._cursor.space()
        name = self._plain_name("#define")
        self._close("#define")
        return Define(name, self._closed_block(start, "define"))

    def _plain_name(self, where: str) -> str:
        at = self._cursor.at
        reference = self._expressions.reference()
        if reference.steps:
            raise self._cursor.fail(f"Expected a plain reference in {where}", at)
        return reference.name

    def _closed_block(self, start: int, name: str) -> Block:
        block, closer = self._block()
        if closer != "end":
            message = f"#{closer} inside #{name}" if closer else f"#{name} without #end"
            raise self._cursor.fail(message, self._closer_at if closer else start)
        return block


def _joined(found: list[Statement]) -> Block:
    """The statements, with texts that follow one another as one."""
    block: list[Statement] = []
    texts: list[str] = []
    for statement in found:
        if isinstance(statement, Text):
            texts.append(statement.text)
            continue
        if texts:
            block.append(Text("".join(texts)))
            texts = []
        block.append(statement)
    if texts:
        block.append(Text("".join(texts)))
    return tuple(block)
