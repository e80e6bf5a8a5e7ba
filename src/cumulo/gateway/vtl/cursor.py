"""Where the reading of a template is."""

import re

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.limits import NESTING_MAX

_SPACE = re.compile(r"[ \t\r\n]*")
_REST_OF_LINE = re.compile(r"[ \t]*(?:\r\n|\n|\r)")


class Cursor:
    """A place in a text; `base` is where that text begins in the template, for errors."""

    def __init__(self, text: str, base: int = 0, depth: int = 0) -> None:
        self.text = text
        self.at = 0
        self.base = base
        self.depth = depth

    def fail(self, message: str, at: int | None = None) -> "Misread":
        """The error to raise."""
        return Misread(message, self.base + (self.at if at is None else at))

    def here(self) -> int:
        """The place in the template."""
        return self.base + self.at

    def peek(self, count: int = 1) -> str:
        """The next characters; fewer at the end."""
        return self.text[self.at : self.at + count]

    def accept(self, text: str) -> bool:
        """Pass a text if it is next."""
        if not self.text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def expect(self, text: str, after: str) -> None:
        """Pass a text that must be next."""
        if not self.accept(text):
            found = self.peek()
            raise self.fail(
                f"Expected {text!r} {after}, found {found!r}" if found else f"Expected {text!r} {after}"
            )

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Pass what a pattern matches here."""
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def space(self) -> None:
        """Pass white space."""
        self.match(_SPACE)

    def rest_of_line(self) -> None:
        """Pass blanks and the line's end, if nothing else is on the line: directives leave no empty lines."""
        self.match(_REST_OF_LINE)

    def deeper(self) -> None:
        """Something begins inside of something."""
        self.depth += 1
        if self.depth > NESTING_MAX:
            raise self.fail(f"Nested more than {NESTING_MAX} levels deep")

    def shallower(self) -> None:
        """And ends."""
        self.depth -= 1


class Misread(TemplateError):
    """A syntax error at an offset; becomes a TemplateError with line and column."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset
