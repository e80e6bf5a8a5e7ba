"""AWS's schedule expressions: cron(...), rate(...), at(...); when they are due.  Pure.

cron(minutes hours day-of-month month day-of-week year), as EventBridge and Application Auto Scaling write it: `,` `-` `*`
`/` everywhere, `?` and `L` and `W` for days of the month, `?` `L` and `#` for days of the week (1 or SUN to 7 or SAT).
"""

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"rate\(\s*(\d{1,9})\s+(minute|hour|day)(s?)\s*\)")
_AT = re.compile(r"at\(\s*(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\s*\)")
_CRON = re.compile(r"cron\(\s*(.+?)\s*\)")
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = dict(zip(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), range(1, 8), strict=True))
_YEARS = (1970, 2199)
_HORIZON_DAYS = 366 * 9  # a leap day on a given weekday may be so far away


class BadSchedule(ValueError):
    """The expression cannot be read; the message says which part of it."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule.  One of the three kinds has its fields."""

    every: float = 0.0  # seconds: rate
    once: float = 0.0  # since the epoch: at
    cron: "Cron | None" = None

    def next(self, after: float, *, start: float = 0.0) -> float | None:
        """The first moment after `after` at which it is due; None when there is none.  `start` is when a rate began."""
        if self.cron is not None:
            return self.cron.next(after)
        if self.every:
            return start + (max(0, int((after - start) // self.every)) + 1) * self.every
        return self.once if self.once > after else None


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A cron expression.  Days are kept as they were written, for they depend on the month."""

    minutes: frozenset[int]
    hours: frozenset[int]
    month_days: str
    months: frozenset[int]
    week_days: str
    years: frozenset[int]
    zone: str = "UTC"

    def next(self, after: float) -> float | None:
        """The first full minute after `after` that fits; None when there is none within nine years."""
        zone = _zone(self.zone)
        local = datetime.fromtimestamp(after, zone)
        day = local.date()
        for ahead in range(_HORIZON_DAYS):
            one = day + timedelta(days=ahead)
            if one.year > _YEARS[1]:
                return None
            if not self._fits(one):
                continue
            for moment in self._moments(one, zone):
                if moment > after:
                    return moment
        return None

    def _fits(self, day: date) -> bool:
        return (
            day.month in self.months
            and day.year in self.years
            and _fits_month_day(self.month_days, day)
            and _fits_week_day(self.week_days, day)
        )

    def _moments(self, day: date, zone: tzinfo) -> list[float]:
        times = [
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
            for hour in sorted(self.hours)
            for minute in sorted(self.minutes)
        ]
        # An hour that daylight saving leaves out does not come; one that comes twice counts once.
        return sorted({at.timestamp() for at in times if at.astimezone(UTC).astimezone(zone).hour == at.hour})


def parse(expression: str, zone: str = "UTC") -> Schedule:
    """Read an expression; `zone` is an IANA name.  BadSchedule."""
    text = expression.strip()
    where = _zone(zone)
    if found := _RATE.fullmatch(text):
        count, unit, plural = int(found[1]), found[2], found[3]
        if count < 1 or (count == 1) == bool(plural):
            raise BadSchedule("a rate is `1 minute` or `5 minutes`")
        return Schedule(every=float(count * _SECONDS[unit]))
    if found := _AT.fullmatch(text):
        try:
            return Schedule(once=datetime.fromisoformat(found[1]).replace(tzinfo=where).timestamp())
        except ValueError as error:
            raise BadSchedule(str(error)) from None
    if found := _CRON.fullmatch(text):
        return Schedule(cron=_cron(found[1].upper().split(), zone))
    raise BadSchedule("it must be cron(...), rate(...) or at(...)")


def _cron(fields: list[str], zone: str) -> Cron:
    if len(fields) != 6:
        raise BadSchedule("cron has six fields")
    minutes, hours, month_days, months, week_days, years = fields
    if (month_days == "?") == (week_days == "?"):
        raise BadSchedule("one of day-of-month and day-of-week must be ?")
    _check_month_days(month_days)
    _check_week_days(week_days)
    return Cron(
        minutes=_numbers(minutes, 0, 59),
        hours=_numbers(hours, 0, 23),
        month_days=month_days,
        months=_numbers(months, 1, 12, _MONTHS),
        week_days=week_days,
        years=_numbers(years, *_YEARS),
        zone=zone,
    )


def _numbers(field: str, least: int, most: int, names: Mapping[str, int] | None = None) -> frozenset[int]:
    """What a field of numbers, names, lists, ranges and steps means."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and 0 < int(step) <= most):
            raise BadSchedule(f"{part!r} has no good step")
        if span == "*":
            first, last = least, most
        else:
            begin, dash, end = span.partition("-")
            first = _number(begin, least, most, names)
            last = _number(end, least, most, names) if dash else (most if slash else first)
        if last < first:  # FRI-MON
            found.update(range(first, most + 1, int(step or 1)), range(least, last + 1, int(step or 1)))
        else:
            found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, least: int, most: int, names: Mapping[str, int] | None) -> int:
    number = (names or {}).get(text, -1)
    if number < 0:
        number = int(text) if text.isdecimal() and len(text) <= 4 else -1
    if not least <= number <= most:
        raise BadSchedule(f"{text!r} is not between {least} and {most}")
    return number


def _check_month_days(field: str) -> None:
    if field in ("?", "L", "LW"):
        return
    if re.fullmatch(r"\d{1,2}W", field):
        _number(field[:-1], 1, 31, None)
        return
    _numbers(field, 1, 31)


def _check_week_days(field: str) -> None:
    if field in ("?", "L"):
        return
    if (found := re.fullmatch(r"(\w{1,3})#([1-5])", field)) or (found := re.fullmatch(r"(\w{1,3}?)L", field)):
        _number(found[1], 1, 7, _DAYS)
    else:
        _numbers(field, 1, 7, _DAYS)


def _fits_month_day(field: str, day: date) -> bool:
    if field == "?":
        return True
    last = calendar.monthrange(day.year, day.month)[1]
    if field == "L":
        return day.day == last
    if field.endswith("W"):
        wanted = last if field == "LW" else min(int(field[:-1]), last)
        return day.day == _nearest_workday(day.year, day.month, wanted, last)
    return day.day in _numbers(field, 1, 31)


def _nearest_workday(year: int, month: int, wanted: int, last: int) -> int:
    weekday = date(year, month, wanted).weekday()
    if weekday == 5:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 6:
        return wanted + 1 if wanted < last else wanted - 2
    return wanted


def _fits_week_day(field: str, day: date) -> bool:
    if field == "?":
        return True
    number = (day.weekday() + 1) % 7 + 1
    if "#" in field:
        name, _, nth = field.partition("#")
        return number == _number(name, 1, 7, _DAYS) and (day.day - 1) // 7 + 1 == int(nth)
    if field == "L":
        return number == 7
    if field.endswith("L"):
        last = calendar.monthrange(day.year, day.month)[1]
        return number == _number(field[:-1], 1, 7, _DAYS) and day.day + 7 > last
    return number in _numbers(field, 1, 7, _DAYS)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSchedule(f"there is no time zone {name!r}") from None
