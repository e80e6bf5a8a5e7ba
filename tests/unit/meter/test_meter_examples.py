"""The bill against the worked examples of AWS's own Lambda pricing page and tiers."""

from decimal import Decimal

import pytest

from cumulo.meter.bill import make_bill
from cumulo.meter.period import Month, month_of
from cumulo.meter.pricebook import Line, PriceBook, PriceBooks, PriceFile, Tier
from cumulo.meter.records import Use
from cumulo.meter.units import unit

NOVEMBER = Month(2026, 11)
HOUR = int(NOVEMBER.start()) // 3600
CENT = Decimal("0.01")


def use(
    kind: str, quantity: float, resource: str = "f", *, account="1", region="us-east-1", service="lambda"
):
    book = PriceBooks().of("us-east-1")
    line = book.line(service, kind)
    scale = unit(line.unit).atoms if line else 10**9
    return Use(account, region, service, kind, resource, HOUR, scale, round(quantity * scale))


def bill(uses, books=None):
    return make_bill(uses, (books or PriceBooks()).of, NOVEMBER, NOVEMBER.end(), lambda _: True)


def gb_s(calls: float, ms: float, mib: float) -> float:
    return calls * ms / 1000 * mib / 1024


def test_a_mobile_backend_of_three_million_calls_costs_2_73():
    made = bill([use("requests", 3e6), use("duration_x86", gb_s(3e6, 120, 1536))])
    assert made.totals.total.quantize(CENT) == Decimal("2.73")


def test_telemetry_of_ten_thousand_vehicles_lists_at_249_49():
    """The page leaves the free tier out of this example; 7.44 M x 2 s at 1,024 MB."""
    made = bill([use("requests", 7_440_000), use("duration_x86", gb_s(7_440_000, 2000, 1024))])
    assert made.totals.list_total.quantize(CENT) == Decimal("249.49")


def test_support_tickets_with_more_ephemeral_storage_cost_106_41():
    made = bill(
        [
            use("requests", 6e6),
            use("duration_x86", gb_s(6e6, 280, 4096)),
            use("ephemeral_storage", gb_s(6e6, 280, 2048 - 512)),
        ]
    )
    assert made.totals.total.quantize(CENT) == Decimal("106.41")


def test_a_launch_with_provisioned_concurrency_costs_19_96():
    """The free tier does not reach what ran on provisioned concurrency."""
    made = bill(
        [
            use("provisioned_concurrency_x86", 150 * 28_800),
            use("requests", 3e6),
            use("provisioned_duration_x86", gb_s(500_000, 100, 1536)),
            use("duration_x86", gb_s(2_500_000, 120, 1536)),
        ]
    )
    # The page rounds each line to the cent before it adds them: 18 + 0.40 + 0.73 + 0.83.
    rounded = sum(charge.amount.quantize(CENT) for charge in made.charges)
    assert rounded == Decimal("19.96")


def test_cyber_monday_on_provisioned_concurrency_lists_at_32_26():
    made = bill(
        [
            use("provisioned_concurrency_x86", 28 * 86_400),
            use("provisioned_duration_x86", gb_s(2e6, 280, 4096)),
            use("requests", 2e6),
        ]
    )
    assert made.totals.list_total.quantize(CENT) == Decimal("32.26")


