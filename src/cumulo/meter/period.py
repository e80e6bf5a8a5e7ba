"""Months in UTC: the period that AWS bills, and in which tiers and free tiers count."""

import re
from datetime import UTC, datetime

import msgspec

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


class Month(msgspec.Struct, frozen=True, order=True):
    """A calendar month."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    def start(self) -> float:
        """Its first second, since the epoch."""
        return datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()

    def end(self) -> float:
        """The second after its last."""
        after = Month(self.year + 1, 1) if self.month == 12 else Month(self.year, self.month + 1)
        return after.start()

    def hours(self) -> tuple[int, int]:
        """Its first hour since the epoch, and the hour after its last."""
        return int(self.start()) // 3600, int(self.end()) // 3600


def month_of(seconds: float) -> Month:
    """The month that a moment is in."""
    at = datetime.fromtimestamp(seconds, UTC)
    return Month(at.year, at.month)


def parse_month(text: str) -> Month | None:
    """2026-11 as a month; None when it is none."""
    found = _MONTH.fullmatch(text)
    year = int(found[1]) if found else 0
    return Month(year, int(found[2])) if found and 1970 <= year < 9999 else None
