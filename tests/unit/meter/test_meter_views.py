"""What `/_cumulo/bill` answers."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cumulo.base.clock import VirtualClock
from cumulo.base.ports import Usage
from cumulo.meter.meter import Meter
from cumulo.meter.period import Month
from cumulo.meter.pricebook import PriceBooks
from cumulo.meter.views import BillPage
from cumulo.state.journal import Journal
from cumulo.state.store import Store
from cumulo.wire.http import BytesBody, Headers, Request

NOVEMBER = Month(2026, 11)
START_MS = int(NOVEMBER.start()) * 1000
DAY_MS = 86_400_000
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:"


class TeamTags:
    def tags_of(self, account: str, region: str, service: str, resource: str) -> dict[str, str]:
        return {"team": "red"} if resource.endswith(":hello") else {}


def usage(kind: str, quantity: float, name: str, *, day: int = 0, service: str = "lambda") -> Usage:
    at = START_MS + day * DAY_MS
    return Usage("000000000000", "us-east-1", service, kind, name, quantity, at, at)


RECORDS = (
    usage("requests", 3_000_000, FUNCTION + "hello"),
    usage("requests", 1_000_000, FUNCTION + "world", day=1),
    usage("duration_x86", 500_000, FUNCTION + "hello", day=2),
    usage("ingestion", 7, "/aws/lambda/hello", service="logs"),
)


def ask(folder: Path, query: str, *, method: str = "GET", records: tuple[Usage, ...] = RECORDS) -> Any:
    async def main():
        store = Store(folder / "db")
        journal = Journal(folder / "journal", store)
        clock = VirtualClock(NOVEMBER.start() + 3 * 86400)
        meter = Meter(store, journal, clock, PriceBooks(), TeamTags())
        meter.record(*records)
        request = Request(method, "/_cumulo/bill", query, Headers([]), BytesBody(b""))
        response = await BillPage(meter).handle_bill(request)
        await journal.close()
        await store.close()
        return response

    response = asyncio.run(main())
    assert ("content-type", "application/json") in response.headers
    return response.status, json.loads(response.body)


def test_the_bill_has_totals_groups_and_lines(tmp_path: Path):
    status, bill = ask(tmp_path, "")
    assert status == 200
    assert (bill["month"], bill["currency"], bill["now"]) == ("2026-11", "USD", "2026-11-04T00:00:00Z")
    # 3 M requests to pay, 100,000 GB-s, and 2 GB of logs beyond the free 5
    assert bill["total"] == "3.26667"
    assert bill["list_total"] == "12.63335"
    assert bill["groups"] == [
        {"name": "lambda", "total": "2.26667", "list_total": "9.13335"},
        {"name": "logs", "total": "1.00", "list_total": "3.50"},
    ]
    assert sum(Decimal(line["amount"]) for line in bill["lines"]) == Decimal(bill["total"])
    assert bill["lines"][1] == {
        "account": "000000000000",
        "region": "us-east-1",
        "service": "lambda",
        "kind": "requests",
        "resource": FUNCTION + "hello",
        "unit": "requests",
        "quantity": "3000000",
        "free_quantity": "750000",
        "amount": "0.45",
        "list_amount": "0.60",
    }
    assert bill["forecast"]["list_total"] == "126.3335", "ten times the first three days"


def test_an_empty_cloud_owes_nothing(tmp_path: Path):
    status, bill = ask(tmp_path, "", records=())
    assert status == 200
    assert (bill["total"], bill["lines"], bill["forecast"]["total"]) == ("0.00", [], "0.00")


def test_explain_shows_the_arithmetic(tmp_path: Path):
    _, bill = ask(tmp_path, "explain=1")
    assert [line["explain"] for line in bill["lines"]] == [
        "500,000 GB-s - 400,000 free = 100,000 x $0.0000166667 = $1.666670",
        "3,000,000 requests - 750,000 free = 2,250,000 x $0.20 per 1M = $0.450000",
        "1,000,000 requests - 250,000 free = 750,000 x $0.20 per 1M = $0.150000",
        "7 GB - 5 free = 2 x $0.50 = $1.000000",
    ]


def test_explain_shows_every_tier_that_was_climbed(tmp_path: Path):
    records = (usage("rest_requests", 1_500_000_000, "api", service="apigateway"),)
    _, bill = ask(tmp_path, "explain=1", records=records)
    assert bill["lines"][0]["explain"] == (
        "1,500,000,000 requests: 333,000,000 x $3.50 per 1M + 667,000,000 x $2.80 per 1M"
        " + 500,000,000 x $2.38 per 1M = $4,223.100000"
    )


def test_a_filter_shows_less_and_changes_no_price(tmp_path: Path):
    _, bill = ask(tmp_path, "resource=hello&group=kind")
    assert {line["resource"] for line in bill["lines"]} == {FUNCTION + "hello", "/aws/lambda/hello"}
    _, bill = ask(tmp_path / "..", "service=logs")
    assert bill["total"] == "1.00"


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("kind", ["duration_x86", "ingestion", "requests"]),
        ("resource", [FUNCTION + "hello", "/aws/lambda/hello", FUNCTION + "world"]),
        ("account", ["000000000000"]),
        ("region", ["us-east-1"]),
        ("tag:team", ["red", ""]),
        ("day", ["2026-11-01", "2026-11-02", "2026-11-03"]),
        ("hour", ["2026-11-01T00:00Z", "2026-11-02T00:00Z", "2026-11-03T00:00Z"]),
    ],
)
def test_costs_are_grouped_as_asked(tmp_path: Path, group: str, names: list[str]):
    _, bill = ask(tmp_path, f"group={group}")
    assert [found["name"] for found in bill["groups"]] == names
    assert sum(Decimal(found["total"]) for found in bill["groups"]) == Decimal(bill["total"])


def test_another_month_has_another_bill(tmp_path: Path):
    _, bill = ask(tmp_path, "month=2026-10")
    assert (bill["month"], bill["total"], bill["lines"]) == ("2026-10", "0.00", [])


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("month=2026-13", "month must look like 2026-11, not '2026-13'"),
        ("month=", "month must look like 2026-11, not ''"),
        ("month=0000-01", "month must look like"),
        ("group=colour", "group must be one of service, kind"),
        ("group=tag:", "group must be one of service, kind"),
        ("explain=maybe", "explain must be 1 or 0"),
        ("colour=red", "Unknown parameter: colour"),
        ("service=a&service=b", "A parameter is given twice"),
        ("&".join(f"a{i}=1" for i in range(60)), "Max number of fields"),
    ],
)
def test_a_query_that_makes_no_sense_is_a_400_with_the_reason(tmp_path: Path, query: str, why: str):
    status, answer = ask(tmp_path, query)
    assert status == 400
    assert answer["message"].startswith(why)


def test_the_bill_can_only_be_read(tmp_path: Path):
    status, _ = ask(tmp_path, "", method="POST")
    assert status == 405
