"""The scheduler of AWS Batch under virtual time, with an engine that fails: what must always hold, does.

The simulator checks every action against its own account: nothing is sold twice, nothing is terminated that runs a job,
the maximum is not exceeded by more than an instance.  Here is what holds over a whole run.
"""

import os
import random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.batch_simulator import BY_NAME, KINDS, Odds, Simulation

from cumulo.services.batch.scheduling.environments import PASSES_MAX
from cumulo.services.batch.scheduling.facts import Fair, Launch, Need, Start, Terminate
from cumulo.services.batch.scheduling.passing import WINDOW

# A run of minutes is not made smaller in reasonable time: the seed says enough.
PHASES = (Phase.explicit, Phase.generate)

STRATEGIES = ("BEST_FIT", "BEST_FIT_PROGRESSIVE")
SPOT_STRATEGIES = (
    "BEST_FIT",
    "BEST_FIT_PROGRESSIVE",
    "SPOT_CAPACITY_OPTIMIZED",
    "SPOT_PRICE_CAPACITY_OPTIMIZED",
)

ODDS = st.builds(
    Odds,
    launch=st.sampled_from((0.0, 0.3)),
    lost=st.sampled_from((0.0, 0.2)),
    start=st.sampled_from((0.0, 0.1)),
    instance_seconds=st.sampled_from((0.0, 900.0)),
)
NEEDS = st.builds(
    Need,
    vcpus=st.sampled_from((1000, 1000, 2000, 4000, 7000)),
    memory=st.sampled_from((500, 3000, 7000)),
    nodes=st.sampled_from((1, 1, 1, 1, 3)),
    kinds=st.sampled_from(((), (), (), ("m5.4xlarge",))),
)
JOBS = st.lists(
    st.tuples(NEEDS, st.integers(1, 120), st.integers(0, 600), st.integers(0, 2), st.booleans()),
    min_size=1,
    max_size=60,
)


def a_cloud(seed, odds, strategy, spot_strategy, fair):
    """Three queues over three environments; nodes can only be had in the first."""
    run = Simulation(seed, odds)
    run.environment("ec2", max_vcpus=64_000, min_vcpus=4000, strategy=strategy)
    run.environment("spot", "SPOT", max_vcpus=32_000, strategy=spot_strategy)
    run.queue("high", "ec2", priority=10)
    run.queue("low", "spot", "ec2", priority=1)
    run.queue("fair", "ec2", "spot", priority=1, fair=Fair(weights={"a": 0.5, "b*": 2.0}, reservation=fair))
    return run


def submit_all(run, jobs):
    for number, (need, seconds, at, queue, goes) in enumerate(jobs):
        name = f"j{number}"
        queue_name = ("high", "low", "fair")[queue]
        share = ("a", "b1", "c")[number % 3] if queue == 2 else ""
        run.submit_at(at, name, queue_name, need, seconds, share)
        if goes and number % 5 == 0:
            run.at(at + 5, run.withdraw, name)


@settings(max_examples=150, phases=PHASES)
@given(
    JOBS, ODDS, st.sampled_from(STRATEGIES), st.sampled_from(SPOT_STRATEGIES), st.sampled_from((0, 50)),
    st.integers(0, 1000),
)  # fmt: skip
def test_every_job_ends_whatever_fails(jobs, odds, strategy, spot_strategy, fair, seed):
    run = a_cloud(seed, odds, strategy, spot_strategy, fair)
    submit_all(run, jobs)
    run.run(decisions_max=20_000)
    assert run.done == {f"j{number}" for number in range(len(jobs))}
    assert not run.where
    assert not run.waiting


@settings(max_examples=80, phases=PHASES)
@given(JOBS, ODDS, st.integers(0, 1000))
def test_the_same_calls_give_the_same_decisions(jobs, odds, seed):
    traces = []
    for _ in range(2):
        run = a_cloud(seed, odds, "BEST_FIT_PROGRESSIVE", "SPOT_CAPACITY_OPTIMIZED", 0)
        submit_all(run, jobs)
        run.run()
        traces.append(run.trace)
    assert traces[0] == traces[1]


@settings(max_examples=100, phases=PHASES)
@given(JOBS, ODDS, st.integers(0, 1000))
def test_nothing_starts_where_the_head_of_a_queue_of_higher_priority_would_fit(jobs, odds, seed):
    run = Simulation(seed, odds)
    run.environment("ec2", max_vcpus=48_000, strategy="BEST_FIT_PROGRESSIVE")
    for name, priority in (("high", 3), ("middle", 2), ("low", 1)):
        run.queue(name, "ec2", priority=priority)

    def watch(start):
        queue, taken, _, _ = run.jobs[start.job]
        for other in run.queues.values():
            job = run.head(other.arn)
            if other.priority <= run.queues[queue].priority or job is None or job == start.job:
                continue
            need = run.jobs[job][1]
            if need.nodes == 1:
                assert not any(had_room(run.instances[name], taken, need) for name in start.instances)

    run.on_start = watch
    for number, (need, seconds, at, queue, _) in enumerate(jobs):
        run.submit_at(at, f"j{number}", ("high", "middle", "low")[queue], need, seconds)
    run.run()
    assert len(run.done) == len(jobs)


