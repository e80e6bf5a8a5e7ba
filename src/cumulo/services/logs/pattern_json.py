"""Filter patterns over JSON: `{ $.a.b = "x" && ($.n > 5 || $.list[0].id IS NULL) }`.  Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from cumulo.services.logs.pattern_conditions import DEPTH_MAX, Condition, Reader, text_of
from cumulo.services.logs.pattern_errors import InvalidPattern

VISITED_MAX = 10_000  # values that one wildcard selector looks at in a line
_STOPS = "&|()"
_NAME_STOPS = re.compile(r"[^\s.\[\]=!<>&|()\"'{},]+")
_ANY = object()  # a wildcard step
_MISSING = object()

Step = str | int | object
Expression = Callable[[Any], bool]

_decode = msgspec.json.Decoder().decode


class Json:
    """A compiled pattern over JSON."""

    def __init__(self, expression: Expression, selectors: Mapping[str, tuple[Step, ...]]) -> None:
        self._expression = expression
        self._selectors = selectors

    def test(self, message: str) -> bool:
        """Whether a line is JSON and matches."""
        found = _parsed(message)
        return found is not None and self._expression(found)

    def extract(self, message: str) -> Mapping[str, str]:
        """The line's values by the selectors that the pattern names."""
        root = _parsed(message)
        values = {name: next(_select(root, steps), None) for name, steps in self._selectors.items()}
        return {
            name: text_of(value) for name, value in values.items() if isinstance(value, (str, int, float))
        }


def compile_json(text: str) -> Json:
    """Compile what stands between the braces."""
    reader = Reader(text)
    selectors: dict[str, tuple[Step, ...]] = {}
    expression = _either(reader, selectors)
    if not reader.ended():
        raise InvalidPattern
    return Json(expression, selectors)


def _parsed(message: str) -> dict[str, Any] | None:
    if message.lstrip()[:1] != "{":
        return None
    try:
        found = _decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return found if isinstance(found, dict) else None


def _either(reader: Reader, selectors: dict[str, tuple[Step, ...]]) -> Expression:
    parts = [_both(reader, selectors)]
    while reader.take("||"):
        parts.append(_both(reader, selectors))
    return parts[0] if len(parts) == 1 else lambda root: any(part(root) for part in parts)


def _both(reader: Reader, selectors: dict[str, tuple[Step, ...]]) -> Expression:
    parts = [_one(reader, selectors)]
    while reader.take("&&"):
        parts.append(_one(reader, selectors))
    return parts[0] if len(parts) == 1 else lambda root: all(part(root) for part in parts)


def _one(reader: Reader, selectors: dict[str, tuple[Step, ...]]) -> Expression:
    if reader.take("("):
        reader.depth += 1
        if reader.depth > DEPTH_MAX:
            raise InvalidPattern
        inner = _either(reader, selectors)
        reader.need(")")
        reader.depth -= 1
        return inner
    reader.skip()
    start = reader.at
    steps = _selector(reader)
    selectors[reader.text[start : reader.at]] = steps
    return _predicate(reader, steps)


def _predicate(reader: Reader, steps: tuple[Step, ...]) -> Expression:
    reader.skip()
    words = reader.text[reader.at : reader.at + 16].upper().split()
    if words[:2] == ["NOT", "EXISTS"]:
        _pass_words(reader)
        return lambda root: next(_select(root, steps), _MISSING) is _MISSING
    if words[:1] == ["EXISTS"]:
        _pass_word(reader)
        return lambda root: next(_select(root, steps), _MISSING) is not _MISSING
    if words[:1] == ["IS"]:
        _pass_word(reader)
        return _is(steps, reader.until(_STOPS).upper())
    condition = reader.condition(_STOPS)
    return lambda root: any(_meets(value, condition) for value in _select(root, steps))


def _pass_word(reader: Reader) -> None:
    reader.until(_STOPS)


def _pass_words(reader: Reader) -> None:
    reader.until(_STOPS)
    reader.until(_STOPS)


def _is(steps: tuple[Step, ...], word: str) -> Expression:
    wanted = {"NULL": None, "TRUE": True, "FALSE": False}
    if word not in wanted:
        raise InvalidPattern
    value = wanted[word]
    return lambda root: any(found is value for found in _select(root, steps))


def _meets(value: Any, condition: Condition) -> bool:
    # Objects, arrays and null meet no condition, not even `!=`.
    return isinstance(value, (str, int, float)) and condition(value)


# -- selectors --------------------------------------------------------------------------------------------


def _selector(reader: Reader) -> tuple[Step, ...]:
    """`$` and its steps: `.name`, `.*`, `[0]`, `[*]`, `["any name"]`."""
    reader.need("$")
    steps: list[Step] = []
    while True:
        c = reader.text[reader.at : reader.at + 1]
        if c == ".":
            reader.at += 1
            if reader.text[reader.at : reader.at + 1] != "[":
                steps.append(_name_step(reader))
        elif c == "[":
            reader.at += 1
            steps.append(_bracket_step(reader))
        else:
            break
    if not steps or steps.count(_ANY) > 1:
        raise InvalidPattern
    return tuple(steps)


def _name_step(reader: Reader) -> Step:
    found = _NAME_STOPS.match(reader.text, reader.at)
    if found is None:
        raise InvalidPattern
    reader.at = found.end()
    return _ANY if found.group() == "*" else found.group()


def _bracket_step(reader: Reader) -> Step:
    for quote in ('"', "'"):
        if reader.take(quote):
            name = reader.quoted(quote)
            reader.need("]")
            return name
    word = reader.until("]")
    reader.need("]")
    if word == "*":
        return _ANY
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise InvalidPattern
    return int(word)


def _select(root: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    """The values that a selector points to."""
    values = [root]
    for step in steps:
        values = [inner for value in values for inner in _follow(value, step)][:VISITED_MAX]
        if not values:
            break
    return iter(values)


def _follow(value: Any, step: Step) -> list[Any]:
    if step is _ANY:
        if isinstance(value, list):
            return value
        return list(value.values()) if isinstance(value, dict) else []
    if isinstance(step, int):
        return [value[step]] if isinstance(value, list) and step < len(value) else []
    return [value[step]] if isinstance(value, dict) and step in value else []
