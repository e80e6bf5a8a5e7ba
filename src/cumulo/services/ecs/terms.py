"""Whether what a launch asks for goes together: launch type, strategy, network, platform."""

from collections.abc import Sequence
from typing import Final

import msgspec

from cumulo.base.errors import AwsError, not_implemented
from cumulo.services.ecs.model import FARGATE_PLATFORM, Cluster, Document, TaskDefinition
from cumulo.services.ecs.placement.split import Share, shares_of
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.seams import LaunchRequest
from cumulo.services.ecs.strategies import is_fargate

_PLATFORMS: Final = frozenset({"1.4.0", "1.3.0"})
_SUBNETS_MAX: Final = 16
_GROUPS_MAX: Final = 5


class Route(msgspec.Struct, frozen=True):
    """How tasks get capacity: by a launch type, or from the providers of `shares`."""

    launch_type: str
    shares: tuple[Share, ...] = ()


class Network(msgspec.Struct, frozen=True):
    """Of an awsvpc task, as it was asked for; nothing of it in the other modes."""

    subnets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def route_of(request: LaunchRequest, cluster: Cluster) -> Route:
    """Where the tasks of a launch go.  AwsError for a strategy that is none, and for what is not built."""
    strategy = request.strategy
    if not strategy and not request.launch_type and not request.instances:
        strategy = cluster.default_strategy
    if strategy:
        shares = shares_of(strategy, cluster.capacity_providers)
        return Route("FARGATE" if is_fargate(shares[0].provider) else "EC2", shares)
    launch_type = request.launch_type or "EC2"
    if launch_type not in {"EC2", "FARGATE"}:
        raise not_implemented("ecs", "RunTask", f"the launch type {launch_type}")
    return Route(launch_type)


def check_compatible(definition: TaskDefinition, launch_type: str) -> None:
    """AwsError for a definition that cannot run there."""
    if launch_type not in definition.document.get("compatibilities", (launch_type,)):
        raise invalid(f"Task definition does not support launch_type {launch_type}.")


def platform_of(version: str, launch_type: str) -> str:
    """The platform version that a request means: empty on EC2.  AwsError for one that there is not."""
    if launch_type != "FARGATE":
        if version:
            raise invalid("The platform version must be null when specifying an EC2 launch type.")
        return ""
    if version in {"", "LATEST"}:
        return FARGATE_PLATFORM
    if version not in _PLATFORMS:
        raise AwsError("PlatformUnknownException", f"The platform version {version} does not exist.")
    return version


def network_of(definition: TaskDefinition, asked: Document, launch_type: str) -> Network:
    """The network of an awsvpc task.  AwsError for what does not go with the definition."""
    given = asked.get("awsvpcConfiguration")
    if definition.network_mode != "awsvpc":
        if given:
            raise invalid(
                "Network Configuration is not valid for the given networkMode of this task definition."
            )
        return Network()
    if not given:
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    subnets: Sequence[str] = given.get("subnets", ())
    if not subnets:
        raise invalid("subnets can not be empty.")
    if len(subnets) > _SUBNETS_MAX:
        raise invalid(f"subnets can have at most {_SUBNETS_MAX} items.")
    groups: Sequence[str] = given.get("securityGroups", ())
    if len(groups) > _GROUPS_MAX:
        raise invalid(f"securityGroups can have at most {_GROUPS_MAX} items.")
    if given.get("assignPublicIp") == "ENABLED" and launch_type != "FARGATE":
        raise invalid("Assign public IP is not supported for this launch type.")
    return Network(tuple(dict.fromkeys(subnets)), tuple(dict.fromkeys(groups)))
