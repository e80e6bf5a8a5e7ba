"""Finds what callers name, and gives lists page by page."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.pages import page
from cumulo.services.elbv2 import arns, refusals
from cumulo.services.elbv2.model import Group, Listener, LoadBalancer, Rule
from cumulo.services.elbv2.records import Records
from cumulo.state.store import join_key
from cumulo.wire.service import Values

T = TypeVar("T")
Owned = TypeVar("Owned", LoadBalancer, Group)
PAGE_MAX: Final = 400


def balancer_of(records: Records, caller: Caller, arn: str) -> LoadBalancer:
    """The load balancer with this ARN, of this account and region."""
    if not arns.is_of(arn, "load balancer", caller.region):
        raise refusals.bad_arn(arn, "load balancer")
    return _own(caller, records.balancers.get(arn), refusals.no_balancer())


def group_of(records: Records, caller: Caller, arn: str) -> Group:
    """The target group with this ARN."""
    if not arns.is_of(arn, "target group", caller.region):
        raise refusals.bad_arn(arn, "target group")
    return _own(caller, records.groups.get(arn), refusals.no_group())


def listener_of(records: Records, caller: Caller, arn: str) -> tuple[Listener, LoadBalancer]:
    """The listener with this ARN, and its load balancer."""
    if not arns.is_of(arn, "listener", caller.region):
        raise refusals.bad_arn(arn, "listener")
    listener = records.listeners.get(arn)
    if listener is None:
        raise refusals.no_listener()
    balancer = records.balancers.get(listener.load_balancer)
    return listener, _own(caller, balancer, refusals.no_listener())


def rule_of(records: Records, caller: Caller, arn: str) -> tuple[Rule, Listener, LoadBalancer]:
    """The rule with this ARN, its listener, and its load balancer."""
    if not arns.is_of(arn, "listener rule", caller.region):
        raise refusals.bad_arn(arn, "listener rule")
    rule = records.rules.get(arn)
    if rule is None:
        raise refusals.no_rule()
    listener = records.listeners.get(rule.listener)
    if listener is None:
        raise refusals.no_rule()
    return rule, listener, _own(caller, records.balancers.get(listener.load_balancer), refusals.no_rule())


def place(caller: Caller) -> str:
    """The value of the index `place` for what is the caller's."""
    return join_key(caller.account, caller.region)


def one_page(items: Sequence[T], key: Callable[[T], str], values: Values) -> tuple[list[T], str | None]:
    """The page that Marker and PageSize ask for, and the next marker."""
    return page(
        sorted(items, key=key),
        key,
        marker=values.get("Marker"),
        size=values.get("PageSize", PAGE_MAX),
        error="ValidationError",
    )


def _own(caller: Caller, found: Owned | None, error: AwsError) -> Owned:
    """One machine has many accounts: what is another's is not there."""
    if found is None or (found.account, found.region) != (caller.account, caller.region):
        raise error
    return found
