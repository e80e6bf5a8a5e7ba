"""AWS's schedule expressions."""

import contextlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.schedules import BadSchedule, parse


def at(text: str, zone=UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("cron(0 10 * * ? *)", "2026-11-26T10:00", "2026-11-27T10:00"),
        ("cron(15 12 * * ? *)", "2026-11-26T10:00", "2026-11-26T12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-27T18:00", "2026-11-30T18:00"),
        ("cron(0 8 1 * ? *)", "2026-11-26T10:00", "2026-12-01T08:00"),
        ("cron(0/15 * * * ? *)", "2026-11-26T10:01", "2026-11-26T10:15"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-28T10:01", "2026-11-30T00:00"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-26T17:55", "2026-11-27T08:00"),
        ("cron(0 9 ? * 2#1 *)", "2026-11-26T10:00", "2026-12-07T09:00"),
        ("cron(0 9 ? * 6L *)", "2026-11-26T10:00", "2026-11-27T09:00"),
        ("cron(0 0 L * ? *)", "2026-02-01T00:00", "2026-02-28T00:00"),
        ("cron(0 0 LW * ? *)", "2026-02-01T00:00", "2026-02-27T00:00"),
        ("cron(0 0 1W * ? *)", "2026-07-31T01:00", "2026-08-03T00:00"),
        ("cron(0 0 29 2 ? *)", "2026-11-26T10:00", "2028-02-29T00:00"),
        ("cron(0 0 ? JAN SAT-SUN 2027)", "2026-11-26T10:00", "2027-01-02T00:00"),
        ("at(2026-12-24T18:00:00)", "2026-11-26T10:00", "2026-12-24T18:00"),
    ],
)
def test_when_it_is_due(expression, after, due):
    assert parse(expression).next(at(after)) == at(due)


def test_a_rate_counts_from_its_start():
    begun = at("2026-11-26T10:00")
    assert parse("rate(5 minutes)").next(begun + 301, start=begun) == begun + 600
    assert parse("rate(1 day)").next(begun, start=begun) == begun + 86400


def test_what_has_passed_is_never_due_again():
    assert parse("at(2020-01-01T00:00:00)").next(at("2026-11-26T10:00")) is None
    assert parse("cron(0 0 1 1 ? 2020)").next(at("2026-11-26T10:00")) is None


def test_a_zone_counts_and_so_does_its_daylight_saving():
    berlin = ZoneInfo("Europe/Berlin")
    daily = parse("cron(0 9 * * ? *)", "Europe/Berlin")
    assert daily.next(at("2026-03-28T12:00")) == at("2026-03-29T09:00", berlin)
    skipped = parse("cron(30 2 * * ? *)", "Europe/Berlin")  # on 29 March there is no 02:30
    assert skipped.next(at("2026-03-28T12:00")) == at("2026-03-30T02:30", berlin)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "every day",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(0 minutes)",
        "rate(5 weeks)",
        "cron(* * * * *)",
        "cron(0 0 * * * *)",
        "cron(0 0 ? * ? *)",
        "cron(60 0 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * MON#6 *)",
        "cron(0/0 0 * * ? *)",
        "cron(a 0 * * ? *)",
        "cron(0 0 * * ? 3000)",
        "at(2026-13-01T00:00:00)",
        "at(tomorrow)",
    ],
)
def test_nonsense_is_refused(expression):
    with pytest.raises(BadSchedule):
        parse(expression)


def test_an_unknown_zone_is_refused():
    with pytest.raises(BadSchedule):
        parse("cron(0 9 * * ? *)", "Nowhere/Land")


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(BadSchedule):
        parse(f"cron({text})")


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["*", "L", "15", "1,31", "10-20/3"]),
    st.floats(1.5e9, 2.5e9),
)
def test_the_next_moment_is_later_on_a_full_minute_and_fits(minute, hour, days, after):
    due = parse(f"cron({minute} {hour} {days} * ? *)").next(after)
    when = datetime.fromtimestamp(due, UTC)
    assert due > after
    assert (when.minute, when.hour, when.second) == (minute, hour, 0)
