"""What must hold of every bill, whatever was used."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.meter.bill import grouped, make_bill, totals
from cumulo.meter.charge import charge, share, tiers
from cumulo.meter.period import Month
from cumulo.meter.pricebook import PriceBooks
from cumulo.meter.records import Use, by_hour
from cumulo.meter.units import unit

BOOKS = PriceBooks()
BOOK = BOOKS.of("us-east-1")
MONTH = Month(2026, 11)
HOUR = int(MONTH.start()) // 3600
KINDS = [
    ("lambda", "requests"),
    ("lambda", "duration_x86"),
    ("lambda", "duration_arm64"),
    ("lambda", "ephemeral_storage"),
    ("logs", "ingestion"),
    ("logs", "ingestion_lambda"),
    ("apigateway", "rest_requests"),
    ("lightsail", "bundle:nano_3_0"),
]


def scale_of(service: str, kind: str) -> int:
    line = BOOK.line(service, kind)
    assert line is not None
    return unit(line.unit).atoms


@st.composite
def uses(draw: st.DrawFn) -> Use:
    service, kind = draw(st.sampled_from(KINDS))
    scale = scale_of(service, kind)
    units = draw(st.one_of(st.integers(0, 10), st.integers(0, 3_000_000), st.integers(0, 10**11)))
    return Use(
        draw(st.sampled_from(["1", "2"])),
        draw(st.sampled_from(["us-east-1", "eu-west-1"])),
        service,
        kind,
        draw(st.sampled_from(["f", "g", "h"])),
        HOUR,
        scale,
        units * scale + draw(st.integers(0, scale - 1)),
    )


def many() -> st.SearchStrategy[list[Use]]:
    return st.lists(uses(), max_size=12, unique_by=lambda use: use[:5])


def bill(found: list[Use]):
    return make_bill(found, BOOKS.of, MONTH, MONTH.end(), lambda _: True)


@given(many())
def test_the_total_is_the_sum_of_its_parts(found: list[Use]):
    made = bill(found)
    assert len(made.charges) == len(found)
    for key in ("service", "kind", "resource", "account", "region"):
        parts = grouped(made.charges, lambda use, key=key: getattr(use, key))
        assert sum((part.total for part in parts.values()), Decimal(0)) == made.totals.total
        assert sum((part.list_total for part in parts.values()), Decimal(0)) == made.totals.list_total


@given(many())
def test_the_free_tier_never_makes_negative_nor_dearer(found: list[Use]):
    made = bill(found)
    for one in made.charges:
        assert 0 <= one.free_atoms <= one.atoms
        assert one.amount >= 0
        assert all(part.atoms >= 0 and part.money >= 0 for part in one.parts)
        assert sum(part.atoms for part in one.parts) == one.atoms - one.free_atoms
        assert sum(part.atoms for part in one.list_parts) == one.atoms
    assert made.totals.total <= made.totals.list_total


@given(many())
def test_no_account_has_more_free_than_its_allowance(found: list[Use]):
    made = bill(found)
    for free in BOOK.free:
        for account in ("1", "2"):
            mine = [
                one
                for one in made.charges
                if one.use.account == account
                and one.use.service == free.service
                and one.use.kind in free.kinds
            ]
            used, given_free = sum(one.atoms for one in mine), sum(one.free_atoms for one in mine)
            scale = mine[0].scale if mine else 1
            assert given_free == min(used, int(free.quantity * scale))


@given(many(), st.data())
def test_usage_in_pieces_costs_what_it_costs_whole(found: list[Use], data: st.DataObject):
    pieces: list[Use] = []
    for use in found:
        cut = data.draw(st.integers(0, use.atoms))
        pieces += [
            use._replace(atoms=cut, resource=use.resource + "1"),
            use._replace(atoms=use.atoms - cut, resource=use.resource + "2"),
        ]
    assert bill(pieces).totals == bill(found).totals


@given(many(), st.randoms())
def test_the_order_of_usage_does_not_matter(found: list[Use], random):
    shuffled = list(found)
    random.shuffle(shuffled)
    assert sorted(charge(shuffled, BOOKS.of), key=lambda one: one.use) == sorted(
        charge(found, BOOKS.of), key=lambda one: one.use
    )


@given(st.sampled_from(KINDS), st.integers(0, 10**19), st.integers(0, 10**19))
def test_more_usage_of_a_kind_never_costs_less(kind: tuple[str, str], less: int, more: int):
    less, more = sorted((less, more))
    scale = scale_of(*kind)
    costs = [
        totals(charge([Use("1", "us-east-1", *kind, "f", HOUR, scale, atoms)], BOOKS.of))
        for atoms in (less, more)
    ]
    assert costs[0].total <= costs[1].total
    assert costs[0].list_total <= costs[1].list_total


@given(st.sampled_from(KINDS), st.lists(st.integers(0, 10**17), min_size=1, max_size=8))
def test_tiers_of_many_are_the_tiers_of_their_sum(kind: tuple[str, str], atoms: list[int]):
    line, scale = BOOK.line(*kind), scale_of(*kind)
    apart = tiers(line, atoms, scale)
    (whole,) = tiers(line, [sum(atoms)], scale)
    assert sum(part.money for parts in apart for part in parts) == sum(part.money for part in whole)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=20), st.data())
def test_shares_make_the_whole_and_none_exceeds_its_weight(weights: list[int], data: st.DataObject):
    total = data.draw(st.integers(0, sum(weights)))
    shares = share(total, weights)
    assert sum(shares) == total
    assert all(0 <= mine <= weight for mine, weight in zip(shares, weights, strict=True))


@given(st.integers(0, 10**13), st.integers(0, 10**9), st.integers(0, 10**15))
@settings(max_examples=50)
def test_hours_share_a_quantity_without_loss(start_ms: int, length_ms: int, atoms: int):
    shares = list(by_hour(start_ms, start_ms + length_ms, atoms))
    assert sum(share for _, share in shares) == atoms
    assert all(share >= 0 for _, share in shares)


@given(many(), st.floats(0.001, 1.2))
def test_a_forecast_is_never_below_what_is_owed(found: list[Use], part: float):
    now = MONTH.start() + (MONTH.end() - MONTH.start()) * part
    made = make_bill(found, BOOKS.of, MONTH, now, lambda _: True)
    assert made.forecast.list_total >= made.totals.list_total
