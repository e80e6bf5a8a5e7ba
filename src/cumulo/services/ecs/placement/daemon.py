"""Which container instances a daemon service wants a task on: one on each that suits."""

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from cumulo.services.ecs.placement.demand import AGENT, Demand, unsuited
from cumulo.services.ecs.placement.ledger import Host


class DaemonPlan(msgspec.Struct, frozen=True):
    """ARNs of container instances.

    suited      all that are to have a task
    missing     of these, the ones that have none yet
    misplaced   those that have a task although they do not suit (any more)
    """

    suited: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    misplaced: tuple[str, ...] = ()


def daemon_instances(hosts: Collection[Host], demand: Demand) -> DaemonPlan:
    """Where the tasks of a daemon service's group belong.

    What an instance has left is no matter here: a task for which there is no room is tried, and refused with the reason.
    """
    plain = replace(demand, constraints=replace(demand.constraints, distinct=False))
    suited, missing, misplaced = [], [], []
    for host in hosts:
        has = demand.group in host.groups
        if demand.provider and host.instance and host.instance.capacity_provider != demand.provider:
            reason = "another provider's"
        else:
            reason = unsuited(host, plain)
        if not reason:
            suited.append(host.arn)
            if not has:
                missing.append(host.arn)
        elif has and reason != AGENT:  # whose agent is away may come back, and its tasks run on
            misplaced.append(host.arn)
    return DaemonPlan(tuple(suited), tuple(missing), tuple(misplaced))
