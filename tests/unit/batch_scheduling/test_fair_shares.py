"""Weights, what is used over time, and what is kept for shares that are not there."""

import pytest

from cumulo.services.batch.scheduling.shares import Use, allowed_fraction, decay_of, weight_of

WEIGHTS = {"user1": 0.5, "team*": 2.0, "team-a*": 3.0}


@pytest.mark.parametrize(
    ("share", "weight"), [("user1", 0.5), ("user2", 1.0), ("team", 2.0), ("team-b", 2.0), ("team-a1", 3.0)]
)
def test_a_share_has_its_own_weight_or_that_of_its_longest_prefix_or_one(share, weight):
    assert weight_of(share, WEIGHTS) == weight


@pytest.mark.parametrize(("active", "allowed"), [(1, 0.5), (2, 0.75), (3, 0.875)])
def test_half_is_kept_then_half_of_that_for_each_share_that_is_active(active, allowed):
    assert allowed_fraction(50, active) == allowed
    assert allowed_fraction(0, active) == 1.0


def test_no_decay_time_means_the_least_window_of_ten_minutes():
    assert decay_of(0) == 600
    assert decay_of(60) == 60


def test_what_runs_counts_at_once_and_what_ran_fades():
    use = Use()
    use.change(1000, 0.0, 600)
    assert use.load(0.0, 600) == 1000
    assert 1990 < use.load(6000.0, 600) < 2000
    use.change(-1000, 6000.0, 600)
    assert 990 < use.load(6000.0, 600) < 1000
    assert use.load(12_000.0, 600) < 1


def test_it_does_not_matter_how_often_it_is_looked_at():
    seldom, often = Use(), Use()
    for use in (seldom, often):
        use.change(3000, 0.0, 100)
    for second in range(250):
        often.settle(second, 100)
    assert abs(seldom.load(250.0, 100) - often.load(250.0, 100)) < 1e-6
