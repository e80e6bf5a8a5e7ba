"""Rules of listeners: create, describe, change, order, delete."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError, not_implemented
from cumulo.base.ids import Ids
from cumulo.services.elbv2 import arns, refusals
from cumulo.services.elbv2.actions import checked_actions
from cumulo.services.elbv2.conditions import checked_conditions
from cumulo.services.elbv2.finding import listener_of, one_page, rule_of
from cumulo.services.elbv2.forwarding import check_groups
from cumulo.services.elbv2.model import Document, Rule
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.tags import checked_tags
from cumulo.services.elbv2.views import rule_view
from cumulo.wire.service import Values

RULES_MAX: Final = 100  # of a load balancer, without default ones


class Rules:
    """The operations on rules.  `settled`: as for Listeners."""

    def __init__(self, records: Records, ids: Ids, settled: Callable[[str], Awaitable[None]]) -> None:
        self._records = records
        self._ids = ids
        self._settled = settled

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateRule."""
        listener, balancer = listener_of(self._records, caller, values["ListenerArn"])
        if not balancer.is_application:
            raise AwsError(
                "UnsupportedProtocol", "Rules are not supported for listeners of network load balancers"
            )
        _refuse_transforms("CreateRule", values)
        conditions = checked_conditions(values["Conditions"])
        actions = checked_actions(values["Actions"], kind=balancer.kind, protocol=listener.protocol)
        tags = checked_tags(values.get("Tags", ()), {})
        priority = values["Priority"]
        have = self._records.rules.by("listener", listener.arn)
        if any(one.priority == priority for one in have):
            raise _in_use(priority)
        listeners = self._records.listeners.by("balancer", balancer.arn)
        if sum(self._records.rules.count("listener", one.arn) - 1 for one in listeners) >= RULES_MAX:
            raise AwsError(
                "TooManyRules",
                f"The maximum number of rules per load balancer has been reached; the limit is '{RULES_MAX}'",
            )
        check_groups(self._records, caller, actions, balancer, listener.protocol)
        made = Rule(
            arn=arns.below(listener.arn, "listener-rule", self._ids.hex(16)),
            listener=listener.arn,
            priority=priority,
            conditions=conditions,
            actions=actions,
            tags=tags,
        )
        self._records.rules.put(made)
        await self._records.store.commit()
        await self._settled(balancer.arn)
        return {"Rules": [rule_view(made, listener)]}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeRules: by priority."""
        asked, arn = values.get("RuleArns", ()), values.get("ListenerArn")
        if bool(asked) == bool(arn):
            raise refusals.invalid("You must specify either listener rule ARNs or a listener ARN")
        if asked:
            pairs = [rule_of(self._records, caller, one)[:2] for one in dict.fromkeys(asked)]
            return {"Rules": [rule_view(rule, of) for rule, of in pairs]}
        listener, _ = listener_of(self._records, caller, str(arn))
        found, marker = one_page(self._records.rules_of(listener.arn), _order, values)
        return {"Rules": [rule_view(one, listener) for one in found], "NextMarker": marker}

    async def modify(self, caller: Caller, values: Values) -> Values | None:
        """ModifyRule."""
        if not any(name in values for name in ("Conditions", "Actions", "Transforms", "ResetTransforms")):
            raise refusals.invalid("Either conditions or actions must be specified")
        rule, listener, balancer = rule_of(self._records, caller, values["RuleArn"])
        _refuse_transforms("ModifyRule", values)
        if rule.is_default:
            raise AwsError("OperationNotPermitted", f"Default rule '{rule.arn}' cannot be modified")
        changes: dict[str, Any] = {}
        if "Conditions" in values:
            changes["conditions"] = checked_conditions(values["Conditions"])
        if "Actions" in values:
            changes["actions"] = checked_actions(
                values["Actions"], kind=balancer.kind, protocol=listener.protocol
            )
            check_groups(self._records, caller, changes["actions"], balancer, listener.protocol)
        after = self._records.rules.put(msgspec.structs.replace(rule, **changes))
        await self._records.store.commit()
        await self._settled(balancer.arn)
        return {"Rules": [rule_view(after, listener)]}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteRule."""
        rule, _, balancer = rule_of(self._records, caller, values["RuleArn"])
        if rule.is_default:
            raise AwsError("OperationNotPermitted", f"Default rule '{rule.arn}' cannot be deleted")
        self._records.rules.delete(rule)
        await self._records.store.commit()
        await self._settled(balancer.arn)
        return {}

    async def set_priorities(self, caller: Caller, values: Values) -> Values | None:
        """SetRulePriorities: all of them, or none."""
        wanted = _wanted(values["RulePriorities"])
        found = [rule_of(self._records, caller, arn) for arn in wanted]
        for rule, _, _ in found:
            if rule.is_default:
                raise AwsError(
                    "OperationNotPermitted", f"Priority of default rule '{rule.arn}' cannot be set"
                )
        for listener in {one.arn for _, one, _ in found}:
            moved = {wanted[rule.arn] for rule, one, _ in found if one.arn == listener}
            for other in self._records.rules.by("listener", listener):
                if other.arn not in wanted and other.priority in moved:
                    raise _in_use(other.priority)
        changed = [
            (self._records.rules.put(msgspec.structs.replace(rule, priority=wanted[rule.arn])), listener)
            for rule, listener, _ in found
        ]
        await self._records.store.commit()
        for arn in {balancer.arn for _, _, balancer in found}:
            await self._settled(arn)
        return {"Rules": [rule_view(rule, listener) for rule, listener in changed]}


def _wanted(pairs: Sequence[Document]) -> dict[str, int]:
    """Priorities by the ARNs of rules, each once."""
    wanted: dict[str, int] = {}
    for pair in pairs:
        arn, priority = pair.get("RuleArn", ""), pair.get("Priority", 0)
        if not priority:
            raise refusals.invalid("A priority must be specified")
        if arn in wanted:
            raise refusals.invalid(f"Rule '{arn}' was provided multiple times")
        if priority in wanted.values():
            raise refusals.invalid(f"Priority '{priority}' was provided multiple times")
        wanted[arn] = priority
    return wanted


def _order(rule: Rule) -> str:
    return "default" if rule.is_default else f"{rule.priority:05d}"


def _in_use(priority: int) -> AwsError:
    return AwsError("PriorityInUse", f"Priority '{priority}' is currently in use")


def _refuse_transforms(operation: str, values: Values) -> None:
    if values.get("Transforms"):
        raise not_implemented("elbv2", operation, "transforms")
