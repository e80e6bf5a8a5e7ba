"""The fleet's decisions, without a fleet."""

from hypothesis import given
from hypothesis import strategies as st

from cumulo.services.lambda_.environment_states import ENVIRONMENT, Phase
from cumulo.services.lambda_.plan import (
    Bucket,
    Capacity,
    Load,
    Occupant,
    Reason,
    admit,
    choose,
    launches_wanted,
    make_room,
    rate_limit,
    reap,
)

small = st.integers(0, 50)


def test_every_state_of_an_environment_can_be_reached_and_only_stopped_is_final():
    assert ENVIRONMENT.reachable() == frozenset(Phase)
    assert ENVIRONMENT.terminal() == {Phase.STOPPED}


@given(limit=small, reserved_total=small, used=small, reserved=st.none() | small, function_used=small)
def test_nobody_is_admitted_beyond_a_limit_and_nobody_refused_below(
    limit, reserved_total, used, reserved, function_used
):
    reason = admit(Load(limit, reserved_total, used, reserved, function_used))
    if reserved is None:
        assert (reason is None) == (used + reserved_total < limit)
        assert reason in {None, Reason.CONCURRENCY}
    else:
        assert (reason is None) == (function_used < reserved)
        assert reason in {None, Reason.RESERVED_CONCURRENCY}


def test_requests_per_second_are_ten_times_the_concurrency_that_holds():
    assert rate_limit(Load(1000, 0, 0, None, 0)) == (10_000.0, Reason.RATE)
    assert rate_limit(Load(1000, 0, 0, 5, 0)) == (50.0, Reason.RESERVED_RATE)


@given(st.lists(st.floats(0, 2), max_size=200), st.floats(1, 50), st.floats(1, 20))
def test_a_bucket_never_gives_more_than_its_burst_and_what_came_back(gaps, rate, burst):
    bucket, now, taken = Bucket(0.0, burst), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now, rate, burst)
        assert taken <= burst + rate * now + 1e-6


def test_the_latest_used_environment_takes_the_call_and_a_reset_one_only_when_none_is_idle():
    assert choose(["old", "new"], ["reset"]) == "new"
    assert choose([], ["first", "second"]) == "second"
    assert choose([], []) is None


@given(waiting=small, starting=small, settling=small)
def test_one_launch_for_each_call_that_nothing_is_coming_for(waiting, starting, settling):
    wanted = launches_wanted(waiting=waiting, starting=starting, settling=settling)
    assert wanted >= 0
    assert wanted + starting + settling >= waiting
    assert wanted == 0 or wanted + starting + settling == waiting


occupants = st.lists(
    st.builds(Occupant, st.uuids().map(str), st.integers(128, 4096), st.floats(0, 1000)), max_size=20
)


@given(
    need=st.integers(128, 4096),
    busy=st.lists(st.integers(128, 4096), max_size=10),
    idle=occupants,
    memory=st.integers(128, 60_000),
    count=st.integers(1, 30),
    leaving=st.integers(0, 3),
)
def test_room_is_made_by_the_longest_idle_and_never_for_nothing(need, busy, idle, memory, count, leaving):
    leaving_mib = leaving * 128
    used = sum(busy) + sum(o.memory_mib for o in idle) + leaving_mib
    total = len(busy) + len(idle) + leaving
    room = make_room(
        need_mib=need,
        capacity=Capacity(memory_mib=memory, environments=count),
        used_mib=used,
        count=total,
        leaving_mib=leaving_mib,
        leaving=leaving,
        idle=idle,
    )
    assert room.fits == (used + need <= memory and total < count)
    if room.fits:
        assert room.evict == ()
        return
    gone = [o for o in idle if o.key in room.evict]
    kept = [o for o in idle if o.key not in room.evict]
    if gone:
        left = used - leaving_mib - sum(o.memory_mib for o in gone)
        assert left + need <= memory
        assert total - leaving - len(gone) < count
        assert max(o.used_at for o in gone) <= min((o.used_at for o in kept), default=float("inf"))


def test_the_idle_the_old_and_those_with_expiring_keys_are_reaped():
    idle = [
        Occupant("fresh", 128, used_at=95, born_at=90),
        Occupant("idle", 128, used_at=10, born_at=5),
        Occupant("old", 128, used_at=99, born_at=-9000),
        Occupant("keys", 128, used_at=99, born_at=90, expires_in=100),
    ]
    assert reap(idle, now=100, idle_seconds=60, age_seconds_max=3600) == ("idle", "old", "keys")
