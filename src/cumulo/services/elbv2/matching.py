"""Which rule of a listener a request meets: the rules are compiled once into closures.  Pure.

Conditions of a rule must all hold, one value of each is enough.  `*` is any text, `?` any character, and a backslash
takes both their meaning.  Paths and methods are compared with their case, the rest without; paths and queries as they
were sent, still encoded.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from cumulo.services.elbv2.conditions import values_of
from cumulo.services.elbv2.model import Document, Rule

Holds = Callable[["Seen"], bool]
_TOKEN: Final = re.compile(r"\\([*?\\])|([*?])|([^*?\\]+|\\)", re.DOTALL)


class Seen(NamedTuple):
    """What conditions look at.  `host` has no port; header names are in small letters; `peer` is the client's address."""

    method: str
    host: str
    path: str
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    peer: str = "127.0.0.1"


class Matcher:
    """The rules of one listener."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        ordered = sorted((one for one in rules if not one.is_default), key=lambda one: one.priority)
        self._rules = [(_all_of([_condition(one) for one in rule.conditions]), rule) for rule in ordered]

    def first(self, seen: Seen) -> Rule | None:
        """The rule with the least priority that the request meets; None: the default."""
        for holds, rule in self._rules:
            if holds(seen):
                return rule
        return None


def wildcard(pattern: str) -> Callable[[str], bool]:
    """Whether a whole text fits a pattern with `*` and `?`.  Takes time in proportion to both lengths at most."""
    parts: list[list[str]] = [[]]
    for escaped, special, plain in _TOKEN.findall(pattern):
        if special == "*":
            parts.append([])
        elif special == "?":
            parts[-1].append(".")
        else:
            parts[-1].append(re.escape(escaped or plain))
    pieces = ["".join(part) for part in parts]
    if len(pieces) == 1:
        expression = pieces[0]
    else:
        # The earliest place for each piece is as good as any: so nothing is ever tried twice.
        middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece)
        expression = f"{pieces[0]}{middle}.*{pieces[-1]}"
    compiled = re.compile(expression, re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def _all_of(tests: Sequence[Holds]) -> Holds:
    if len(tests) == 1:
        return tests[0]
    return lambda seen: all(test(seen) for test in tests)


def _any_of(tests: Sequence[Callable[[str], bool]]) -> Callable[[str], bool]:
    if len(tests) == 1:
        return tests[0]
    return lambda text: any(test(text) for test in tests)


def _condition(condition: Document) -> Holds:
    field, values = condition["Field"], values_of(condition)
    if field == "path-pattern":
        fits = _any_of([wildcard(value) for value in values])
        return lambda seen: fits(seen.path)
    if field == "host-header":
        fits = _any_of([wildcard(value.lower()) for value in values])
        return lambda seen: fits(seen.host.lower())
    if field == "http-request-method":
        methods = frozenset(values)
        return lambda seen: seen.method in methods
    if field == "http-header":
        return _header(condition["HttpHeaderConfig"]["HttpHeaderName"].lower(), values)
    if field == "query-string":
        return _query(values)
    return _source(values)


def _header(name: str, values: Sequence[str]) -> Holds:
    fits = _any_of([wildcard(value.lower()) for value in values])
    return lambda seen: any(fits(value.lower()) for key, value in seen.headers if key == name)


def _query(values: Sequence[Document]) -> Holds:
    tests = [
        (wildcard(pair["Key"].lower()) if pair.get("Key") else None, wildcard(pair["Value"].lower()))
        for pair in values
    ]

    def holds(seen: Seen) -> bool:
        if not seen.query:
            return False
        pairs = [part.partition("=") for part in seen.query.lower().split("&")]
        return any(
            (key is None or key(name)) and value(text) for key, value in tests for name, _, text in pairs
        )

    return holds


def _source(values: Sequence[str]) -> Holds:
    blocks = [ipaddress.ip_network(value) for value in values]

    def holds(seen: Seen) -> bool:
        try:
            address = ipaddress.ip_address(seen.peer)
        except ValueError:
            return False
        return any(address in block for block in blocks)

    return holds
