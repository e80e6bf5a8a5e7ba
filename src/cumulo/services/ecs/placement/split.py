"""How the tasks of a launch are shared out among capacity providers: first the base, then by weight."""

import math
import random
from collections.abc import Collection, Mapping, Sequence

import msgspec

from cumulo.services.ecs.model import Document
from cumulo.services.ecs.strategies import checked_strategy


class Share(msgspec.Struct, frozen=True):
    """What a strategy says of one provider."""

    provider: str
    weight: int = 0
    base: int = 0


def shares_of(strategy: Sequence[Document], associated: Collection[str]) -> tuple[Share, ...]:
    """A capacityProviderStrategy, checked against the providers of its cluster.  AwsError for what is none."""
    items = checked_strategy(strategy, associated)
    return tuple(Share(one["capacityProvider"], one["weight"], one["base"]) for one in items)


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
