"""What is the same for a whole account: its limits."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.services.elbv2.actions import GROUPS_MAX as ACTION_GROUPS_MAX
from cumulo.services.elbv2.conditions import VALUES_MAX, WILDCARDS_MAX
from cumulo.services.elbv2.finding import one_page
from cumulo.services.elbv2.forwarding import GROUPS_OF_BALANCER_MAX
from cumulo.services.elbv2.listeners import CERTIFICATES_MAX, LISTENERS_MAX
from cumulo.services.elbv2.load_balancers import BALANCERS_MAX
from cumulo.services.elbv2.rules import RULES_MAX
from cumulo.services.elbv2.target_groups import GROUPS_MAX
from cumulo.services.elbv2.targets import TARGETS_MAX
from cumulo.wire.service import Values

_LIMITS: Final = {
    "application-load-balancers": BALANCERS_MAX,
    "certificates-per-application-load-balancer": CERTIFICATES_MAX,
    "certificates-per-network-load-balancer": CERTIFICATES_MAX,
    "condition-values-per-alb-rule": VALUES_MAX,
    "condition-wildcards-per-alb-rule": WILDCARDS_MAX,
    "listeners-per-application-load-balancer": LISTENERS_MAX,
    "listeners-per-network-load-balancer": LISTENERS_MAX,
    "network-load-balancers": BALANCERS_MAX,
    "rules-per-application-load-balancer": RULES_MAX,
    "target-groups": GROUPS_MAX,
    "target-groups-per-action-on-application-load-balancer": ACTION_GROUPS_MAX,
    "target-groups-per-application-load-balancer": GROUPS_OF_BALANCER_MAX,
    "targets-per-application-load-balancer": TARGETS_MAX,
    "targets-per-target-group": TARGETS_MAX,
}


async def describe_limits(caller: Caller, values: Values) -> Values | None:
    """DescribeAccountLimits: those that are kept here."""
    del caller
    found, marker = one_page(list(_LIMITS.items()), lambda one: one[0], values)
    return {"Limits": [{"Name": name, "Max": str(most)} for name, most in found], "NextMarker": marker}
