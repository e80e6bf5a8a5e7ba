"""Resource policies: who may call a function, as statements that are kept and shown; `permissions.py` asks them."""

import json
import re
from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.model import LATEST
from cumulo.services.lambda_.names import Target, target
from cumulo.services.lambda_.quotas import POLICY_BYTES_MAX
from cumulo.services.lambda_.registry import Registry
from cumulo.state.store import Store, join_key
from cumulo.wire.service import Coverage, Operation, Values

_ALIAS = re.compile(r"(?![0-9]+$)[a-zA-Z0-9_-]+")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of a function or of one of its versions: statements by their Sid."""

    revision_id: str
    statements: dict[str, dict[str, Any]] = {}


class Policies:
    """AddPermission, RemovePermission, GetPolicy."""

    def __init__(self, registry: Registry, store: Store, ids: Ids) -> None:
        self._registry = registry
        self._policies = store.table("lambda.policies", Policy)
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        note = "kept, shown and asked by services that call functions (in shared mode); not by Invoke itself"
        return {
            "AddPermission": Operation(self.add_permission, Coverage.STORED, note),
            "RemovePermission": Operation(self.remove_permission, Coverage.STORED, note),
            "GetPolicy": Operation(self.get_policy, Coverage.STORED, note),
        }

    def forget(self, wanted: Target) -> None:
        """Drop the policies of a function that is being deleted, or of one of its versions."""
        if wanted.qualifier is not None:
            self._policies.delete(_key(wanted))
            return
        for key, _ in self._policies.items(join_key(wanted.account, wanted.region, wanted.name, "")):
            self._policies.delete(key)

    def revision(self, wanted: Target) -> str | None:
        """The id of what a function's (or a version's) policy is now; None when it has none."""
        policy = self._policies.get(_key(wanted))
        return policy.revision_id if policy is not None else None

    def document(self, wanted: Target) -> str:
        """The policy as IAM would read it; one without statements when there is none."""
        return _document(self._policies.get(_key(wanted)) or Policy(revision_id=""))

    def clear(self) -> None:
        """Remove everything."""
        self._policies.clear()

    async def add_permission(self, caller: Caller, values: Values) -> Values | None:
        """Add a statement."""
        wanted = target(caller, values["FunctionName"], values.get("Qualifier"), operation="AddPermission")
        self._registry.get(Target(wanted.account, wanted.region, wanted.name))
        self._check_exists(wanted)
        if wanted.qualifier == LATEST:
            raise errors.invalid(
                "We currently do not support adding policies for $LATEST."
            )  # fmt: skip
        policy = self._policies.get(_key(wanted)) or Policy(revision_id="")
        _check_revision(policy, values)
        sid = values["StatementId"]
        if sid in policy.statements:
            raise errors.conflict(
                f"The statement id ({sid}) provided already exists. Please provide a new statement id, or"
                " remove the existing statement."
            )
        statement = _statement(wanted, values)
        grown = Policy(revision_id=self._ids.uuid(), statements=policy.statements | {sid: statement})
        if len(_document(grown).encode()) > POLICY_BYTES_MAX:
            raise AwsError(
                "PolicyLengthExceededException",
                f"The final policy size is bigger than the limit ({POLICY_BYTES_MAX}).",
                fields={"Type": "User"},
            )
        self._policies.put(_key(wanted), grown)
        await self._registry.commit()
        return {"Statement": _dumps(statement)}

    async def remove_permission(self, caller: Caller, values: Values) -> Values | None:
        """Remove a statement."""
        wanted = target(caller, values["FunctionName"], values.get("Qualifier"), operation="RemovePermission")
        if self._registry.find(wanted) is None:
            raise errors.not_found(f"No policy found for: {wanted.arn}")
        self._check_exists(wanted)
        policy = self._policies.get(_key(wanted))
        if policy is None:
            raise errors.not_found("No policy is associated with the given resource.")
        _check_revision(policy, values)
        sid = values["StatementId"]
        if sid not in policy.statements:
            raise errors.not_found(f"Statement {sid} is not found in resource policy.")
        left = {name: statement for name, statement in policy.statements.items() if name != sid}
        if left:
            self._policies.put(_key(wanted), Policy(revision_id=self._ids.uuid(), statements=left))
        else:
            self._policies.delete(_key(wanted))
        await self._registry.commit()
        return None

    async def get_policy(self, caller: Caller, values: Values) -> Values | None:
        """Show the policy as a document."""
        wanted = target(caller, values["FunctionName"], values.get("Qualifier"), operation="GetPolicy")
        self._registry.get(Target(wanted.account, wanted.region, wanted.name))
        policy = self._policies.get(_key(wanted))
        if policy is None:
            raise errors.nothing_there()
        return {"Policy": _document(policy), "RevisionId": policy.revision_id}

    def _check_exists(self, wanted: Target) -> None:
        """The version or alias must be there; there are no aliases yet."""
        if wanted.qualifier is not None and _ALIAS.fullmatch(wanted.qualifier):
            raise errors.alias_not_found(wanted.arn)
        self._registry.version(wanted)


def _key(wanted: Target) -> str:
    return join_key(wanted.account, wanted.region, wanted.name, wanted.version)


def _check_revision(policy: Policy, values: Values) -> None:
    if values.get("RevisionId") not in (None, policy.revision_id):
        raise errors.stale_revision()


def _statement(wanted: Target, values: Values) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": values["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(values["Principal"]),
        "Action": values["Action"],
        "Resource": wanted.arn,
    }
    equal = {
        "AWS:SourceAccount": values.get("SourceAccount"),
        "lambda:EventSourceToken": values.get("EventSourceToken"),
        "lambda:FunctionUrlAuthType": values.get("FunctionUrlAuthType"),
        "aws:PrincipalOrgID": values.get("PrincipalOrgID"),
    }
    via_url = values.get("InvokedViaFunctionUrl")
    condition: dict[str, Any] = {
        "StringEquals": {name: value for name, value in equal.items() if value is not None},
        "ArnLike": {"AWS:SourceArn": values["SourceArn"]} if "SourceArn" in values else {},
        "Bool": {} if via_url is None else {"lambda:InvokedViaFunctionUrl": str(via_url).lower()},
    }
    condition = {operator: members for operator, members in condition.items() if members}
    return statement | ({"Condition": condition} if condition else {})


def _principal(principal: str) -> Any:
    """A service, an account (AWS shows its root), an ARN, or everybody."""
    if principal == "*":
        return "*"
    if principal.isdigit():
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    if principal.startswith("arn:"):
        return {"AWS": principal}
    if "." in principal:
        return {"Service": principal}
    raise errors.invalid("The provided principal was invalid. Please check the principal and try again.")


def _document(policy: Policy) -> str:
    return _dumps({"Version": "2012-10-17", "Id": "default", "Statement": list(policy.statements.values())})


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
