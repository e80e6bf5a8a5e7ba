"""The allocation strategies."""

import pytest

from cumulo.services.batch.scheduling.facts import Environment, Kind, Need
from cumulo.services.batch.scheduling.launching import ARRIVAL_SECONDS_MAX, Launching

SMALL = Kind("c5.large", 2000, 4000, 0.085, 0.04)
MIDDLE = Kind("m5.large", 2000, 8000, 0.096, 0.03)
LARGE = Kind("m5.4xlarge", 16_000, 64_000, 0.768, 0.24)
ONE = Need(vcpus=1000, memory=1000)


def launching(strategy, kind="EC2", kinds=(LARGE, MIDDLE, SMALL), **fields):
    return Launching(
        Environment(arn="ce", kind=kind, strategy=strategy, kinds=kinds, max_vcpus=64_000, **fields)
    )


def order(plan, need=ONE, tasks=1, now=0.0):
    return [kind.name for kind in plan.candidates(need, tasks, now)]


def test_best_fit_takes_the_type_on_which_it_all_costs_least():
    plan = launching("BEST_FIT")
    assert order(plan)[0] == "c5.large"
    assert order(plan, Need(vcpus=1000, memory=5000))[0] == "m5.large"
    assert order(plan, Need(vcpus=9000, memory=5000)) == ["m5.4xlarge"]


def test_best_fit_waits_for_its_type_and_progressive_takes_the_next():
    for strategy, others in (("BEST_FIT", []), ("BEST_FIT_PROGRESSIVE", ["m5.large", "m5.4xlarge"])):
        plan = launching(strategy)
        plan.ask("c5.large", 3)
        until = plan.failed("c5.large", 3, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", 0.0)
        assert order(plan) == others
        assert order(plan, now=until)[0] == "c5.large"
        assert (plan.failing(ONE, 0.0) is not None) == (strategy == "BEST_FIT")


def test_failures_in_a_row_are_left_alone_for_twice_as_long_up_to_ten_minutes():
    plan = launching("BEST_FIT")
    waits = [plan.failed("c5.large", 1, "x", 0.0) for _ in range(9)]
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    plan.launched("c5.large", 1, 0.0)
    assert plan.failed("c5.large", 1, "x", 0.0) == 10


def test_progressive_prefers_cheap_vcpus_and_then_the_size_that_is_not_wasted():
    assert order(launching("BEST_FIT_PROGRESSIVE")) == ["c5.large", "m5.large", "m5.4xlarge"]
    plan = launching("BEST_FIT_PROGRESSIVE", kinds=(LARGE, MIDDLE))
    assert order(plan)[0] == "m5.large"
    assert order(plan, Need(vcpus=3000, memory=1)) == ["m5.4xlarge"]


def test_ordered_strategies_keep_the_order_of_instance_types():
    assert order(launching("BEST_FIT_PROGRESSIVE_ORDERED"))[0] == "m5.4xlarge"
    assert order(launching("SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", "SPOT"))[0] == "m5.4xlarge"


def test_capacity_optimized_goes_by_the_depth_that_the_spot_price_tells_and_away_from_trouble():
    plan = launching("SPOT_CAPACITY_OPTIMIZED", "SPOT")
    assert order(plan)[0] == "m5.large"  # 31 % of its on-demand price
    plan.trouble("m5.large", 0.0)
    plan.trouble("m5.4xlarge", 0.0)
    assert order(plan)[0] == "c5.large"
    assert order(plan, now=3600.0)[0] == "m5.large"


def test_price_capacity_optimized_goes_by_the_spot_price_of_a_vcpu():
    assert order(launching("SPOT_PRICE_CAPACITY_OPTIMIZED", "SPOT"))[0] == "m5.large"
    kinds = (LARGE, MIDDLE, Kind("c6.large", 2000, 4000, 0.03, 0.029))
    assert order(launching("SPOT_PRICE_CAPACITY_OPTIMIZED", "SPOT", kinds))[0] == "c6.large"


def test_types_above_the_bid_are_not_to_be_had():
    plan = launching("BEST_FIT", "SPOT", bid_percentage=32)
    assert order(plan) == ["m5.large", "m5.4xlarge"]
    plan = launching("BEST_FIT", "SPOT", bid_percentage=10)
    assert order(plan) == []
    assert plan.failing(ONE, 0.0) is not None


@pytest.mark.parametrize(
    ("strategy", "kind", "count"),
    [("BEST_FIT", "EC2", 0), ("BEST_FIT_PROGRESSIVE", "EC2", 1), ("BEST_FIT", "SPOT", 1)],
)
def test_only_on_demand_best_fit_never_exceeds_the_maximum(strategy, kind, count):
    plan = launching(strategy, kind)
    assert plan.launchable(LARGE, 15_000) == count
    assert plan.launchable(LARGE, 0) == 0
    assert plan.launchable(LARGE, 33_000) == 2 + count


def test_what_is_on_its_way_is_counted_until_it_is_there_or_given_up():
    plan = launching("BEST_FIT")
    plan.ask("m5.large", 3)
    assert plan.vcpus == 6000
    plan.launched("m5.large", 2, 0.0)
    plan.failed("m5.large", 1, "x", 0.0)
    assert plan.on_its_way() == {"m5.large": 2}
    plan.arrived("m5.large")
    assert plan.vcpus == 2000
    assert not plan.give_up(ARRIVAL_SECONDS_MAX - 1)
    assert plan.give_up(ARRIVAL_SECONDS_MAX)
    assert plan.vcpus == 0