def had_room(instance, taken, need):
    """Whether a task had fitted on an instance before another was given it."""
    vcpus, memory = instance.vcpus + taken.vcpus, instance.memory + taken.memory
    others = len(instance.jobs) > 1
    is_kind = not need.kinds or instance.kind in need.kinds
    return is_kind and need.vcpus <= vcpus and need.memory <= memory and not (need.nodes > 1 and others)


@settings(max_examples=80, phases=PHASES)
@given(JOBS, st.integers(0, 1000))
def test_a_job_is_overtaken_a_bounded_number_of_times(jobs, seed):
    """By at most PASSES_MAX jobs while it is the head, and while each head is that WINDOW places before it."""
    run = Simulation(seed)
    run.environment("ec2", max_vcpus=48_000, strategy="BEST_FIT")
    run.queue("q", "ec2")
    order = {f"j{number}": number for number in range(len(jobs))}
    overtaken = dict.fromkeys(order, 0)

    def watch(start):
        for job in run.waiting:
            overtaken[job] += order[job] < order[start.job]

    run.on_start = watch
    for number, (need, seconds, _, _, _) in enumerate(jobs):
        run.submit(f"j{number}", "q", need, seconds)
    run.run()
    assert len(run.done) == len(jobs)
    assert max(overtaken.values()) <= (WINDOW + 1) * PASSES_MAX


def test_a_large_job_and_a_gang_start_although_small_jobs_never_cease():
    """At the head, each is passed by at most PASSES_MAX of them."""
    for large in (Need(vcpus=16_000, memory=1000), Need(vcpus=1000, memory=1000, nodes=4)):
        run = Simulation(7)
        run.environment("ec2", max_vcpus=64_000, strategy="BEST_FIT", kinds=KINDS[3:])
        run.queue("q", "ec2")
        chance = random.Random(7)
        for number in range(300):
            run.submit(
                f"s{number}",
                "q",
                Need(vcpus=chance.choice((1000, 2000)), memory=1000),
                chance.randint(20, 200),
            )
        run.submit("large", "q", large, 10)
        for number in range(300, 4000):
            run.submit_at(
                number / 2, f"s{number}", "q", Need(vcpus=1000, memory=1000), chance.randint(20, 200)
            )
        run.run()
        starts = [action.job for _, action in run.trace if isinstance(action, Start)]
        place = starts.index("large")
        assert place <= 300 + PASSES_MAX
        assert len(run.done) == 4001


@settings(max_examples=6, phases=PHASES)
@given(
    st.lists(st.sampled_from((0.25, 0.5, 1.0, 2.0, 4.0)), min_size=2, max_size=4),
    st.integers(0, 1000),
    st.booleans(),
)
def test_shares_get_vcpus_in_the_inverse_ratio_of_their_weights(weights, seed, is_fargate):
    """Within 5 % of what is due to each and half a job, when all have enough that waits."""
    names = [f"share{number}" for number in range(len(weights))]
    run = Simulation(seed)
    if is_fargate:
        run.environment("ce", "FARGATE", max_vcpus=96_000)
    else:
        run.environment("ce", max_vcpus=96_000, strategy="BEST_FIT_PROGRESSIVE")
    run.queue("q", "ce", fair=Fair(weights=dict(zip(names, weights, strict=True))))
    run.keep_trace = False
    for name in names:
        run.submit_array(name, 9_000, "q", Need(vcpus=1000, memory=1000), 60, name)
    for name in names:  # not all the same length
        for index in range(9_000):
            queue, need, _, share = run.jobs[f"{name}:{index}"]
            run.jobs[f"{name}:{index}"] = (queue, need, run.chance.randint(20, 100), share)
    run.run(until=1200)
    before = dict(run.served)
    run.run(until=4200)
    assert all(run.scheduler.shares("q", run.now)[at].waiting for at in range(len(names)))
    got = [run.served[name] - before[name] for name in names]
    due = [1 / weight for weight in weights]
    for mine, owed in zip(got, due, strict=True):
        assert abs(mine / sum(got) - owed / sum(due)) <= 0.05 * owed / sum(due) + 0.5 / 96


