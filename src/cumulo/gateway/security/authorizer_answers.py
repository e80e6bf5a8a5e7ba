"""What Lambda authorizers answer: checked as API Gateway does, and compiled.  Pure.

{"principalId", "policyDocument", "context", "usageIdentifierKey"}   a policy
{"isAuthorized", "context"}                                          a simple answer, of HTTP APIs alone
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.base.policy import Decision, Element, Policy, PolicyError, Question, compile_policy
from cumulo.gateway.security.resource_policy import ACTION

_MEMBERS = frozenset({"principalId", "policyDocument", "context", "usageIdentifierKey"})
_ANSWER_BYTES_MAX = 6 << 20


class AnswerFault(Exception):
    """An answer is not one of an authorizer; the text is for the execution log."""


class Said(msgspec.Struct, frozen=True):
    """An answer, ready to be asked about requests.

    policy    None: `allowed` holds for every request
    document  the policy as JSON text, for TestInvokeAuthorizer
    """

    principal: str
    policy: Policy | None
    allowed: bool
    context: Mapping[str, Any]
    usage_key: str
    document: str

    def decide(self, arn: str, keys: Mapping[str, str]) -> Decision:
        """What it says to a request with this ARN."""
        if self.policy is None:
            return Decision.ALLOW if self.allowed else Decision.EXPLICIT_DENY
        return self.policy.decide(Question(action=ACTION, resource=arn, keys=keys))


def read_policy_answer(payload: bytes, *, nested: bool) -> Said:
    """An answer with a policy.  AnswerFault.

    nested  whether the context may have lists and objects (HTTP APIs); else its values become texts, as REST's
    """
    answer = _object(payload)
    unknown = [] if nested else [name for name in answer if name not in _MEMBERS]
    if unknown:
        raise AnswerFault(
            f'Invalid JSON in response: Unrecognized field "{unknown[0]}" , not marked as ignorable'
        )
    principal = answer.get("principalId")
    if isinstance(principal, bool) or not isinstance(principal, str | int | float) or principal == "":
        raise AnswerFault("Authorizer response has no principalId")
    document = answer.get("policyDocument")
    if not isinstance(document, dict):
        raise AnswerFault("Authorizer response has no policyDocument")
    try:
        policy = _compiled(document)
    except PolicyError as error:
        raise AnswerFault(f"Invalid policy document: {error}") from None
    usage_key = answer.get("usageIdentifierKey")
    if usage_key is not None and not isinstance(usage_key, str):
        raise AnswerFault("The usageIdentifierKey of the authorizer response is not a text")
    return Said(
        principal=str(principal),
        policy=policy,
        allowed=False,
        context=_context(answer.get("context"), nested=nested),
        usage_key=usage_key or "",
        document=msgspec.json.encode(document).decode(),
    )


def _compiled(document: Mapping[str, Any]) -> Policy:
    """The policy.  A statement with an empty list of resources concerns none: so authorizers allow nothing."""
    given = document.get("Statement")
    statements = given if isinstance(given, list) else [given]
    speaking = [one for one in statements if not (isinstance(one, dict) and one.get("Resource") == [])]
    if statements and not speaking:
        return Policy((), ())
    return compile_policy(
        {**document, "Statement": speaking}, principals=Element.OPTIONAL, resources=Element.REQUIRED
    )


def read_simple_answer(payload: bytes) -> Said:
    """A simple answer.  AnswerFault."""
    answer = _object(payload)
    allowed = answer.get("isAuthorized")
    if not isinstance(allowed, bool):
        raise AnswerFault("Authorizer response has no isAuthorized that is true or false")
    context = _context(answer.get("context"), nested=True)
    return Said(principal="", policy=None, allowed=allowed, context=context, usage_key="", document="")


def error_of(payload: bytes) -> str:
    """The errorMessage of a function that raised; empty when it has none."""
    try:
        answer = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return ""
    message = answer.get("errorMessage") if isinstance(answer, dict) else None
    return message if isinstance(message, str) else ""


def _object(payload: bytes) -> dict[str, Any]:
    if len(payload) > _ANSWER_BYTES_MAX:
        raise AnswerFault("Authorizer response is too large")
    try:
        answer = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise AnswerFault("Invalid JSON in response") from None
    if not isinstance(answer, dict):
        raise AnswerFault("Authorizer response is not an object")
    return answer


def _context(given: Any, *, nested: bool) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise AnswerFault("The context of the authorizer response is not an object")
    if nested:
        return given
    for name, value in given.items():
        if not isinstance(value, str | int | float):  # bool is an int
            raise AnswerFault(f"The context value {name[:64]} is no text, number or truth value")
    return {name: as_text(value) for name, value in given.items()}


def as_text(value: str | float | bool) -> str:
    """A value of a context as REST APIs tell it."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
