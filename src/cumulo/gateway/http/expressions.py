"""Values that HTTP APIs compute from a request or an answer: `$request.header.x`, `${context.stage}-1`, constants.  Pure.

text ──value_of, once──▶ Value ──of(Facts), every request──▶ str, or None where there is no such thing
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

BODY_BYTES_MAX: Final = 100 * 1024  # of a body that a JSON path is applied to: what is beyond is cut off

_WHOLE: Final = re.compile(r"\$(request|response|context|stageVariables)\.([^${}]+)")
_PART: Final = re.compile(r"\$\{(request|response|context|stageVariables)\.([^{}]*)\}")
_STEP: Final = re.compile(r"\.([A-Za-z0-9_$-]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_BODY: Final = re.compile(r"body(?:[.\[].*)?")

Pairs = Sequence[tuple[str, str]]
Step = str | int
Read = Callable[["Facts"], "str | None"]


class BadExpression(ValueError):
    """A text that is meant to be an expression and is none."""


class Facts:
    """What expressions read.  Header names are lower case; names of the query as they are, both decoded."""

    __slots__ = ("_json", "body", "context", "headers", "parameters", "path", "query", "response_body",
                 "response_headers", "variables")  # fmt: skip

    def __init__(
        self,
        *,
        headers: Pairs = (),
        query: Pairs = (),
        path: str = "",
        parameters: Mapping[str, str] | None = None,
        body: bytes = b"",
        context: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
        response_headers: Pairs = (),
        response_body: bytes = b"",
    ) -> None:
        self.headers = headers
        self.query = query
        self.path = path
        self.parameters = parameters or {}
        self.body = body
        self.context = context or {}
        self.variables = variables or {}
        self.response_headers = response_headers
        self.response_body = response_body
        self._json: dict[int, Any] = {}

    def json(self, body: bytes) -> Any:
        """A body as JSON, read once; None when it is none."""
        key = id(body)
        if key not in self._json:
            try:
                self._json[key] = msgspec.json.decode(body[:BODY_BYTES_MAX])
            except (msgspec.DecodeError, RecursionError):
                self._json[key] = None
        return self._json[key]


class Value:
    """A compiled text.  `reads_body`, `reads_response_body`: whether it wants that whole."""

    __slots__ = ("_reads", "headers", "reads_body", "reads_response_body", "text")

    def __init__(self, text: str, reads: "list[str | Read]", heads: list[tuple[str, str]]) -> None:
        self.text = text
        self._reads = reads
        self.headers = tuple(name[7:].lower() for _, name in heads if name.startswith("header."))
        self.reads_body = any(of == "request" and _BODY.fullmatch(name) for of, name in heads)
        self.reads_response_body = any(of == "response" and _BODY.fullmatch(name) for of, name in heads)

    def of(self, facts: Facts) -> str | None:
        """The value; parts of a text that are not there are nothing."""
        if len(self._reads) == 1:
            only = self._reads[0]
            return only if isinstance(only, str) else only(facts)
        return "".join(part if isinstance(part, str) else part(facts) or "" for part in self._reads)


def value_of(text: str) -> Value:
    """Compile a text: an expression, one with `${...}` in it, or a constant.  BadExpression."""
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        return Value(text, [_reader(whole[1], whole[2])], [(whole[1], whole[2])])
    if text.startswith(("$request.", "$response.", "$context.", "$stageVariables.")):
        raise BadExpression(text)
    reads: list[str | Read] = []
    heads: list[tuple[str, str]] = []
    at = 0
    for found in _PART.finditer(text):
        if found.start() > at:
            reads.append(text[at : found.start()])
        reads.append(_reader(found[1], found[2]))
        heads.append((found[1], found[2]))
        at = found.end()
    if at < len(text) or not reads:
        reads.append(text[at:])
    return Value(text, reads, heads)


def shown(value: Any) -> str | None:
    """How a JSON value is written into a header or a parameter."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def joined(pairs: Pairs, name: str) -> str | None:
    """The values of a name with commas between them; None when there is none."""
    found = [value for key, value in pairs if key == name]
    return ",".join(found) if found else None


def look_up(values: Mapping[str, Any], dotted: str) -> Any:
    """What lies at `a.b.c`: names with dots in them are found too, as claims may have such."""
    if dotted in values:
        return values[dotted]
    head, dot, rest = dotted.partition(".")
    while dot:
        inner = values.get(head)
        if isinstance(inner, Mapping):
            found = look_up(inner, rest)
            if found is not None:
                return found
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None


def steps_of(path: str) -> tuple[Step, ...]:
    """A JSON path behind the body: `.a.b[0]['c']`.  BadExpression for `..`, filters and all else."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise BadExpression(path)
        steps.append(int(found[2]) if found[2] is not None else found[1] or found[3] or found[4] or "")
        at = found.end()
    return tuple(steps)


def walk(value: Any, steps: Sequence[Step]) -> Any:
    """What lies there in JSON; None when nothing does."""
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return None
            value = value[step]
        else:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
    return value


def _reader(of: str, name: str) -> Read:
    if of == "context":
        return lambda facts: shown(look_up(facts.context, name))
    if of == "stageVariables":
        return lambda facts: facts.variables.get(name)
    read = _request_reader(name) if of == "request" else _response_reader(name)
    if read is None:
        raise BadExpression(f"${of}.{name}")
    return read


def _request_reader(name: str) -> Read | None:
    kind, _, rest = name.partition(".")
    if name == "path":
        return lambda facts: facts.path
    if name == "body":
        return lambda facts: facts.body.decode("utf-8", "replace")
    if _BODY.fullmatch(name):
        steps = steps_of(name[4:])
        return lambda facts: shown(walk(facts.json(facts.body), steps))
    if not rest:
        return None
    if kind == "header":
        lower = rest.lower()
        return lambda facts: joined(facts.headers, lower)
    if kind == "querystring":
        return lambda facts: joined(facts.query, rest)
    if kind == "path":
        return lambda facts: facts.parameters.get(rest)
    return None


def _response_reader(name: str) -> Read | None:
    kind, _, rest = name.partition(".")
    if name == "body":
        return lambda facts: facts.response_body.decode("utf-8", "replace")
    if _BODY.fullmatch(name):
        steps = steps_of(name[4:])
        return lambda facts: shown(walk(facts.json(facts.response_body), steps))
    if kind == "header" and rest:
        lower = rest.lower()
        return lambda facts: joined(facts.response_headers, lower)
    return None
