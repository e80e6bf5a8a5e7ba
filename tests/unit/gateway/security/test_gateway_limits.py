"""Token buckets and the periods of quotas."""

from datetime import UTC, datetime

import msgspec
import pytest
from tests.gateway_kit import place

from cumulo.base.clock import VirtualClock
from cumulo.gateway.security.kept import Kept
from cumulo.gateway.security.quota import period, remaining
from cumulo.gateway.security.throttle import Buckets, TokenBucket


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = TokenBucket(2.0, 3)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.4), bucket.take(0.5), bucket.take(0.9), bucket.take(1.0)] == [
        False,
        True,
        False,
        True,
    ]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_of_nothing_lets_nothing_pass():
    assert not TokenBucket(0.0, 0).take(1e9)
    assert not TokenBucket(5.0, 0).take(1e9)


def test_time_that_goes_back_gives_no_tokens():
    bucket = TokenBucket(1.0, 1)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert not bucket.take(10.5)


def admits(buckets, scope="GET /pets", rate=1.0, burst=2, times=3, where=None):
    return [buckets.admit(where or place(), scope, rate=rate, burst=burst) for _ in range(times)]


def test_scopes_stages_and_apis_have_buckets_of_their_own():
    buckets = Buckets(VirtualClock())
    assert admits(buckets) == [True, True, False]
    assert admits(buckets, "GET /cats") == [True, True, False]
    assert admits(buckets, where=place(stage="dev")) == [True, True, False]
    assert admits(buckets, where=msgspec.structs.replace(place(), api_id="other")) == [True, True, False]
    assert admits(buckets) == [False, False, False]


def test_the_account_has_a_bucket_for_all():
    clock = VirtualClock()
    buckets = Buckets(clock, account_rate=1.0, account_burst=3)
    assert admits(buckets, rate=None, burst=None) == [True, True, True]
    assert admits(buckets, "GET /cats", times=1) == [False]
    clock.advance(1)
    assert admits(buckets, "GET /cats", times=2) == [True, False], (
        "what the account refused cost the scope nothing"
    )
    clock.advance(1)
    assert admits(buckets, "GET /cats", times=1) == [True]
    elsewhere = msgspec.structs.replace(place(), region="eu-west-1")
    assert admits(buckets, where=elsewhere, times=1) == [True]


def test_a_limit_that_changes_begins_anew():
    buckets = Buckets(VirtualClock())
    assert admits(buckets) == [True, True, False]
    assert admits(buckets, burst=1) == [True, False, False]


@pytest.mark.parametrize(("rate", "burst"), [(-1.0, -1), (None, None), (-1.0, None)])
def test_there_may_be_no_limit(rate, burst):
    assert all(admits(Buckets(VirtualClock()), rate=rate, burst=burst, times=100))


def test_a_limit_of_nothing_is_one():
    assert admits(Buckets(VirtualClock()), rate=0.0, burst=0) == [False, False, False]


def test_buckets_are_bounded():
    buckets = Buckets(VirtualClock(), buckets_max=10)
    for number in range(100):
        admits(buckets, f"GET /{number}", times=1)
    assert len(buckets) == 10


def day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("kind", "offset", "now", "begin", "end"),
    [
        ("DAY", 0, "2024-02-29T23:59:59", "2024-02-29", "2024-03-01"),
        ("DAY", 0, "2024-03-01T00:00:00", "2024-03-01", "2024-03-02"),
        ("WEEK", 0, "2024-05-15T12:00:00", "2024-05-12", "2024-05-19"),
        ("WEEK", 0, "2024-05-12T00:00:00", "2024-05-12", "2024-05-19"),
        ("WEEK", 3, "2024-05-14T12:00:00", "2024-05-08", "2024-05-15"),
        ("WEEK", 6, "2024-05-18T00:00:00", "2024-05-18", "2024-05-25"),
        ("MONTH", 0, "2024-02-29T12:00:00", "2024-02-01", "2024-03-01"),
        ("MONTH", 0, "2023-12-31T12:00:00", "2023-12-01", "2024-01-01"),
        ("MONTH", 27, "2024-01-27T23:00:00", "2023-12-28", "2024-01-28"),
        ("MONTH", 27, "2023-02-28T00:00:00", "2023-02-28", "2023-03-28"),
        ("MONTH", 14, "2024-03-01T00:00:00", "2024-02-15", "2024-03-15"),
    ],
)
def test_quotas_have_periods(kind, offset, now, begin, end):
    assert period(kind, offset, day(now)) == (day(begin), day(end))


def test_what_is_left_is_never_less_than_nothing():
    assert [remaining(3, used) for used in (0, 3, 4)] == [3, 0, 0]


def test_what_is_kept_is_bounded_by_number_weight_and_time():
    kept = Kept(count_max=3, weight_max=100)
    for name in "abcd":
        kept.put(name, name.upper(), 10.0, weight=20)
    assert [kept.get(name, 5.0) for name in "abcd"] == [None, "B", "C", "D"]
    kept.put("e", "E", 10.0, weight=70)
    assert [kept.get(name, 5.0) for name in "bcde"] == [None, None, "D", "E"]
    kept.put("f", "F", 10.0, weight=101)
    assert (kept.get("f", 5.0), len(kept)) == (None, 2)
    assert kept.get("e", 10.0) is None
    kept.put("d", "D2", 20.0, weight=100)
    assert (kept.get("d", 15.0), len(kept)) == ("D2", 1)
