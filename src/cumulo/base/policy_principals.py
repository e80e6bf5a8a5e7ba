"""Whom a statement of an IAM policy means: `"*"` or `{"AWS": [...], "Service": [...], "Federated": [...]}`.  Pure."""

import re
from typing import Any, NamedTuple

from cumulo.base.policy_conditions import Fault

_KINDS = ("AWS", "Service", "Federated", "CanonicalUser")
_ACCOUNT = re.compile(r"[0-9]{12}")
_ROOT = re.compile(r"arn:[^:]+:iam::([0-9]{12}):root")
_SESSION = re.compile(r"arn:([^:]+):sts::([0-9]{12}):assumed-role/([^/]+)/.*", re.DOTALL)


class Who(NamedTuple):
    """Who asks: an account and an ARN in it, a service, or an identity provider; nobody is known when all are empty."""

    account: str = ""
    arn: str = ""
    service: str = ""
    federated: str = ""
    user_id: str = ""  # AIDA..., or AROA...:session


class Principals(NamedTuple):
    """Everybody, or names by their kind."""

    everybody: bool = False
    accounts: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()  # ARNs, and ids of users and roles
    services: frozenset[str] = frozenset()
    federated: frozenset[str] = frozenset()

    def mean(self, who: Who) -> bool:
        """Whether it is one of these."""
        if self.everybody:
            return True
        if who.service:
            return who.service in self.services or "*" in self.services
        if who.federated and (who.federated in self.federated or "*" in self.federated):
            return True
        if who.account and who.account in self.accounts:
            return True
        return bool(self.names) and not self.names.isdisjoint(_names(who))


def _names(who: Who) -> list[str]:
    """What somebody may be called: a role's session has the role's name too."""
    session = _SESSION.fullmatch(who.arn)
    role = [f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"] if session else []
    return [name for name in (who.arn, *role, who.user_id.partition(":")[0]) if name]


def compile_principals(value: Any) -> Principals:
    """What a Principal or NotPrincipal says.  Fault."""
    if value == "*":
        return Principals(everybody=True)
    if not isinstance(value, dict) or not value:
        raise Fault("A Principal must be * or name principals by their kind")
    by_kind: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for kind, names in value.items():
        if kind not in by_kind:
            raise Fault(f"The kind of principal {kind} is not known")
        by_kind[kind] = names if isinstance(names, list) else [names]
        if not by_kind[kind] or not all(isinstance(name, str) and name for name in by_kind[kind]):
            raise Fault(f"The principals of the kind {kind} must be texts")
    aws = by_kind["AWS"]
    return Principals(
        everybody="*" in aws,
        accounts=frozenset(found for name in aws if (found := _account(name))),
        names=frozenset(aws),
        services=frozenset(by_kind["Service"]),
        federated=frozenset(by_kind["Federated"]),
    )


def _account(name: str) -> str:
    """The account that a name stands for; its root is everybody in it."""
    if _ACCOUNT.fullmatch(name):
        return name
    root = _ROOT.fullmatch(name)
    return root[1] if root else ""
