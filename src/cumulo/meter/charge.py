"""What usage costs: the free tier, then the tiers of the price, shared out exactly.  Pure.

AWS prices a kind of usage by month for an account in a region as a whole, and its free tier for the account in
all regions together.  Both are computed there, and then shared out to resources in proportion to what each
used, in whole numbers, so that the parts always make the sum.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm
from operator import mul, sub
from typing import NamedTuple

import msgspec

from cumulo.meter.pricebook import Free, Line, PriceBook
from cumulo.meter.records import Use

PLACES = 12  # amounts are whole numbers of 10^-12 dollars
_ATOM_OF_MONEY = 10**PLACES
Books = Callable[[str], PriceBook]


class Part(NamedTuple):
    """A quantity at one price: `atoms` of usage for `money` x 10^-12."""

    atoms: int
    price: Decimal
    money: int


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What one resource owes for one kind of usage.

    `atoms` were used, `free_atoms` of them for nothing; `scale` atoms make one unit.  `parts` is the arithmetic
    with the free tier, `list_parts` without it.  `line` is None when the price book has no price.
    """

    use: Use
    scale: int
    atoms: int
    free_atoms: int
    line: Line | None
    parts: tuple[Part, ...]
    list_parts: tuple[Part, ...]

    @property
    def amount(self) -> Decimal:
        """What is owed."""
        return money(sum(part.money for part in self.parts))

    @property
    def list_amount(self) -> Decimal:
        """What would be owed without a free tier."""
        return money(sum(part.money for part in self.list_parts))


def money(atoms: int) -> Decimal:
    """An amount in dollars."""
    return Decimal(atoms).scaleb(-PLACES)


def charge(uses: Iterable[Use], books: Books) -> list[Charge]:
    """Price the usage of one month."""
    found: list[Charge] = []
    for pool, groups in _pools(uses, books).items():
        scale = lcm(*(use.scale for members in groups.values() for use in members))
        sums = [sum(_atoms(members, scale)) for members in groups.values()]
        free = int(pool.free.quantity * scale) if pool.free else 0
        # To regions and kinds first: what these owe must not depend on how many resources shared the usage.
        shares = share(min(free, sum(sums)), sums)
        for members, mine in zip(groups.values(), shares, strict=True):
            found += _price(members, mine, scale, books)
    return found


class _Pool(NamedTuple):
    """What shares a free allowance: an account's kinds of usage, or (without an allowance) one kind."""

    account: str
    service: str
    kinds: tuple[str, ...]
    free: Free | None


_Groups = dict[tuple[str, str], list[Use]]  # by region and kind


def _pools(uses: Iterable[Use], books: Books) -> dict[_Pool, _Groups]:
    # Sorted, so that the remainder of a division always goes to the same resource.
    pools: dict[_Pool, _Groups] = {}
    known: dict[tuple[str, str, str], _Pool] = {}
    for use in sorted(uses):
        key = (use.account, use.service, use.kind)
        if key not in known:
            free = _allowance(books(use.region), use.service, use.kind)
            known[key] = _Pool(use.account, use.service, free.kinds if free else (use.kind,), free)
        pools.setdefault(known[key], {}).setdefault((use.region, use.kind), []).append(use)
    return pools


def _allowance(book: PriceBook, service: str, kind: str) -> Free | None:
    return next((free for free in book.free if free.service == service and kind in free.kinds), None)


def _atoms(members: Iterable[Use], scale: int) -> list[int]:
    return [use.atoms * (scale // use.scale) for use in members]


def _price(members: Sequence[Use], free: int, scale: int, books: Books) -> list[Charge]:
    """Price one kind of usage of an account in a region, of which `free` atoms cost nothing."""
    line = books(members[0].region).line(members[0].service, members[0].kind)
    atoms = _atoms(members, scale)
    free_atoms = share(free, atoms)
    parts = tiers(line, list(map(sub, atoms, free_atoms)), scale)
    list_parts = tiers(line, atoms, scale)
    return [
        Charge(use=use, scale=scale, line=line, atoms=used, free_atoms=free, parts=owed, list_parts=listed)
        for use, used, free, owed, listed in zip(members, atoms, free_atoms, parts, list_parts, strict=True)
    ]


def tiers(line: Line | None, atoms: Sequence[int], scale: int) -> list[tuple[Part, ...]]:
    """The priced parts of each quantity, when all of them together climb the tiers of a price."""
    parts: list[list[Part]] = [[] for _ in atoms]
    if line is None:
        return [() for _ in atoms]
    left, total, climbed = list(atoms), sum(atoms), 0
    for tier in line.tiers:
        bound = total if tier.up_to is None else min(total, int(tier.up_to * scale))
        width = bound - climbed
        if width <= 0:
            continue
        climbed = bound
        shares = share(width, left)
        cost = round(Fraction(tier.price) * width * _ATOM_OF_MONEY / (scale * line.per))
        costs = share(cost, shares)
        left = list(map(sub, left, shares))
        for mine, count, owed in zip(parts, shares, costs, strict=True):
            if count:
                mine.append(Part(count, tier.price, owed))
    return [tuple(mine) for mine in parts]


def share(total: int, weights: Sequence[int]) -> list[int]:
    """Share a whole number out in proportion to weights, without loss: the largest remainders get what is left.

    No share exceeds its weight as long as `total` does not exceed their sum.
    """
    whole = sum(weights)
    if whole == 0:
        assert total == 0, "there is nobody to share with"
        return [0] * len(weights)
    products = list(map(mul, weights, [total] * len(weights)))
    shares = [product // whole for product in products]
    left = total - sum(shares)
    if left:
        order = sorted(range(len(weights)), key=lambda index: (-(products[index] % whole), index))
        for index in order[:left]:
            shares[index] += 1
    return shares
