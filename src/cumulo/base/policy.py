"""IAM's policy documents: compiled once, asked often.  Pure.

    document ─compile_policy─▶ Policy ─decide(Question)─▶ ALLOW | EXPLICIT_DENY | IMPLICIT_DENY

A statement concerns a question when its action, its resource, its principal and all its conditions do; elements
that it does not have (identity policies name no principal, ECR's name no resource) concern everything.  A
denial wins, and without any statement that allows there is an implicit one.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from cumulo.base import policy_texts as texts
from cumulo.base.policy_conditions import Fault, Holds, compile_conditions
from cumulo.base.policy_principals import Who, compile_principals
from cumulo.base.policy_texts import Keys, Known

__all__ = [
    "Decision",
    "Element",
    "Policy",
    "PolicyError",
    "Question",
    "Who",
    "compile_policy",
    "evaluate",
]

_VERSIONS = ("2012-10-17", "2008-10-17")
_STATEMENT = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)


class PolicyError(ValueError):
    """A document is no policy; the text is a sentence that says why."""


class Decision(Enum):
    """What a policy says to a question."""

    ALLOW = "Allow"
    EXPLICIT_DENY = "ExplicitDeny"
    IMPLICIT_DENY = "ImplicitDeny"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """May `who` do `action` to `resource`?  `keys` has values of condition keys by their names in lower case."""

    action: str
    resource: str = ""
    who: Who = Who()
    keys: Keys = {}


class Element(Enum):
    """Whether statements have a Principal or a Resource."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    FORBIDDEN = "forbidden"


class _Statement(NamedTuple):
    """Compiled; each of its tests must be true."""

    sid: str
    concerns: tuple[Callable[[Question], bool], ...]
    conditions: tuple[Holds, ...]

    def holds(self, question: Question) -> bool:
        """Whether it speaks of this; loops, for they cost half of what generators do."""
        for concerns in self.concerns:
            if not concerns(question):
                return False
        for condition in self.conditions:  # noqa: SIM110
            if not condition(question.keys):
                return False
        return True


class Policy:
    """A compiled document."""

    __slots__ = ("_allowing", "_denying")

    def __init__(self, allowing: tuple[_Statement, ...], denying: tuple[_Statement, ...]) -> None:
        self._allowing = allowing
        self._denying = denying

    def decide(self, question: Question) -> Decision:
        """What it says."""
        for statement in self._denying:
            if statement.holds(question):
                return Decision.EXPLICIT_DENY
        for statement in self._allowing:
            if statement.holds(question):
                return Decision.ALLOW
        return Decision.IMPLICIT_DENY


def evaluate(policy: Policy, question: Question) -> Decision:
    """What a policy says to a question."""
    return policy.decide(question)


def compile_policy(
    document: str | bytes | Mapping[str, Any],
    *,
    principals: Element = Element.OPTIONAL,
    resources: Element = Element.OPTIONAL,
) -> Policy:
    """A policy from its text, or from what was read of it.  PolicyError."""
    try:
        read = _read(document)
        variables = read.get("Version") == _VERSIONS[0]
        compiled = [
            _compile(one, principals=principals, resources=resources, variables=variables)
            for one in _statements(read)
        ]
    except Fault as fault:
        raise PolicyError(str(fault)) from None
    sids = [one.sid for _, one in compiled if one.sid]
    if len(set(sids)) < len(sids):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique")
    return Policy(
        tuple(one for allows, one in compiled if allows), tuple(one for allows, one in compiled if not allows)
    )


