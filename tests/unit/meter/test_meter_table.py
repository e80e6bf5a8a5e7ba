"""The bill as text."""

from typing import Any

from cumulo.meter.table import LINES_SHOWN_MAX, table


def bill(count: int, **changes: Any) -> dict[str, Any]:
    line = {
        "service": "lambda",
        "kind": "requests",
        "resource": "arn:aws:lambda:us-east-1:1:function:hello",
        "unit": "requests",
        "quantity": "1234567.5",
        "free_quantity": "0",
        "amount": "0.2469135",
        "list_amount": "0.2469135",
        "explain": "1 x 1 = 1",
    }
    return {
        "month": "2026-11",
        "now": "2026-11-23T00:00:00Z",
        "currency": "USD",
        "prices_as_of": "2026-11-01",
        "total": "0.2469135",
        "list_total": "1234.5",
        "forecast": {"total": "0.5", "list_total": "2000"},
        "group": "service",
        "groups": [{"name": "lambda", "total": "0.2469135", "list_total": "1234.5"}],
        "lines": [line] * count,
        "lines_left_out": 0,
        "notes": [],
    } | changes


def test_columns_are_aligned():
    assert table(bill(1)) == (
        "Bill for 2026-11, as of 2026-11-23T00:00:00Z (USD, prices of 2026-11-01)\n"
        "\n"
        "SERVICE  KIND      RESOURCE                  USED  FREE     AMOUNT  LIST PRICE\n"
        "lambda   requests  hello     1,234,567.5 requests     0  $0.246914   $0.246914\n"
        "\n"
        "                        WITH FREE TIER     LIST PRICE\n"
        "So far                       $0.246914  $1,234.500000\n"
        "Forecast for the month       $0.500000  $2,000.000000\n"
    )


def test_nothing_used_is_said_in_words():
    assert "\nNothing was used.\n" in table(bill(0))


def test_many_lines_are_summed_up_unless_they_are_asked_for():
    summed = table(bill(LINES_SHOWN_MAX + 1))
    assert "SERVICE     AMOUNT" in summed
    assert "61 lines; --explain, --json or a filter show them." in summed
    assert table(bill(LINES_SHOWN_MAX + 1), explain=True).count("1 x 1 = 1") == LINES_SHOWN_MAX + 1


def test_notes_and_what_was_left_out_are_at_the_end():
    text = table(bill(1, notes=["eu-west-1 is priced as us-east-1"], lines_left_out=1234))
    assert text.endswith(
        "1,234 more lines are left out; a filter shows them.\n\nNote: eu-west-1 is priced as us-east-1\n"
    )


def test_an_untagged_group_has_a_dash():
    assert "\n-      $0.000000" in table(
        bill(1, group="tag:x", groups=[{"name": "", "total": "0", "list_total": "0"}]), by_group=True
    )
