"""Filter patterns: what FilterLogEvents, Live Tail and metric filters match lines with.  Pure.

    ERROR "a phrase" ?either ?or -not %regex%       terms in a line         (here)
    [ip, user, ..., status = 4*, bytes > 1000]      fields between spaces   (pattern_fields.py)
    { $.a.b = "x" && ($.n > 5 || $.z IS NULL) }     a line that is JSON     (pattern_json.py)

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from collections.abc import Mapping
from typing import Protocol

from cumulo.services.logs.pattern_errors import InvalidPattern
from cumulo.services.logs.pattern_fields import compile_fields
from cumulo.services.logs.pattern_json import compile_json
from cumulo.services.logs.pattern_regex import Regex

PATTERN_LENGTH_MAX = 1024
REGEXES_MAX = 2


class Pattern(Protocol):
    """A compiled filter pattern."""

    def test(self, message: str) -> bool:
        """Whether a line matches."""
        ...

    def extract(self, message: str) -> Mapping[str, str]:
        """The values that the pattern names, of a line that matches."""
        ...


def compile_pattern(text: str) -> Pattern:
    """Compile a filter pattern; InvalidParameterException when it is malformed."""
    text = text.strip()
    if len(text) > PATTERN_LENGTH_MAX:
        raise InvalidPattern
    if text.startswith("{"):
        if not text.endswith("}"):
            raise InvalidPattern("If a filter pattern starts with '{' it must end with '}'")
        return compile_json(text[1:-1])
    if text.startswith("["):
        if not text.endswith("]"):
            raise InvalidPattern("If a filter pattern starts with '[' it must end with ']'")
        return compile_fields(text[1:-1])
    return compile_terms(text)


class Everything:
    """The empty pattern: every line matches."""

    def test(self, message: str) -> bool:
        """Match."""
        del message
        return True

    def extract(self, message: str) -> Mapping[str, str]:
        """Name nothing."""
        del message
        return {}


class Terms:
    """Terms that a line must hold, may hold one of, or must not hold."""

    def __init__(
        self,
        required: tuple[str | Regex, ...],
        optional: tuple[str | Regex, ...],
        excluded: tuple[str | Regex, ...],
    ) -> None:
        self._required = required
        self._excluded = excluded
        # AWS ignores `?` terms that stand beside others.
        self._optional = () if required or excluded else optional

    def test(self, message: str) -> bool:
        """Whether a line matches."""
        for term in self._required:
            if not _holds(message, term):
                return False
        for term in self._excluded:
            if _holds(message, term):
                return False
        return not self._optional or any(_holds(message, term) for term in self._optional)

    def extract(self, message: str) -> Mapping[str, str]:
        """Name nothing: terms have no names."""
        del message
        return {}


def compile_terms(text: str) -> Pattern:
    """Compile a pattern of terms."""
    groups: dict[str, list[str | Regex]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        sign = text[at] if text[at] in "?-" else ""
        term, at = _term(text, at + len(sign))
        groups[sign].append(term)
    if not any(groups.values()):
        return Everything()
    if sum(isinstance(term, Regex) for terms in groups.values() for term in terms) > REGEXES_MAX:
        raise InvalidPattern
    return Terms(tuple(groups[""]), tuple(groups["?"]), tuple(groups["-"]))


def _holds(message: str, term: str | Regex) -> bool:
    return term in message if isinstance(term, str) else term.search(message)


def _term(text: str, at: int) -> tuple[str | Regex, int]:
    """The term that begins here, and where it ends."""
    if text[at : at + 1] == '"':
        return _phrase(text, at + 1)
    if text[at : at + 1] == "%":
        end = text.find("%", at + 1)
        if end < 0:
            raise InvalidPattern
        return Regex(text[at + 1 : end]), end + 1
    end = at
    while end < len(text) and not text[end].isspace():
        end += 1
    word = text[at:end]
    if not word or not all(c.isalnum() or c == "_" for c in word):
        raise InvalidPattern  # AWS wants every other character inside quotes
    return word, end


def _phrase(text: str, at: int) -> tuple[str, int]:
    """The phrase whose opening quote is behind us; a backslash keeps the next quote or backslash."""
    out: list[str] = []
    while at < len(text):
        c = text[at]
        if c == "\\" and text[at + 1 : at + 2] in ('"', "\\"):
            out.append(text[at + 1])
            at += 2
        elif c == '"':
            if not out or not (at + 1 == len(text) or text[at + 1].isspace()):
                raise InvalidPattern
            return "".join(out), at + 1
        else:
            out.append(c)
            at += 1
    raise InvalidPattern
