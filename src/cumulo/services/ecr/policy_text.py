"""Resource policies: checked as ECR checks them, and written as ECR shows them.  Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.ecr.refusals import constraint

_VERSIONS = ("2008-10-17", "2012-10-17")
_STATEMENT = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"}
)  # no Resource: a policy is about the repository that it is attached to
_SID = re.compile(r"[0-9A-Za-z _-]*")
_ACTION = re.compile(r"\*|ecr:[A-Za-z*?]+", re.IGNORECASE)
_AWS_PRINCIPAL = re.compile(
    r"\*|\d{12}|[A-Z0-9]{16,128}"
    r"|arn:aws[a-z-]*:iam::\d{12}:(root|(user|role)/.+)"
    r"|arn:aws[a-z-]*:sts::\d{12}:(assumed-role|federated-user)/.+"
)
_PRINCIPALS = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
_LOCKED = "ecr:setrepositorypolicy"


def read(text: str) -> dict[str, Any]:
    """A repository policy.  AwsError InvalidParameterException when ECR would not take it."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise _invalid() from None
    if not isinstance(document, dict) or not set(document) <= {"Version", "Id", "Statement"}:
        raise _invalid()
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS or not isinstance(document.get("Id", ""), str):
        raise _invalid()
    statements = list(_statements(document))
    if not statements or not all(_is_statement(one) for one in statements):
        raise _invalid()
    sids = [one["Sid"] for one in statements if one.get("Sid")]
    if len(set(sids)) < len(sids):
        raise _invalid()
    return document


def locks_out(document: dict[str, Any]) -> bool:
    """Whether nobody could set another policy afterwards: everybody is denied just that."""
    return any(
        one["Effect"] == "Deny"
        and one.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        and not one.get("Condition")
        and any(_covers(action, _LOCKED) for action in _several(one.get("Action", [])))
        for one in _statements(document)
    )


def pretty(document: Any) -> str:
    """A policy as ECR writes it: Java's Jackson with its default indentation."""
    return _pretty(document, 0)


def _pretty(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        if not value:
            return "{ }"
        inner = ",\n".join(
            f"{'  ' * (depth + 1)}{json.dumps(key, ensure_ascii=False)} : {_pretty(one, depth + 1)}"
            for key, one in value.items()
        )
        return f"{{\n{inner}\n{'  ' * depth}}}"
    if isinstance(value, list):
        return f"[ {', '.join(_pretty(one, depth) for one in value)} ]" if value else "[ ]"
    return json.dumps(value, ensure_ascii=False)


def _statements(document: dict[str, Any]) -> Iterator[Any]:
    found = document.get("Statement")
    yield from found if isinstance(found, list) else [found]


def _is_statement(one: Any) -> bool:
    if not isinstance(one, dict) or not set(one) <= _STATEMENT or one.get("Effect") not in ("Allow", "Deny"):
        return False
    if not isinstance(one.get("Sid", ""), str) or not _SID.fullmatch(one.get("Sid", "")):
        return False
    if ("Principal" in one) == ("NotPrincipal" in one) or ("Action" in one) == ("NotAction" in one):
        return False
    actions = _several(one.get("Action", one.get("NotAction")))
    if not actions or not all(isinstance(action, str) and _ACTION.fullmatch(action) for action in actions):
        return False
    return _is_principal(one.get("Principal", one.get("NotPrincipal"))) and _is_condition(
        one.get("Condition", {})
    )


def _is_principal(value: Any) -> bool:
    if value == "*":
        return True
    if not isinstance(value, dict) or not value or not set(value) <= _PRINCIPALS:
        return False
    for kind, names in value.items():
        for name in _several(names) or [None]:
            if (
                not isinstance(name, str)
                or not name
                or (kind == "AWS" and not _AWS_PRINCIPAL.fullmatch(name))
            ):
                return False
    return True


def _is_condition(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(test, dict) and test for test in value.values())


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _covers(pattern: str, action: str) -> bool:
    expression = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, action) is not None


def _invalid() -> AwsError:
    return constraint("PolicyText", "Invalid repository policy provided")
