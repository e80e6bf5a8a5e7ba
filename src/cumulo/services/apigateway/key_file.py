"""API keys as a file of comma-separated values.  Pure.

Name,Key,Description,Enabled,UsageplanIds
mine,apikey1234abcdefghij0123456789,a key,TRUE,"plan1,plan2"
"""

import csv
import io
from typing import Final

import msgspec

from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.patches import flag

LINES_MAX: Final = 10_000
_COLUMNS: Final = frozenset({"name", "key", "description", "enabled", "usageplanids"})


class KeyLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `number` is its place in the file."""

    number: int
    name: str
    value: str
    description: str
    enabled: bool
    plans: tuple[str, ...]


def read_keys(body: bytes) -> tuple[list[KeyLine], list[str]]:
    """The lines of a file, and warnings about columns that nobody knows.  BadRequestException for what is no such file."""
    try:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error):
        raise refusals.bad_request("Failed to import API keys: the body is not valid CSV") from None
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise refusals.bad_request("Failed to import API keys: the body is empty")
    names = [name.strip().lower() for name in rows[0]]
    if "name" not in names or "key" not in names:
        raise refusals.bad_request("Failed to import API keys: the columns name and key are required")
    if len(rows) > LINES_MAX + 1:
        raise refusals.too_many("API keys", "this account")
    warnings = [f"Unknown column: {name}" for name in names if name not in _COLUMNS]
    return [_line(at, names, row) for at, row in enumerate(rows[1:], 2)], warnings


def _line(number: int, names: list[str], row: list[str]) -> KeyLine:
    cells = dict(zip(names, (cell.strip() for cell in row), strict=False))
    plans = cells.get("usageplanids", "").replace(";", ",").split(",")
    return KeyLine(
        number=number,
        name=cells.get("name", ""),
        value=cells.get("key", ""),
        description=cells.get("description", ""),
        enabled=flag(cells.get("enabled", "true") or "true"),
        plans=tuple(one.strip() for one in plans if one.strip()),
    )
