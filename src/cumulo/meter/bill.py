"""The bill of a month: charges, totals with and without the free tier, and a forecast.  Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import msgspec

from cumulo.base.caller import DEFAULT_REGION
from cumulo.meter.charge import Books, Charge, charge
from cumulo.meter.period import Month
from cumulo.meter.records import Use

_FORECAST_FROM_SECONDS = 3600.0  # less usage than this tells nothing about a month


class Totals(msgspec.Struct, frozen=True):
    """`total` with the free tier, `list_total` without it."""

    total: Decimal
    list_total: Decimal


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What an account owes for a month so far, and what the month will come to at this pace."""

    month: Month
    now: float
    currency: str
    prices_as_of: str
    charges: tuple[Charge, ...]
    totals: Totals
    forecast: Totals
    notes: tuple[str, ...]


def make_bill(
    uses: Sequence[Use], books: Books, month: Month, now: float, keep: Callable[[Use], bool]
) -> Bill:
    """Price a month's usage and show what `keep` says of it.

    Tiers and free tier count for everything that was used, whatever is shown.
    """
    charges = tuple(found for found in charge(uses, books) if keep(found.use))
    later = [found for found in charge(at_month_end(uses, month, now), books) if keep(found.use)]
    book = books(DEFAULT_REGION)
    return Bill(
        month=month,
        now=now,
        currency=book.currency,
        prices_as_of=book.as_of,
        charges=charges,
        totals=totals(charges),
        forecast=totals(later),
        notes=tuple(_notes(charges, books)),
    )


def totals(charges: Iterable[Charge]) -> Totals:
    """Add charges up."""
    total = list_total = Decimal(0)
    for found in charges:
        total += found.amount
        list_total += found.list_amount
    return Totals(total, list_total)


def grouped(charges: Iterable[Charge], key: Callable[[Use], str]) -> dict[str, Totals]:
    """Totals by a key, the dearest first."""
    groups: dict[str, list[Charge]] = defaultdict(list)
    for found in charges:
        groups[key(found.use)].append(found)
    sums = {name: totals(members) for name, members in groups.items()}
    return dict(sorted(sums.items(), key=lambda item: (-item[1].total, -item[1].list_total, item[0])))


def at_month_end(uses: Sequence[Use], month: Month, now: float) -> list[Use]:
    """The usage a month will have if it goes on as since its first use; a past month's is what it was."""
    if not uses or now >= month.end():
        return list(uses)
    first = max(month.start(), min(use.hour for use in uses) * 3600.0)
    elapsed = int(max(now - first, _FORECAST_FROM_SECONDS))
    remaining = int(max(0.0, month.end() - now))
    return [use._replace(atoms=use.atoms + use.atoms * remaining // elapsed) for use in uses]


def _notes(charges: Iterable[Charge], books: Books) -> Iterable[str]:
    unknown: set[str] = set()
    unsure: set[str] = set()
    borrowed: set[str] = set()
    for found in charges:
        name = f"{found.use.service} {found.use.kind}"
        book = books(found.use.region)
        if found.line is None:
            unknown.add(name)
        elif not found.line.confirmed:
            unsure.add(name)
        if book.region != found.use.region:
            borrowed.add(f"{found.use.region} is priced as {book.region}")
    if unknown:
        yield f"no price is known, so nothing is charged, for: {', '.join(sorted(unknown))}"
    if unsure:
        yield f"the price is not confirmed for: {', '.join(sorted(unsure))}"
    yield from sorted(borrowed)
