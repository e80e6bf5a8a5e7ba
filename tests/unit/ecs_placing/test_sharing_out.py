"""Capacity provider strategies: base, weights, and what is no strategy."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.errors import AwsError
from cumulo.services.ecs.placement.split import Share, shares_of, split_by_chance, split_onto

SHARES = (
    st.lists(st.integers(0, 1000), min_size=1, max_size=6)
    .filter(any)
    .map(lambda weights: tuple(Share(f"p{at}", weight) for at, weight in enumerate(weights)))
)


def with_base(shares, base, at):
    return tuple(
        Share(one.provider, one.weight, base if number == at % len(shares) else 0)
        for number, one in enumerate(shares)
    )


@given(SHARES, st.integers(1, 50), st.integers(0, 20), st.integers(0, 5), st.integers())
def test_a_run_gets_as_many_as_it_asks_for_the_base_first_and_its_part_of_the_rest(
    shares, count, base, at, seed
):
    shares = with_base(shares, base, at)
    given_out = split_by_chance(shares, count, random.Random(seed))
    assert len(given_out) == count
    counts = Counter(given_out)
    rest = max(0, count - base)
    total = sum(one.weight for one in shares)
    for share in shares:
        own_base = min(count, share.base)
        exact = rest * share.weight / total
        assert exact - 1 < counts[share.provider] - own_base < exact + 1, (share, counts)


@given(SHARES, st.integers())
def test_runs_of_one_task_come_to_the_weights_in_the_long_run(shares, seed):
    chance = random.Random(seed)
    runs = 4000
    counts = Counter(split_by_chance(shares, 1, chance)[0] for _ in range(runs))
    total = sum(one.weight for one in shares)
    for share in shares:
        assert abs(counts[share.provider] / runs - share.weight / total) < 0.05


@given(SHARES, st.lists(st.integers(1, 7), max_size=12), st.integers(0, 20), st.integers(0, 5), st.integers())
def test_a_services_tasks_come_to_the_same_however_they_were_started(shares, steps, base, at, seed):
    shares = with_base(shares, base, at)
    chance = random.Random(seed)
    held = Counter()
    for step in steps:
        chosen = split_onto(shares, step, held, chance)
        assert len(chosen) == step
        held.update(chosen)
    count = sum(steps)
    total = sum(one.weight for one in shares)
    for share in shares:
        own_base = min(count, share.base)
        assert held[share.provider] >= own_base
        exact = max(0, count - base) * share.weight / total
        # The part beyond the base never strays by more than a task for each other provider.
        assert abs(held[share.provider] - own_base - exact) <= len(shares)
        if not share.weight:
            assert held[share.provider] == own_base


@given(SHARES, st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=60), st.integers())
def test_a_services_tasks_find_back_to_the_weights_after_any_of_them_ended(shares, events, seed):
    chance = random.Random(seed)
    held = Counter()
    for begins, which in events:
        if begins or not held.total():
            held.update(split_onto(shares, 1, held, chance))
        else:
            held.subtract([sorted(held.elements())[which % held.total()]])
    wanted = max(held.total(), 1) * 200
    held.update(split_onto(shares, wanted - held.total(), held, chance))
    total = sum(one.weight for one in shares)
    for share in shares:
        assert abs(held[share.provider] / wanted - share.weight / total) < 0.1


KNOWN = ("FARGATE", "FARGATE_SPOT", "a", "b")


def item(provider, weight=1, base=0):
    return {"capacityProvider": provider, "weight": weight, "base": base}


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        ([item("FARGATE"), item("a")], "cannot contain a mix of capacity providers"),
        ([item("other")], "not associated with the cluster"),
        ([item("a", base=1), item("b", base=1)], "multiple capacity providers with a base value"),
        ([item("a", weight=0), item("b", weight=0)], "weight value greater than zero"),
        ([item("a"), item("a")], "duplicate"),
        ([item(f"p{number}") for number in range(21)], "maximum of 20"),
    ],
)
def test_what_is_no_strategy_is_refused(strategy, sentence):
    with pytest.raises(AwsError) as caught:
        shares_of(strategy, KNOWN)
    assert caught.value.code == "InvalidParameterException"
    assert sentence in caught.value.message


def test_a_missing_weight_is_zero():
    assert shares_of([{"capacityProvider": "a"}, item("b", 3, 2)], KNOWN) == (Share("a"), Share("b", 3, 2))
