"""Who gets the next request."""

import asyncio
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cumulo.base.clock import VirtualClock
from cumulo.net.pool import Algorithm, Backend, Mark, Pool, ramp

ALGORITHMS = st.sampled_from(list(Algorithm))


def pool_of(
    weights: list[float], algorithm: Algorithm = Algorithm.ROUND_ROBIN, slow_start: float = 0.0
) -> tuple[Pool, list[Backend], VirtualClock]:
    clock = VirtualClock()
    pool = Pool(algorithm, random=random.Random(7), now=clock.monotonic, slow_start_seconds=slow_start)
    backends = [Backend("10.0.0.1", port, weight=weight) for port, weight in enumerate(weights, 1)]
    for backend in backends:
        pool.add(backend)
    return pool, backends, clock


def picks(pool: Pool, count: int) -> Counter[Backend]:
    counter: Counter[Backend] = Counter()
    for _ in range(count):
        backend = pool.pick()
        assert backend is not None
        counter[backend] += 1
    return counter


@given(st.integers(1, 9), st.integers(1, 20))
def test_round_robin_gives_each_the_same(size: int, rounds: int) -> None:
    pool, backends, _ = pool_of([1.0] * size)
    counter = picks(pool, size * rounds)
    assert all(counter[backend] == rounds for backend in backends)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_weighted_round_robin_is_exact_over_a_whole_turn(weights: list[int]) -> None:
    pool, backends, _ = pool_of([float(weight) for weight in weights])
    counter = picks(pool, sum(weights) * 3)
    if len(set(weights)) > 1:
        assert [counter[backend] for backend in backends] == [weight * 3 for weight in weights]
    else:
        assert len(set(counter.values())) == 1


def test_weighted_round_robin_spreads_its_turns() -> None:
    pool, backends, _ = pool_of([3.0, 1.0])
    turns = [pool.pick() for _ in range(4)]
    assert turns.count(backends[0]) == 3
    assert turns[0] is turns[1] is backends[0] or turns[1] is backends[1]
    assert turns.index(backends[1]) in {1, 2}


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8))
def test_least_outstanding_takes_the_least_busy(loads: list[int]) -> None:
    pool, backends, _ = pool_of([1.0] * len(loads), Algorithm.LEAST_OUTSTANDING)
    for backend, load in zip(backends, loads, strict=True):
        backend.in_flight = load
    picked = pool.pick()
    assert picked is not None
    assert picked.in_flight == min(loads)


def test_least_outstanding_gives_equals_their_turns() -> None:
    pool, backends, _ = pool_of([1.0] * 3, Algorithm.LEAST_OUTSTANDING)
    assert set(picks(pool, 3)) == set(backends)


def test_weighted_random_follows_the_weights_and_never_takes_nothing() -> None:
    pool, backends, _ = pool_of([3.0, 1.0, 0.0], Algorithm.WEIGHTED_RANDOM)
    counter = picks(pool, 4000)
    assert counter[backends[2]] == 0
    assert 0.70 < counter[backends[0]] / 4000 < 0.80


@given(ALGORITHMS, st.lists(st.sampled_from(list(Mark)), min_size=1, max_size=6))
def test_only_those_that_are_up_get_requests_or_all_that_are_down_when_none_is(
    algorithm: Algorithm, marks: list[Mark]
) -> None:
    pool, backends, _ = pool_of([1.0] * len(marks), algorithm)
    for backend, mark in zip(backends, marks, strict=True):
        pool.mark(backend, mark)
    wanted = Mark.UP if Mark.UP in marks else Mark.DOWN
    expected = {backend for backend in backends if backend.mark is wanted}
    seen = {pool.pick() for _ in range(300)}
    assert seen == (expected or {None})
    for backend in backends:
        assert (pool.pick(backend) is backend) or backend not in expected


def test_a_pool_that_does_not_fail_open_has_nobody_when_all_are_down() -> None:
    pool, backends, _ = pool_of([1.0])
    pool.configure(fail_open=False)
    pool.mark(backends[0], Mark.DOWN)
    assert pool.pick() is None


@given(st.lists(st.booleans(), min_size=2, max_size=6))
def test_those_tried_in_vain_are_not_tried_again(tried: list[bool]) -> None:
    pool, backends, _ = pool_of([1.0] * len(tried))
    exclude = [backend for backend, was in zip(backends, tried, strict=True) if was]
    for _ in range(10):
        picked = pool.pick(exclude=exclude)
        assert picked not in exclude
        assert (picked is None) == (len(exclude) == len(backends))


