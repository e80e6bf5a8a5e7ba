"""The price book: what ships, and what users may put in its place."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from cumulo.meter.pricebook import BadPriceBook, PriceBooks
from cumulo.meter.units import UNITS


def write(path: Path, region: str, price: str = "1", **changes) -> Path:
    line = {"service": "lambda", "kind": "requests", "unit": "request", "tiers": [{"price": price}]} | changes
    path.write_text(json.dumps({"region": region, "currency": "USD", "as_of": "2027-01-01", "lines": [line]}))
    return path


def test_the_shipped_book_counts_every_line_in_a_unit_we_know():
    book = PriceBooks().of("us-east-1")
    assert {line.unit for line in book.lines()} <= set(UNITS)
    assert {line.service for line in book.lines()} == {
        "lambda", "logs", "apigateway", "batch", "ecs", "ec2", "ecr", "lightsail"
    }  # fmt: skip
    assert all(book.line(free.service, kind) for free in book.free for kind in free.kinds)


def test_a_region_without_a_book_uses_us_east_1():
    assert PriceBooks().of("ap-south-2").region == "us-east-1"
    assert PriceBooks().of("../../etc/passwd").region == "us-east-1"


def test_a_users_file_replaces_the_book(tmp_path: Path):
    books = PriceBooks(write(tmp_path / "mine.json", "us-east-1", "7"))
    line = books.of("eu-west-1").line("lambda", "requests")
    assert line is not None
    assert line.tiers[0].price == Decimal(7)


def test_a_users_folder_has_a_book_for_each_region(tmp_path: Path):
    write(tmp_path / "us-east-1.json", "us-east-1")
    write(tmp_path / "eu-west-1.json", "eu-west-1")
    books = PriceBooks(tmp_path)
    assert [books.of(region).region for region in ("eu-west-1", "eu-west-2")] == ["eu-west-1", "us-east-1"]


def test_a_folder_without_us_east_1_is_refused(tmp_path: Path):
    with pytest.raises(BadPriceBook, match=r"there is no us-east-1\.json"):
        PriceBooks(tmp_path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tiers": []}, "the last, and only the last"),
        ({"tiers": [{"price": "1", "up_to": "5"}]}, "the last, and only the last"),
        ({"tiers": [{"price": "1"}, {"price": "1"}]}, "the last, and only the last"),
        (
            {"tiers": [{"price": "1", "up_to": "5"}, {"price": "1", "up_to": "5"}, {"price": "1"}]},
            "whose up_to grow",
        ),
        ({"tiers": [{"price": "-1"}]}, "prices of zero or more"),
        ({"tiers": [{"price": "NaN"}]}, "prices of zero or more"),
        ({"per": 0}, "prices of zero or more"),
        ({"colour": "red"}, "unknown field"),
    ],
)
def test_a_book_that_makes_no_sense_is_refused_with_the_reason(tmp_path: Path, changes, why):
    with pytest.raises(BadPriceBook, match=why):
        PriceBooks(write(tmp_path / "mine.json", "us-east-1", **changes))


def test_a_book_that_is_no_json_is_refused(tmp_path: Path):
    (tmp_path / "mine.json").write_text("{")
    with pytest.raises(BadPriceBook, match="cannot be read"):
        PriceBooks(tmp_path / "mine.json")


def test_a_users_book_of_another_region_is_checked_at_start_too(tmp_path: Path):
    write(tmp_path / "us-east-1.json", "us-east-1")
    write(tmp_path / "eu-west-1.json", "eu-west-1", tiers=[])
    with pytest.raises(BadPriceBook, match=r"eu-west-1\.json"):
        PriceBooks(tmp_path)


def test_an_instances_hour_has_its_price_on_demand_and_as_a_spot_instance():
    books = PriceBooks()
    assert books.instance_hour("us-east-1", "m5.large", False) == pytest.approx(0.096)
    assert books.instance_hour("us-east-1", "m5.large", True) == pytest.approx(0.0384)
    assert books.instance_hour("us-east-1", "x9.odd", False) == 0.0