def test_the_older_page_with_its_older_price_says_18_74():
    class OlderBooks:
        def of(self, _region: str) -> PriceBook:
            lines = (
                Line("lambda", "requests", "request", (Tier(Decimal("0.20")),), 1_000_000),
                Line("lambda", "duration_x86", "GB-second", (Tier(Decimal("0.00001667")),)),
            )
            free = PriceBooks().of("us-east-1").free
            return PriceBook(PriceFile("us-east-1", "USD", "2019-01-01", lines, free))

    made = bill([use("requests", 3e6), use("duration_x86", gb_s(3e6, 1000, 512))], OlderBooks())
    assert made.totals.total.quantize(CENT) == Decimal("18.74")


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("duration_x86", 6_000_000_000, 15_000_000_000), ("duration_arm64", 7_500_000_000, 18_750_000_000)],
)
def test_duration_is_cheaper_in_each_tier(kind: str, first: int, second: int):
    line = PriceBooks().of("us-east-1").line("lambda", kind)
    assert line is not None
    prices = [tier.price for tier in line.tiers]
    assert [round(price / prices[0], 2) for price in prices] == [1, Decimal("0.90"), Decimal("0.80")]
    made = bill([use(kind, second + 1_000_000_000 + 400_000)])
    expected = first * prices[0] + (second - first) * prices[1] + 1_000_000_000 * prices[2]
    assert made.totals.total == expected


def test_a_tier_is_climbed_by_all_functions_of_an_account_in_a_region_together():
    apart = bill([use("duration_x86", 4e9, "f"), use("duration_x86", 4e9, "g")])
    together = bill([use("duration_x86", 8e9, "f")])
    elsewhere = bill([use("duration_x86", 4e9, "f"), use("duration_x86", 4e9, "g", region="eu-west-1")])
    assert apart.totals == together.totals
    assert elsewhere.totals.total > together.totals.total


def test_the_free_tier_is_one_for_both_architectures_and_all_regions_of_an_account():
    made = bill(
        [
            use("duration_x86", 400_000, "f"),
            use("duration_arm64", 300_000, "g"),
            use("duration_arm64", 100_000, "h", region="eu-west-1"),
            use("duration_x86", 400_000, "f", account="2"),
        ]
    )
    free = {
        (charge.use.account, charge.use.resource): Decimal(charge.free_atoms) / charge.scale
        for charge in made.charges
    }
    assert free == {("1", "f"): 200_000, ("1", "g"): 150_000, ("1", "h"): 50_000, ("2", "f"): 400_000}


def test_sixty_terabytes_of_lambda_logs_list_at_12_500():
    made = bill([use("ingestion_lambda", 60_000, "/aws/lambda/f", service="logs")])
    # 10 TB at .50, 20 at .25, 20 at .10, 10 at .05
    assert made.totals.list_total == Decimal(5000 + 5000 + 2000 + 500)


def test_a_lightsail_month_of_31_days_costs_its_monthly_price_and_no_more():
    made = bill([use("bundle:nano_3_0", 744, "blog", service="lightsail")])
    assert made.totals.total == Decimal(5)


def test_what_has_no_price_is_named_and_not_silently_free():
    made = bill([use("telepathy", 3)])
    assert made.totals.total == 0
    assert made.notes == ("no price is known, so nothing is charged, for: lambda telepathy",)


def test_another_region_is_priced_as_us_east_1_and_says_so():
    made = bill([use("requests", 3e6, region="eu-west-1")])
    assert made.totals.total == Decimal("0.4")
    assert made.notes == ("eu-west-1 is priced as us-east-1",)


def test_the_forecast_goes_on_at_the_pace_since_the_first_use():
    """Half of the free requests were used in a tenth of the month: nothing is owed yet, but will be."""
    now = NOVEMBER.start() + (NOVEMBER.end() - NOVEMBER.start()) / 10
    made = make_bill([use("requests", 500_000)], PriceBooks().of, NOVEMBER, now, lambda _: True)
    assert made.totals.total == 0
    assert made.forecast.total == Decimal("0.8")  # 5 M requests, 1 M of them free
    assert made.forecast.list_total == Decimal(1)


def test_the_forecast_of_a_past_month_is_its_bill():
    made = bill([use("requests", 5e6)])
    assert made.forecast == made.totals


def test_months_begin_and_end_in_utc():
    start = NOVEMBER.start()
    assert (month_of(start - 0.001), month_of(start)) == (Month(2026, 10), NOVEMBER)
    assert month_of(Month(2026, 12).end()) == Month(2027, 1)
