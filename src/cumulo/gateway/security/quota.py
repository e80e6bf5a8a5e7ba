"""When a usage plan's quota begins anew.  Pure; all times are UTC, as API Gateway counts them.

DAY    at midnight                                     offset 0
WEEK   on Sunday, or `offset` days later               offset 0 to 6
MONTH  on the first, or `offset` days later            offset 0 to 27
"""

from datetime import UTC, datetime, timedelta

OFFSETS_MAX = {"DAY": 0, "WEEK": 6, "MONTH": 27}
_DAY_SECONDS = 86_400


def period(kind: str, offset: int, now: float) -> tuple[float, float]:
    """Beginning and end (seconds since the epoch, the end belongs to the next) of the period that `now` is in."""
    assert 0 <= offset <= OFFSETS_MAX[kind], "the control plane checks it"
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "DAY":
        return midnight.timestamp(), midnight.timestamp() + _DAY_SECONDS
    if kind == "WEEK":
        begin = midnight - timedelta(days=(midnight.isoweekday() - offset) % 7)
        return begin.timestamp(), begin.timestamp() + 7 * _DAY_SECONDS
    begin = midnight.replace(day=offset + 1)
    if begin > midnight:
        begin = _first_of_month(begin - timedelta(days=offset + 1)).replace(day=offset + 1)
    end = (_first_of_month(begin) + timedelta(days=32)).replace(day=offset + 1)
    return begin.timestamp(), end.timestamp()


def remaining(limit: int, used: int) -> int:
    """How many requests are left, never less than none."""
    return max(0, limit - used)


def _first_of_month(day: datetime) -> datetime:
    return day.replace(day=1)
