"""How the tasks of a launch are shared out among capacity providers: first the base, then by weight."""

import math
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from cumulo.services.ecs.model import Document
from cumulo.services.ecs.refusals import invalid

ITEMS_MAX: Final = 20
FARGATE: Final = frozenset({"FARGATE", "FARGATE_SPOT"})


class Share(msgspec.Struct, frozen=True):
    """What a strategy says of one provider."""

    provider: str
    weight: int = 0
    base: int = 0


def shares_of(strategy: Sequence[Document], associated: Collection[str]) -> tuple[Share, ...]:
    """A capacityProviderStrategy, checked against the providers of its cluster.  AwsError for what is none."""
    if len(strategy) > ITEMS_MAX:
        raise invalid(
            f"The specified capacity provider strategy contains too many capacity providers. Up to {ITEMS_MAX}"
            " capacity providers can be specified. Reduce the number of capacity providers and try again."
        )
    shares = tuple(
        Share(str(one["capacityProvider"]), int(one.get("weight") or 0), int(one.get("base") or 0))
        for one in strategy
    )
    names = [share.provider for share in shares]
    if len(set(names)) < len(names):
        raise invalid("A capacity provider can only be specified once in a capacity provider strategy.")
    if len({name in FARGATE for name in names}) > 1:
        raise invalid(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups"
            " and Fargate providers. Specify one or the other and try again."
        )
    if not set(names) <= set(associated):
        raise invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated"
            " with the cluster. Associate the capacity provider with the cluster and try again."
        )
    if sum(share.base > 0 for share in shares) > 1:
        raise invalid(
            "Only one capacity provider in a capacity provider strategy can have a base value that is greater than 0."
        )
    if not any(share.weight for share in shares):
        raise invalid(
            "At least one capacity provider in a capacity provider strategy must have a weight greater than zero."
        )
    return shares


def split_by_chance(shares: Sequence[Share], count: int, chance: random.Random) -> list[str]:
    """Providers for the tasks of one RunTask.

    Weights hold exactly over many calls, however small each of them is: what does not divide is drawn.
    """
    chosen = _base(shares, count, {})
    rest = count - len(chosen)
    total = sum(share.weight for share in shares)
    draw = chance.random()
    reached = 0.0
    given = 0
    for share in shares:
        # Marks at draw, draw + 1, ... on a line of length `rest`, of which each provider has its part.
        reached += rest * share.weight / total
        upto = min(rest, math.ceil(max(0.0, reached - draw)))
        chosen += [share.provider] * (upto - given)
        given = max(given, upto)
    heaviest = max(shares, key=lambda share: share.weight)
    return chosen + [heaviest.provider] * (rest - given)


def split_onto(
    shares: Sequence[Share], count: int, held: Mapping[str, int], chance: random.Random
) -> list[str]:
    """Providers for further tasks of a service that has `held` tasks by provider: the whole comes to base and weights."""
    have = dict(held)
    chosen = _base(shares, count, have)
    for provider in chosen:
        have[provider] = have.get(provider, 0) + 1
    weighted = [share for share in shares if share.weight]
    while len(chosen) < count:
        best = min(weighted, key=lambda share: (_fullness(share, have), chance.random()))
        have[best.provider] = have.get(best.provider, 0) + 1
        chosen.append(best.provider)
    return chosen


def _base(shares: Sequence[Share], count: int, held: Mapping[str, int]) -> list[str]:
    for share in shares:
        if share.base:
            return [share.provider] * min(count, max(0, share.base - held.get(share.provider, 0)))
    return []


def _fullness(share: Share, held: Mapping[str, int]) -> float:
    beyond = max(0, held.get(share.provider, 0) - share.base)
    return (beyond + 1) / share.weight
