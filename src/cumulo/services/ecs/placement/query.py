"""The cluster query language: expressions that choose container instances.

    expression := conjunction { ("or" | "||") conjunction }
    conjunction := negation { ("and" | "&&") negation }
    negation := ("not" | "!") negation | "(" expression ")" | subject operator [argument]

An expression is compiled once into a function of an instance's facts.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

LENGTH_MAX: Final = 2000
DEPTH_MAX: Final = 32
_REPEATS_MAX: Final = 3

_WORDS: Final = {
    "==": "equals",
    "!=": "not_equals",
    ">": "greater_than",
    ">=": "greater_than_equal",
    "<": "less_than",
    "<=": "less_than_equal",
    "exists": "exists",
    "!exists": "not_exists",
    "in": "in",
    "!in": "not_in",
    "=~": "matches",
    "!~": "not_matches",
}
_OPERATOR: Final = re.compile(
    r"(?:==|!=|=~|!~|>=|<=|>|<"
    r"|(?:!exists|!in|not_exists|exists|not_equals|equals|greater_than_equal|greater_than|less_than_equal|less_than"
    r"|not_in|in|not_matches|matches)(?![A-Za-z0-9_]))"
)
_SUBJECT: Final = re.compile(r"(?:attribute:[\w./\\-]+|task:group|[A-Za-z0-9]+)")
_BARE: Final = re.compile(r"[^\s()\[\],&|!=<>'\"]+")
_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_SAME: Final = frozenset({"equals", "not_equals"})
_ORDER: Final = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
_SETS: Final = frozenset({"in", "not_in", "matches", "not_matches"})
_VALID: Final[Mapping[str, frozenset[str]]] = {
    "agentConnected": _SAME | _SETS,
    "agentVersion": _SAME | _ORDER,
    "ec2InstanceId": _SAME | _SETS,
    "registeredAt": _SAME | _ORDER,
    "runningTasksCount": _SAME | _ORDER,
    "task:group": _SAME | _SETS,
}


class QueryError(ValueError):
    """The text is no expression."""


class Facts(Protocol):
    """What an expression may ask of a container instance."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Value by name."""
        ...

    @property
    def agent_connected(self) -> bool:
        """Whether its agent can be reached."""
        ...

    @property
    def ec2_id(self) -> str:
        """The id of the EC2 instance."""
        ...

    @property
    def registered_at(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def running(self) -> int:
        """Its running tasks."""
        ...

    @property
    def groups(self) -> Mapping[str, int]:
        """How many tasks of each task group it has."""
        ...


Test = Callable[[Facts], bool]
_Value = str | float | tuple[int, ...]


def compile_query(text: str, *, agent_version: str) -> Test:
    """The expression as a function.  QueryError when it is none, or too long or too deep."""
    if len(text) > LENGTH_MAX:
        raise QueryError("too long")
    parser = _Parser(text, agent_version)
    test = parser.expression(0)
    parser.end()
    return test


class _Parser:
    def __init__(self, text: str, agent_version: str) -> None:
        self._text = text
        self._at = 0
        self._agent_version = agent_version

    def expression(self, depth: int) -> Test:
        parts = [self._conjunction(depth)]
        while self._word("or") or self._sign("||"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else lambda facts: any(part(facts) for part in parts)

    def end(self) -> None:
        self._blanks()
        if self._at < len(self._text):
            raise QueryError("something follows")

    def _conjunction(self, depth: int) -> Test:
        parts = [self._negation(depth)]
        while self._word("and") or self._sign("&&"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else lambda facts: all(part(facts) for part in parts)

    def _negation(self, depth: int) -> Test:
        if depth > DEPTH_MAX:
            raise QueryError("too deep")
        if self._word("not") or self._sign("!"):
            inner = self._negation(depth + 1)
            return lambda facts: not inner(facts)
        if self._sign("("):
            inner = self.expression(depth + 1)
            if not self._sign(")"):
                raise QueryError("a parenthesis is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        subject = self._take(_SUBJECT, "a subject is missing")
        written = self._take(_OPERATOR, "an operator is missing")
        operator = _WORDS.get(written, written)
        if not subject.startswith("attribute:") and operator not in _VALID.get(subject, ()):
            raise QueryError("the subject does not go with the operator")
        arguments = self._arguments(operator)
        positive = operator.removeprefix("not_")
        test = self._test(subject, positive, arguments)
        if operator == positive:
            return test
        if positive != "exists" and subject.startswith("attribute:"):
            # An instance without the attribute is not "unequal": only not_exists finds it.
            name = subject.removeprefix("attribute:")
            return lambda facts: name in facts.attributes and not test(facts)
        return lambda facts: not test(facts)

    def _arguments(self, operator: str) -> list[str]:
        if operator in {"exists", "not_exists"}:
            return []
        if operator in {"matches", "not_matches"}:
            return [self._pattern()]
        if operator not in {"in", "not_in"}:
            return [self._literal()]
        if not self._sign("["):
            raise QueryError("a list is missing")
        found = [self._literal()]
        while self._sign(","):
            found.append(self._literal())
        if not self._sign("]"):
            raise QueryError("a list is not closed")
        return found

    def _literal(self) -> str:
        self._blanks()
        quoted = _QUOTED.match(self._text, self._at)
        if quoted:
            self._at = quoted.end()
            return quoted[1] if quoted[1] is not None else quoted[2]
        return self._take(_BARE, "an argument is missing")

    def _pattern(self) -> str:
        """A regular expression: up to a blank, or a bracket that it has not opened itself."""
        self._blanks()
        quoted = _QUOTED.match(self._text, self._at)
        if quoted:
            self._at = quoted.end()
            return quoted[1] if quoted[1] is not None else quoted[2]
        start, depth = self._at, 0
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign.isspace() or (sign == ")" and depth == 0):
                break
            depth += (sign == "(") - (sign == ")")
            self._at += 1
        if self._at == start:
            raise QueryError("an argument is missing")
        return self._text[start : self._at]

    def _test(self, subject: str, operator: str, arguments: list[str]) -> Test:
        if subject == "task:group":
            wanted = _wanted(operator, arguments)
            return lambda facts: any(wanted(group) for group in facts.groups)
        if subject.startswith("attribute:"):
            return _attribute_test(subject.removeprefix("attribute:"), operator, arguments)
        if subject == "registeredAt":
            return _compared(lambda facts: facts.registered_at, operator, _date(arguments[0]))
        if subject == "runningTasksCount":
            return _compared(lambda facts: float(facts.running), operator, _number(arguments[0]))
        if subject == "agentVersion":
            version = _version(self._agent_version)
            return _compared(lambda _: version, operator, _version(arguments[0]))
        wanted = _wanted(operator, arguments)
        if subject == "agentConnected":
            return lambda facts: wanted("true" if facts.agent_connected else "false")
        return lambda facts: wanted(facts.ec2_id)

    def _blanks(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _take(self, form: re.Pattern[str], missing: str) -> str:
        self._blanks()
        found = form.match(self._text, self._at)
        if found is None:
            raise QueryError(missing)
        self._at = found.end()
        return found[0]

    def _sign(self, sign: str) -> bool:
        self._blanks()
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _word(self, word: str) -> bool:
        self._blanks()
        end = self._at + len(word)
        if self._text[self._at : end] != word:
            return False
        if end < len(self._text) and not (self._text[end].isspace() or self._text[end] == "("):
            return False
        self._at = end
        return True


def _attribute_test(name: str, operator: str, arguments: list[str]) -> Test:
    if operator == "exists":
        return lambda facts: name in facts.attributes
    holds = _ordered(operator, arguments[0]) if operator in _ORDER else _wanted(operator, arguments)

    def test(facts: Facts) -> bool:
        value = facts.attributes.get(name)
        return value is not None and holds(value)

    return test


def _wanted(operator: str, arguments: list[str]) -> Callable[[str], bool]:
    if operator == "matches":
        pattern = _tame(arguments[0])
        return lambda value: pattern.fullmatch(value) is not None
    among = frozenset(arguments)
    return lambda value: value in among


def _ordered(operator: str, argument: str) -> Callable[[str], bool]:
    """Numbers are compared as numbers when both are; everything else as text."""
    limit = _maybe_number(argument)

    def holds(value: str) -> bool:
        number = _maybe_number(value)
        if limit is not None and number is not None:
            return _holds(operator, number, limit)
        return _holds(operator, value, argument)

    return holds


def _compared(value_of: Callable[[Facts], _Value], operator: str, limit: _Value) -> Test:
    return lambda facts: _holds(operator, value_of(facts), limit)


def _holds(operator: str, value: _Value, limit: _Value) -> bool:
    if operator == "equals":
        return value == limit
    less = value < limit  # type: ignore[operator]  # both are of one kind
    return {
        "less_than": less,
        "less_than_equal": less or value == limit,
        "greater_than": not less and value != limit,
        "greater_than_equal": not less,
    }[operator]


def _maybe_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number(text: str) -> float:
    number = _maybe_number(text)
    if number is None:
        raise QueryError("a number is missing")
    return number


def _version(text: str) -> tuple[int, ...]:
    parts = text.removeprefix("v").split(".")
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise QueryError("a version is missing")
    return tuple(int(part) for part in parts)


def _date(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise QueryError("a date is missing") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _tame(pattern: str) -> re.Pattern[str]:
    """A pattern that cannot keep us busy for long.

    QueryError for what is none, repeats what repeats or chooses, or repeats too often.
    """
    repeats, restless = 0, [False]  # for every open group: whether it repeats or chooses
    position, after_group = 0, False
    while position < len(pattern):
        sign = pattern[position]
        group_ended, after_group = after_group, False
        if sign == "\\":
            position += 1
        elif sign == "[":
            position = _class_end(pattern, position)
        elif sign == "(":
            restless.append(False)
        elif sign == ")" and len(restless) > 1:
            after_group = restless.pop()
            restless[-1] = restless[-1] or after_group
        elif sign == "|":
            restless[-1] = True
        elif sign in "*+{":
            repeats += 1
            restless[-1] = True
            if group_ended or repeats > _REPEATS_MAX:
                raise QueryError("the pattern repeats too much")
        position += 1
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        raise QueryError("the pattern is none") from None


def _class_end(pattern: str, start: int) -> int:
    end = start + 1
    if pattern[end : end + 1] == "^":
        end += 1
    if pattern[end : end + 1] == "]":
        end += 1
    while end < len(pattern) and pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    return end