def _read(document: str | bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(document, str | bytes):
        try:
            document = msgspec.json.decode(document)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise Fault("The policy is not JSON") from None
    if not isinstance(document, Mapping):
        raise Fault("The policy is not an object")
    unknown = [name for name in document if name not in ("Version", "Id", "Statement")]
    if unknown:
        raise Fault(f"A policy has no element {unknown[0]}")
    if document.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise Fault(f"The Version must be {_VERSIONS[0]} or {_VERSIONS[1]}")
    return document


def _statements(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    found = document.get("Statement")
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(one, Mapping):
            raise Fault("A policy needs a Statement, which is an object or a list of them")
        unknown = [name for name in one if name not in _STATEMENT]
        if unknown:
            raise Fault(f"A statement has no element {unknown[0]}")
        yield one


def _compile(
    statement: Mapping[str, Any], *, principals: Element, resources: Element, variables: bool
) -> tuple[bool, _Statement]:
    effect, sid = statement.get("Effect"), statement.get("Sid", "")
    if effect not in ("Allow", "Deny"):
        raise Fault("The Effect of a statement must be Allow or Deny")
    if not isinstance(sid, str):
        raise Fault("The Sid of a statement must be a text")
    made = (
        _actions(statement),
        _resources(statement, resources, variables=variables),
        _principals(statement, principals),
    )
    concerns = tuple(one for one in made if one is not None)
    conditions = compile_conditions(statement.get("Condition", {}), variables=variables)
    return effect == "Allow", _Statement(sid, concerns, conditions)


def _element(statement: Mapping[str, Any], name: str, presence: Element) -> tuple[Any, bool] | None:
    """An element or its opposite, and whether it is that; None when there is neither."""
    given, opposite = name in statement, f"Not{name}" in statement
    if given and opposite:
        raise Fault(f"A statement cannot have both {name} and Not{name}")
    if presence is Element.REQUIRED and not (given or opposite):
        raise Fault(f"A statement needs a {name} or a Not{name}")
    if presence is Element.FORBIDDEN and (given or opposite):
        raise Fault(f"A statement of this policy has no {name}")
    return (statement[f"Not{name}" if opposite else name], opposite) if given or opposite else None


def _texts(name: str, value: Any) -> list[str]:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(one, str) and one for one in found):
        raise Fault(f"{name} must be a text or a list of texts")
    return found


def _actions(statement: Mapping[str, Any]) -> Callable[[Question], bool]:
    found = _element(statement, "Action", Element.REQUIRED)
    assert found is not None, "it is required"
    value, opposite = found
    patterns = _texts("An Action", value)
    wrong = next((one for one in patterns if one != "*" and not all(one.partition(":"))), None)
    if wrong is not None:
        raise Fault(f"The action {wrong} must be * or begin with a service and a colon")
    matchers = [texts.glob(_known(one.lower())) for one in patterns]

    def concerns(question: Question) -> bool:
        action = question.action.lower()
        return any(fits(action) for fits in matchers) is not opposite

    return concerns


def _known(pattern: str) -> Known:
    return tuple(
        part for part in texts.parse(pattern, variables=False) if not isinstance(part, texts.Variable)
    )


def _resources(
    statement: Mapping[str, Any], presence: Element, *, variables: bool
) -> Callable[[Question], bool] | None:
    found = _element(statement, "Resource", presence)
    if found is None:
        return None
    value, opposite = found
    patterns = _texts("A Resource", value)
    tests = [texts.test(one, texts.resource, variables=variables) for one in patterns]
    if not opposite:
        return lambda question: any(fits(question.resource, question.keys) for fits in tests)
    parsed = [texts.parse(one, variables=variables) for one in patterns]

    def concerns(question: Question) -> bool:
        # With a variable that has no value it cannot be said what is excepted: the statement says nothing.
        if any(texts.resolve(one, question.keys) is None for one in parsed):
            return False
        return not any(fits(question.resource, question.keys) for fits in tests)

    return concerns


def _principals(statement: Mapping[str, Any], presence: Element) -> Callable[[Question], bool] | None:
    found = _element(statement, "Principal", presence)
    if found is None:
        return None
    value, opposite = found
    principals = compile_principals(value)
    return lambda question: principals.mean(question.who) is not opposite
