"""The bill as plain text, made from its JSON, for `cumulo bill`.  Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

LINES_SHOWN_MAX = 60
_Row = Sequence[str]


def table(bill: Mapping[str, Any], *, by_group: bool = False, explain: bool = False) -> str:
    """Lines (or groups), totals and forecast; `explain` shows the arithmetic of each line instead."""
    lines: list[Mapping[str, str]] = bill["lines"]
    text = [
        f"Bill for {bill['month']}, as of {bill['now']} ({bill['currency']}, prices of {bill['prices_as_of']})",
        "",
    ]
    if not lines:
        text.append("Nothing was used.")
    elif explain:
        text += _arithmetic(lines)
    elif by_group or len(lines) > LINES_SHOWN_MAX:
        text += _groups(bill)
    else:
        text += _lines(lines)
    text += ["", *_columns(_sums(bill), right=(1, 2))]
    if not explain and len(lines) > LINES_SHOWN_MAX and not by_group:
        text += ["", f"{len(lines):,} lines; --explain, --json or a filter show them."]
    if bill.get("lines_left_out"):
        text += ["", f"{bill['lines_left_out']:,} more lines are left out; a filter shows them."]
    text += ["", *(f"Note: {note}" for note in bill["notes"])] if bill["notes"] else []
    return "\n".join(text) + "\n"


def short(resource: str) -> str:
    """The name at the end of an ARN; anything else as it is."""
    return resource.rsplit(":", 1)[-1] if resource.startswith("arn:") else resource


def dollars(amount: str) -> str:
    """An amount to six places."""
    return f"${Decimal(amount):,.6f}"


def _arithmetic(lines: Sequence[Mapping[str, str]]) -> list[str]:
    rows = [(line["service"], line["kind"], short(line["resource"]), line["explain"]) for line in lines]
    return _columns([("SERVICE", "KIND", "RESOURCE", "ARITHMETIC"), *rows])


def _groups(bill: Mapping[str, Any]) -> list[str]:
    rows = [
        (short(found["name"]) or "-", dollars(found["total"]), dollars(found["list_total"]))
        for found in bill["groups"]
    ]
    return _columns([(str(bill["group"]).upper(), "AMOUNT", "LIST PRICE"), *rows], right=(1, 2))


def _lines(lines: Sequence[Mapping[str, str]]) -> list[str]:
    rows = [
        (
            line["service"],
            line["kind"],
            short(line["resource"]),
            f"{_digits(line['quantity'])} {line['unit']}".rstrip(),
            _digits(line["free_quantity"]),
            dollars(line["amount"]),
            dollars(line["list_amount"]),
        )
        for line in lines
    ]
    head = ("SERVICE", "KIND", "RESOURCE", "USED", "FREE", "AMOUNT", "LIST PRICE")
    return _columns([head, *rows], right=(3, 4, 5, 6))


def _sums(bill: Mapping[str, Any]) -> list[_Row]:
    forecast = bill["forecast"]
    return [
        ("", "WITH FREE TIER", "LIST PRICE"),
        ("So far", dollars(bill["total"]), dollars(bill["list_total"])),
        ("Forecast for the month", dollars(forecast["total"]), dollars(forecast["list_total"])),
    ]


def _digits(number: str) -> str:
    whole, _, rest = number.partition(".")
    return f"{int(whole):,}" + (f".{rest}" if rest else "")


def _columns(rows: Sequence[_Row], right: Sequence[int] = ()) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
