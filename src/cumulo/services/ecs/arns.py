"""Names of ECS's things, and how to read them."""

from cumulo.base.arn import Arn, parse_arn, partition_of


def arn(region: str, account: str, kind: str, *parts: str) -> str:
    """`arn:aws:ecs:<region>:<account>:<kind>/<part>/...`."""
    resource = "/".join((kind, *parts))
    return str(Arn("ecs", region, account, resource, partition_of(region)))


def definition_arn(region: str, account: str, family: str, revision: int) -> str:
    """The ARN of a task definition."""
    return arn(region, account, "task-definition", f"{family}:{revision}")


def last_part(name_or_arn: str) -> str:
    """What comes after the last slash: the name of a cluster, the id of a task."""
    return name_or_arn.rpartition("/")[2]


def cluster_name(arn_or_name: str) -> str:
    """The cluster's name in its own ARN, or in that of a task, service or container instance; or the name itself."""
    parsed = parse_arn(arn_or_name)
    if parsed is None:
        return arn_or_name
    parts = parsed.resource.split("/")
    return parts[1] if len(parts) > 1 else arn_or_name
