"""What goes wrong with a mapping template, and the two ways a template ends early."""


class TemplateError(Exception):
    """A template that cannot be read, or cannot be rendered; `message` is a sentence, `line` and `column` count from 1.

    Both are 0 where there is no place to point at.
    """

    def __init__(self, message: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(f"{message} (line {line}, column {column})" if line else message)
        self.message = message
        self.line = line
        self.column = column

    def at(self, text: str, offset: int) -> "TemplateError":
        """The same, pointing into the template's text."""
        offset = max(0, min(offset, len(text)))
        start = text.rfind("\n", 0, offset) + 1
        line, column = text.count("\n", 0, offset) + 1, offset - start + 1
        return TemplateError(self.message, line=line, column=column)


class Broken(Exception):
    """`#break`: leaves the loop (or, outside of loops, the template)."""


class Stopped(Exception):
    """`#stop`: the template ends here."""
