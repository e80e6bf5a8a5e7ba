"""One rendering: its variables, what it has written, and what it may still spend."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.gateway.java_regex.pattern import JavaPattern, PatternError
from cumulo.gateway.jsonpath.compile import compile_path
from cumulo.gateway.jsonpath.errors import JsonPathError
from cumulo.gateway.jsonpath.path import Path
from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.limits import (
    CHARACTERS_A_STEP,
    ELEMENTS_MAX,
    OUTPUT_CHARACTERS_MAX,
    PATHS_KEPT_MAX,
    PATTERNS_KEPT_MAX,
    STEPS_MAX,
    STRING_CHARACTERS_MAX,
)
from cumulo.gateway.vtl.scope import Scope

_NOTHING_READ: Any = object()


class Kept:
    """Paths and patterns that a template has used, compiled; kept from rendering to rendering."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}
        self._patterns: dict[str, JavaPattern] = {}

    def path(self, text: str) -> Path:
        """A JSONPath."""
        found = self._paths.get(text)
        if found is None:
            try:
                found = compile_path(text)
            except JsonPathError as error:
                raise TemplateError(f"Invalid JSONPath: {error}") from error
            if len(self._paths) >= PATHS_KEPT_MAX:
                self._paths.clear()
            self._paths[text] = found
        return found

    def pattern(self, text: str) -> JavaPattern:
        """A regular expression."""
        found = self._patterns.get(text)
        if found is None:
            try:
                found = JavaPattern(text)
            except PatternError as error:
                raise TemplateError(str(error)) from error
            if len(self._patterns) >= PATTERNS_KEPT_MAX:
                self._patterns.clear()
            self._patterns[text] = found
        return found


class State:
    """Of one rendering; `at` is the offset of the statement that runs."""

    __slots__ = (
        "_document",
        "at",
        "blocks",
        "defines",
        "kept",
        "out",
        "output",
        "scope",
        "size",
        "steps",
        "tangled",
        "variables",
    )

    def __init__(self, scope: Scope, kept: Kept, variables: dict[str, Any]) -> None:
        self.scope = scope
        self.kept = kept
        self.variables = variables
        self.output: list[str] = []
        self.out = self.output  # or, for a while, a text being made
        self.size = 0
        self.steps = STEPS_MAX
        self.at = 0
        self.defines = 0  # how many #define blocks are being rendered inside one another
        self.blocks: dict[int, int] = {}  # and which of them how often
        self.tangled = False  # whether the template put a list or map into another
        self._document: Any = _NOTHING_READ

    def charge(self, steps: int) -> None:
        """Spend."""
        self.steps -= steps
        if self.steps < 0:
            raise TemplateError(f"The template takes more than {STEPS_MAX} steps")

    def write(self, text: str) -> None:
        """Add to the output."""
        self.steps -= 1
        if self.steps < 0:
            self.charge(0)
        self.size += len(text)
        if self.size > OUTPUT_CHARACTERS_MAX:
            raise TemplateError(f"The template writes more than {OUTPUT_CHARACTERS_MAX} characters")
        self.out.append(text)

    def string(self, text: str) -> str:
        """A text that a template made, if it is not too long."""
        if len(text) > STRING_CHARACTERS_MAX:
            raise TemplateError(f"A string is longer than {STRING_CHARACTERS_MAX} characters")
        self.charge(len(text) // CHARACTERS_A_STEP)
        return text

    def room(self, elements: int) -> None:
        """A list or map is about to have this many elements."""
        if elements > ELEMENTS_MAX:
            raise TemplateError(f"A list or map has more than {ELEMENTS_MAX} elements")

    def nest(self, value: Any) -> None:
        """A value is put into a list or map."""
        if isinstance(value, (list, dict)):
            self.tangled = True

    def document(self) -> Any:
        """The body as JSON, read once: what a template changes in it stays changed.

        A body that does not look like JSON is one text, as API Gateway's lenient parser has it; none is `{}`.
        """
        if self._document is _NOTHING_READ:
            body = self.scope.body
            self.charge(len(body) // CHARACTERS_A_STEP)
            self._document = self.read_json(body, lenient=True) if body else {}
        return self._document

    def read_json(self, text: str | bytes, *, lenient: bool = False) -> Any:
        """JSON to plain data."""
        try:
            return msgspec.json.decode(text)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
            if lenient and plain.strip()[:1] not in {"{", "[", '"'}:
                return plain
            raise TemplateError(
                "The payload is not valid JSON" if lenient else "A text is not valid JSON"
            ) from error


def copy_of(value: Any) -> Any:
    """Maps and lists of one's own, so that nobody else's are changed."""
    if isinstance(value, Mapping):
        return {key: copy_of(one) if isinstance(one, (Mapping, list)) else one for key, one in value.items()}
    if isinstance(value, list):
        return [copy_of(one) for one in value]
    return value
