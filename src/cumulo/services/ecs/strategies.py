"""Capacity provider strategies: which are possible.  Pure."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from cumulo.services.ecs.arns import last_part
from cumulo.services.ecs.model import Document
from cumulo.services.ecs.refusals import client, invalid

FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
ITEMS_MAX = 20
_NOT_ASSOCIATED = (
    "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the "
    "cluster. Associate the capacity provider with the cluster and try again."
)
_TWO_BASES = (
    "The specified capacity provider strategy contains multiple capacity providers with a base value defined. "
    "Specify one capacity provider with a base value and try again."
)
_NO_WEIGHT = (
    "There are no capacity providers in the capacity provider strategy with a weight value greater than zero."
)
_MIX = (
    "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and Fargate "
    "providers. Specify one or the other and try again."
)
_TWICE = "The specified capacity provider strategy contains duplicate capacity providers."


def is_fargate(provider: str) -> bool:
    """Whether a capacity provider is one of Fargate's."""
    return provider in FARGATE_PROVIDERS


def checked_strategy(asked: Sequence[Document], associated: Collection[str]) -> tuple[dict[str, Any], ...]:
    """A strategy with names in place of ARNs, and every weight and base filled in.

    Empty stays empty.  AwsError InvalidParameterException for one that AWS would refuse; `associated` are the names
    of the cluster's providers.
    """
    if len(asked) > ITEMS_MAX:
        raise invalid(
            f"A capacity provider strategy can contain a maximum of {ITEMS_MAX} capacity providers."
        )
    items = tuple(
        {
            "capacityProvider": last_part(item["capacityProvider"]),
            "weight": item.get("weight", 0),
            "base": item.get("base", 0),
        }
        for item in asked
    )
    names = [item["capacityProvider"] for item in items]
    if len(set(names)) != len(names):
        raise invalid(_TWICE)
    if any(name not in associated for name in names):
        raise invalid(_NOT_ASSOCIATED)
    if len({is_fargate(name) for name in names}) > 1:
        raise invalid(_MIX)
    if sum(1 for item in items if item["base"]) > 1:
        raise invalid(_TWO_BASES)
    if items and not any(item["weight"] for item in items):
        raise invalid(_NO_WEIGHT)
    return items


def checked_providers(asked: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """The names of capacity providers for a cluster; `known` are those of the account, Fargate's not among them.

    AwsError InvalidParameterException for what is not there, or too much; ClientException for one named twice.
    """
    names = tuple(last_part(name) for name in asked)
    if len(set(names)) != len(names):
        raise client("The specified capacity providers contain duplicates.")
    own = [name for name in names if not is_fargate(name)]
    if len(own) > ITEMS_MAX:
        raise invalid(f"A cluster can have a maximum of {ITEMS_MAX} capacity providers.")
    if any(name not in known for name in own):
        raise invalid(
            "The specified capacity provider does not exist. Specify a valid name or ARN and try again."
        )
    return names
