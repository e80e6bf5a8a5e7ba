"""Registry and repository policies: whether a text is one for ECR, and what it allows.  Pure."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cumulo.base.policy import Question

V1_ACTIONS = frozenset({"ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"})
# An ARN, an account, or the id that stays when a user or role has been deleted.
_PRINCIPAL = re.compile(r"\*|arn:[^*?]{1,2048}|[0-9]{12}|A(?:ID|RO|GP|NP)A[A-Z0-9]{12,124}")
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


def fault(text: str, *, scope: str = "V2", resources: bool = True) -> str:
    """What is wrong with a policy's text; empty when nothing is.

    `scope` V1 allows only what AWS's first registry policies allowed; `resources`: statements must name some.
    """
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON"
    if not isinstance(policy, dict) or not set(policy) <= {"Version", "Id", "Statement"}:
        return "it is not a policy document"
    if policy.get("Version", _VERSIONS[0]) not in _VERSIONS:
        return "its Version is not known"
    statements = _list(policy.get("Statement"))
    if not statements:
        return "it has no Statement"
    sids = [s["Sid"] for s in statements if isinstance(s, dict) and s.get("Sid")]
    if len(set(map(str, sids))) != len(sids):
        return "statement ids must be unique"
    why = next((why for s in statements if (why := _statement_fault(s, scope, resources))), "")
    return why or _not_compiled(policy)


def _not_compiled(policy: Mapping[str, Any]) -> str:
    """What is wrong beyond ECR's own rules: conditions."""
    from cumulo.base.policy import PolicyError, compile_policy

    try:
        compile_policy(policy)
    except PolicyError as error:
        return str(error)
    return ""


def _statement_fault(statement: Any, scope: str, resources: bool) -> str:
    if not isinstance(statement, dict) or not set(statement) <= _STATEMENT:
        return "a statement has members that are not known"
    if statement.get("Effect") not in ("Allow", "Deny"):
        return "an Effect must be Allow or Deny"
    if ("Principal" in statement) == ("NotPrincipal" in statement):
        return "a statement needs a Principal or a NotPrincipal"
    if ("Resource" in statement) + ("NotResource" in statement) != (1 if resources else 0):
        return "a statement needs a Resource" if resources else "a repository policy names no Resource"
    if _principals(statement.get("Principal", statement.get("NotPrincipal"))) is None:
        return "a principal is not valid"
    names = _list(statement.get("Resource", statement.get("NotResource", "*")))
    if not names or not all(isinstance(name, str) and _is_resource(name) for name in names):
        return "a resource is not valid"
    return _action_fault(statement, scope)


def _action_fault(statement: Mapping[str, Any], scope: str) -> str:
    if ("Action" in statement) == ("NotAction" in statement):
        return "a statement needs an Action or a NotAction"
    actions = _list(statement.get("Action", statement.get("NotAction")))
    if not actions or not all(isinstance(a, str) and _is_action(a) for a in actions):
        return "an action is not one of ECR"
    if scope == "V1" and ("NotAction" in statement or not V1_ACTIONS.issuperset(actions)):
        return "only the actions of the registry policy scope V1 are allowed"
    return ""


def _is_action(text: str) -> bool:
    return text == "*" or (text.lower().startswith("ecr:") and len(text) > 4)


def _is_resource(text: str) -> bool:
    return text == "*" or (text.startswith("arn:") and text.count(":") >= 5)


def allows(text: str, question: "Question") -> bool:
    """Whether a policy allows what is asked: some statement allows it, and none denies it.

    A text that is no policy allows nothing.
    """
    if not text or (fault(text) and fault(text, resources=False)):
        return False
    from cumulo.base.policy import Decision, compile_policy

    return compile_policy(json.loads(text)).decide(question) is Decision.ALLOW


def _principals(value: Any) -> list[str] | None:
    """The AWS principals of a statement (others are never an account); None when it is none."""
    if value == "*":
        return ["*"]
    if not isinstance(value, dict) or not value:
        return None
    if not set(value) <= {"AWS", "Service", "Federated", "CanonicalUser"}:
        return None
    for names in value.values():
        if not _list(names) or not all(isinstance(name, str) and name for name in _list(names)):
            return None
    found = _list(value.get("AWS", []))
    return found if all(_PRINCIPAL.fullmatch(name) for name in found) else None


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