@given(st.floats(0, 200), st.floats(0, 200), st.floats(0.1, 100))
def test_slow_start_only_grows_and_ends_at_the_whole_weight(
    early: float, later: float, seconds: float
) -> None:
    first, second = sorted((early, later))
    assert 0.05 <= ramp(first, seconds) <= ramp(second, seconds) <= 1.0
    assert ramp(seconds, seconds) == 1.0


def test_one_that_joins_others_starts_slowly() -> None:
    pool, _, clock = pool_of([1.0, 1.0], slow_start=100)
    clock.advance(200)
    new = Backend("10.0.0.2", 1)
    pool.add(new)
    clock.advance(10)
    assert abs(picks(pool, 2100)[new] - 100) <= 2
    clock.advance(90)
    assert picks(pool, 300)[new] == 100


def test_the_first_does_not_start_slowly() -> None:
    pool, backends, _ = pool_of([1.0], slow_start=100)
    assert pool.weight_of(backends[0]) == 1.0


@given(
    st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30, unique=True),
    st.integers(2, 6),
    st.integers(0, 5),
)
def test_a_key_stays_with_its_backend_when_others_go(keys: list[str], size: int, gone: int) -> None:
    pool, backends, _ = pool_of([1.0] * size)
    before = {key: pool.pick_by(key) for key in keys}
    lost = backends[gone % size]
    pool.remove(lost)
    assert all(pool.pick_by(key) is backend for key, backend in before.items() if backend is not lost)
    assert lost not in {pool.pick_by(key) for key in keys}


def test_drained_waits_for_the_last_and_can_be_cancelled() -> None:
    async def scene() -> None:
        pool, (backend,), _ = pool_of([1.0])
        await pool.drained(backend)
        pool.begin(backend)
        pool.begin(backend)
        waiting = asyncio.create_task(pool.drained(backend))
        given_up = asyncio.create_task(pool.drained(backend))
        await asyncio.sleep(0)
        given_up.cancel()
        pool.end(backend)
        await asyncio.sleep(0)
        assert not waiting.done()
        pool.end(backend)
        await asyncio.wait_for(waiting, 1)
        assert not pool._waiting

    asyncio.run(scene())


class Pools(RuleBasedStateMachine):
    """Whatever happens: what is picked may be picked, and counts are true."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.pool = Pool(random=random.Random(1), now=self.clock.monotonic, slow_start_seconds=10)
        self.busy: list[Backend] = []

    @rule(weight=st.sampled_from([0.0, 0.5, 1.0, 7.0]), mark=st.sampled_from(list(Mark)))
    def add(self, weight: float, mark: Mark) -> None:
        if len(self.pool.backends) < 6:
            self.pool.add(Backend("10.0.0.1", len(self.pool.backends), weight=weight, mark=mark))

    @precondition(lambda self: self.pool.backends)
    @rule(at=st.integers(0, 5), mark=st.sampled_from([*Mark, None]))
    def change(self, at: int, mark: Mark | None) -> None:
        backend = self.pool.backends[at % len(self.pool.backends)]
        if mark is None:
            self.pool.remove(backend)
        else:
            self.pool.mark(backend, mark)

    @rule(algorithm=ALGORITHMS, seconds=st.floats(0, 20))
    def configure(self, algorithm: Algorithm, seconds: float) -> None:
        self.pool.algorithm = algorithm
        self.clock.advance(seconds)

    @rule()
    def begin(self) -> None:
        backend = self.pool.pick()
        marks = {one.mark for one in self.pool.backends}
        if backend is None:
            assert not marks & {Mark.UP, Mark.DOWN}
            return
        assert backend in self.pool.backends
        assert backend.mark is Mark.UP or (backend.mark is Mark.DOWN and Mark.UP not in marks)
        self.pool.begin(backend)
        self.busy.append(backend)

    @precondition(lambda self: self.busy)
    @rule(at=st.integers(0, 100))
    def end(self, at: int) -> None:
        self.pool.end(self.busy.pop(at % len(self.busy)))

    @invariant()
    def counts_are_true(self) -> None:
        assert self.pool.in_flight == sum(backend in self.pool.backends for backend in self.busy)


TestPools = Pools.TestCase
