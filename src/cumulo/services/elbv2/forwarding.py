"""Whether target groups may be forwarded to by a load balancer."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.elbv2 import refusals
from cumulo.services.elbv2.actions import groups_of
from cumulo.services.elbv2.model import Document, Group, LoadBalancer
from cumulo.services.elbv2.records import Records

GROUPS_OF_BALANCER_MAX: Final = 100


def check_groups(
    records: Records, caller: Caller, actions: tuple[Document, ...], balancer: LoadBalancer, protocol: str
) -> None:
    """AwsError when a target group of `actions` is not there, does not go with the listener, or is another's."""
    taken: list[str] = []
    for arn in groups_of(actions):
        group = records.groups.get(arn)
        if group is None or (group.account, group.region) != (caller.account, caller.region):
            raise AwsError("TargetGroupNotFound", f"Target group '{arn}' not found")
        _check_protocol(group, balancer, protocol)
        if group.network and group.network != balancer.network:
            raise refusals.misconfigured(
                f"The target group '{arn}' and the load balancer '{balancer.arn}' must be in the same VPC"
            )
        if any(other != balancer.arn for other in records.balancers_of(arn)):
            taken.append(arn)
    if taken:
        raise AwsError(
            "TargetGroupAssociationLimit",
            f"The following target groups cannot be associated with more than one load balancer: {', '.join(taken)}",
        )
    used = records.groups_of_balancer(balancer.arn) | set(groups_of(actions))
    if len(used) > GROUPS_OF_BALANCER_MAX:
        raise AwsError(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            "You've reached the limit on the number of unique target groups per load balancer; the limit is "
            f"'{GROUPS_OF_BALANCER_MAX}'",
        )


def _check_protocol(group: Group, balancer: LoadBalancer, protocol: str) -> None:
    if balancer.is_application:
        fits = group.is_http and group.target_type != "alb"
    else:
        fits = group.protocol == "TCP" or (group.protocol == "TLS" and protocol == "TLS")
    if not fits:
        raise AwsError(
            "IncompatibleProtocols",
            f"The protocol '{group.protocol}' of target group '{group.arn}' is not compatible with the listener "
            f"protocol '{protocol}'",
        )