def test_a_share_that_comes_late_finds_what_the_reservation_kept():
    run = Simulation(3)
    run.environment("ce", "FARGATE", max_vcpus=16_000)
    run.queue("q", "ce", fair=Fair(reservation=50))
    run.submit_array("early", 100, "q", Need(vcpus=1000, memory=1), 1000, "early")
    run.run(until=10)
    assert run.used["ce"] == 8000
    run.submit_array("late", 100, "q", Need(vcpus=1000, memory=1), 1000, "late")
    run.step()
    assert run.used["ce"] == 12_000
    assert len([job for job in run.where if job.startswith("late")]) == 4


@settings(max_examples=100, phases=PHASES)
@given(st.lists(st.tuples(st.sampled_from("sewrxn"), st.integers(0, 9)), max_size=120), st.booleans())
def test_anything_may_be_told_in_any_order(told, is_fair):
    """Withdrawn, ended, refused, submitted, gone: twice, never started, long ago; what is held is given back exactly."""
    run = Simulation(0)
    scheduler, need = run.scheduler, Need(vcpus=1000, memory=100)
    run.environment("ce", "UNMANAGED", kinds=())
    run.queue("q", "ce", fair=Fair() if is_fair else None)
    run.add_instance("i", "ce", "m5.4xlarge")
    started = set()
    for number, (what, index) in enumerate(told):
        job = f"a:{index}"
        if what == "s":
            scheduler.submit(job, "q", need, share=str(index), now=number)
            started.discard(job)
        elif what == "n":
            scheduler.submit_array(f"b{number}", range(3), "q", need, now=number)
            scheduler.withdraw(f"b{number}:{index}")
        elif what == "e":
            scheduler.ended(job, number)
            started.discard(job)
        elif what == "w":
            scheduler.withdraw(job)
        elif what == "r":
            scheduler.refused(job, "ce", number)
            started.discard(job)
        elif what == "x":
            scheduler.remove_room("ce", "i")
            run.add_instance("i", "ce", "m5.4xlarge")
        for action in scheduler.decide(number):
            assert isinstance(action, Start)
            assert action.job not in started
            started.add(action.job)
        assert len(started) <= 16
    for job in [*started]:
        scheduler.ended(job, 1000)
    waiting = scheduler.waiting("q")
    assert len(scheduler.front("q", 1000)) == waiting
    free = sum(isinstance(action, Start) for action in scheduler.decide(2000))
    assert free == min(16, waiting)


@settings(max_examples=80, phases=PHASES)
@given(st.integers(0, 1000), st.sampled_from((0, 8000)), st.sampled_from(STRATEGIES))
def test_instances_go_when_nothing_is_left_to_do_down_to_the_minimum(seed, least, strategy):
    run = Simulation(seed, Odds(launch=0.2))
    run.environment("ec2", max_vcpus=64_000, min_vcpus=least, strategy=strategy)
    run.queue("q", "ec2")
    for number in range(100):
        run.submit(f"j{number}", "q", Need(vcpus=1000, memory=1000), 30)
    run.run(until=100_000)
    assert len(run.done) == 100
    vcpus = sum(BY_NAME[one.kind].vcpus for one in run.instances.values())
    assert least <= vcpus < least + 16_000
    if not least:
        assert not run.instances
    assert any(isinstance(action, Launch) for _, action in run.trace)
    assert any(isinstance(action, Terminate) for _, action in run.trace)


def test_a_million_jobs_end_on_ten_thousand_instances():
    """With everything failing now and then.  A twentieth of both unless CUMULO_TEST_LONG is set (a minute of processor time)."""
    part = 1 if os.environ.get("CUMULO_TEST_LONG") else 20
    jobs, instances = 1_000_000 // part, 10_000 // part
    run = Simulation(11, Odds(start=0.01, launch=0.1, lost=0.05, instance_seconds=5000), starts_max=jobs)
    run.keep_trace, run.grid = False, 1.0
    run.environment("ec2", max_vcpus=instances * 16_000, strategy="BEST_FIT_PROGRESSIVE", kinds=KINDS[3:])
    for name, priority in (("high", 2), ("low", 1)):
        run.queue(name, "ec2", priority=priority)
    chance, most = run.chance, 0
    for number in range(jobs // 1000):
        need = Need(vcpus=chance.choice((1000, 1000, 2000, 4000)), memory=chance.choice((1000, 4000)))
        run.submit_array(f"a{number}", 1000, chance.choice(("high", "low")), need, chance.randint(30, 300))
    run.run(until=600)
    most = len(run.instances)
    run.run()
    assert len(run.done) == jobs
    assert most > 0.9 * instances
    assert run.failed_starts > jobs / 200
