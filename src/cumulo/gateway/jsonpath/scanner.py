"""Where the reading of a path is."""

import re

from cumulo.gateway.jsonpath.errors import JsonPathError

_SPACE = re.compile(r"\s*")
_DEPTH_MAX = 20


class Scanner:
    """A place in a path's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._depth = 0

    def fail(self, message: str) -> JsonPathError:
        """The error to raise."""
        return JsonPathError(f"{message} at character {self.at + 1} of the path {self.text[:200]!r}")

    def peek(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.at : self.at + 1]

    def accept(self, text: str) -> bool:
        """Pass a text if it is next."""
        if not self.text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def expect(self, text: str) -> None:
        """Pass a text that must be next."""
        if not self.accept(text):
            raise self.fail(f"Expected {text!r}")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Pass what a pattern matches here."""
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def space(self) -> None:
        """Pass white space."""
        self.match(_SPACE)

    def string(self) -> str:
        """A text in quotes; a backslash takes what follows as it is."""
        quote = self.peek()
        if quote not in {"'", '"'} or not quote:
            raise self.fail("Expected a text in quotes")
        return self.until(quote)

    def until(self, quote: str) -> str:
        """What is between two quotes (or slashes); backslashes before anything but quotes and themselves stay."""
        out: list[str] = []
        self.at += 1
        while (char := self.peek()) and char != quote:
            self.at += 1
            if char == "\\" and self.peek() in {quote, "\\"} and quote != "/":
                char = self.peek()
                self.at += 1
            elif char == "\\" and quote == "/":
                char += self.peek()
                self.at += 1
            out.append(char)
        self.expect(quote)
        return "".join(out)

    def deeper(self) -> None:
        """Something begins inside of something."""
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self.fail(f"Nested more than {_DEPTH_MAX} levels deep")

    def shallower(self) -> None:
        """And ends."""
        self._depth -= 1
