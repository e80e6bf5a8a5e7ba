"""Deployments, whatever happens: crashes, sickness, updates, scaling, protection, capacity that comes and goes.

The plan alone decides; a simulated world carries it out.  After every decision the promises are checked:

- our own stops never bring the healthy tasks below the minimum, nor below what was healthy when they were fewer;
- our own starts never bring the tasks above the maximum;
- a protected task is never stopped;
- the circuit breaker fires exactly when so many tasks have failed, and never before;
- left alone, everything converges.
"""

import math
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cumulo.services.ecs.scheduling import breaker, rollout
from cumulo.services.ecs.scheduling.decisions import Facts
from cumulo.services.ecs.scheduling.health import Standing
from cumulo.services.ecs.scheduling.model import Backoff, Deployment, Rollout
from cumulo.services.ecs.scheduling.plan import plan
from cumulo.services.ecs.scheduling.victims import Piece, order, split

ZONES = ("a", "b", "c")
SOON = 1000.0  # longer than every back-off


class World:
    """A service and its tasks; `room` is how many tasks its machines can hold."""

    def __init__(self, desired, minimum, maximum, *, rollback=True, daemon=False, instances=0):
        self.now = 1_000_000.0
        self.desired = desired
        self.percents = minimum, maximum
        self.breaker = {"enable": True, "rollback": rollback}
        self.deployments = [self.deployment(1)]
        self.tasks = {}  # name -> Piece
        self.leaving = {}  # name -> deployment
        self.room = math.inf
        self.number = 0
        self.daemon = daemon
        self.instances = [f"i{number}" for number in range(instances)]
        self.busy = {}  # DAEMON: name of a leaving task -> its instance

    def deployment(self, number):
        return Deployment(
            service_arn="service",
            id=f"ecs-svc/{number}",
            arn=f"deployment/{number}",
            revision_arn=f"revision/{number}",
            number=number,
            definition_arn=f"job:{number}",
        )

    @property
    def primary(self):
        return next(one for one in self.deployments if one.status == "PRIMARY")

    def update(self):
        number = max(one.number for one in self.deployments) + 1
        self.deployments = [
            replace(rollout.supersede(one, self.now), rollback_of="") if one.status == "PRIMARY" else one
            for one in self.deployments
        ]
        self.deployments.append(self.deployment(number))

    def facts(self):
        live = sorted(
            (one for one in self.deployments if one.is_live),
            key=lambda one: (one.status != "PRIMARY", -one.number),
        )
        done = [one for one in self.deployments if one.completed_at and one.id != self.primary.id]
        return Facts(
            desired=self.desired,
            minimum_percent=self.percents[0],
            maximum_percent=self.percents[1],
            breaker=self.breaker,
            deployments=tuple(live),
            fallback=max(done, key=lambda one: (one.completed_at, one.number), default=None),
            pieces=tuple(self.tasks.values()),
            leaving=Counter(self.leaving.values()),
            daemon=self.daemon,
            eligible=tuple(self.instances),
            busy=frozenset(self.busy.values()) if self.daemon else frozenset(),
            zones=ZONES,
            even_zones=True,
        )

    def put(self, deployment):
        self.deployments = [deployment if one.id == deployment.id else one for one in self.deployments]

    def healthy(self):
        return sum(
            one.standing is Standing.HEALTHY and (not self.daemon or one.instance in self.instances)
            for one in self.tasks.values()
        )

    def decide(self):
        """One turn, with every promise checked; whether anything was done."""
        facts = self.facts()
        limit = breaker.threshold(self.breaker, self.desired)
        primary = self.primary
        forgiven = any(
            one.standing is Standing.HEALTHY and one.deployment == primary.id for one in facts.pieces
        )
        must_fire = (
            primary.rollout is Rollout.IN_PROGRESS
            and primary.failed >= limit
            and not forgiven
            and not self.daemon
        )
        decided = plan(facts, self.now)
        for record in decided.records:
            self.put(record)
        if not self.daemon:
            failed = any(one.name == "SERVICE_DEPLOYMENT_FAILED" for one in decided.announcements)
            assert failed == must_fire
        before = self.healthy()
        for stop in decided.stops:
            piece = self.tasks.pop(stop.piece.arn)
            assert piece.protected_until <= self.now, "a protected task was stopped"
            self.leaving[piece.arn] = piece.deployment
            if self.daemon:
                self.busy[piece.arn] = piece.instance
            if stop.reason.startswith("Task failed"):
                self.fail(piece, ran=True)
        floor = min(before, facts.minimum)
        assert self.healthy() >= floor, f"{self.healthy()} healthy tasks are left of {before}"
        started = 0
        for start in decided.starts:
            started += self.launch(start)
        if started:
            assert len(facts.pieces) + started <= facts.maximum, "too many tasks"
        return bool(decided.stops or started or decided.records)

    def launch(self, start):
        placed = 0
        for number in range(start.count):
            held = len(self.tasks) + len(self.leaving)
            deployment = next(one for one in self.deployments if one.id == start.deployment.id)
            if held >= self.room:
                backoff = breaker.after_no_place(deployment.backoff, self.now)
                self.put(replace(deployment, backoff=backoff))
                continue
            self.put(replace(deployment, backoff=breaker.after_place(deployment.backoff)))
            placed += 1
            self.number += 1
            name = f"t{self.number}"
            zone = min(ZONES, key=lambda one: sum(task.zone == one for task in self.tasks.values()))
            self.tasks[name] = Piece(
                arn=name,
                id=name,
                deployment=start.deployment.id,
                standing=Standing.PENDING,
                created_at=self.now,
                zone=zone,
                instance=start.instances[number] if start.instances else f"i{self.number % 4}",
            )
        return placed

    def fail(self, piece, *, ran):
        """What counting does when a task ends by its own fault."""
        deployment = next(one for one in self.deployments if one.id == piece.deployment)
        if deployment.rollout is Rollout.IN_PROGRESS:
            deployment = replace(deployment, failed=deployment.failed + 1)
        if not ran:
            backoff = breaker.after_failure(deployment.backoff, piece.created_at, self.now)
            deployment = replace(deployment, backoff=backoff)
        self.put(deployment)

    # -- what happens to it ------------------------------------------------------------------------------

    def happen(self, event, pick):
        tasks = list(self.tasks.values())
        task = tasks[pick % len(tasks)] if tasks else None
        if event == "update":
            self.update()
        elif event.startswith("desired"):
            self.desired = int(event.split()[1])
        elif event == "room":
            self.room = len(self.tasks) + pick % 4
        elif event == "end":
            self.end()
        elif event == "time":
            self.now += 10 * (pick + 1)
        elif event == "run" and task is not None and task.standing is Standing.PENDING:
            self.become(task, Standing.STARTING)
        elif event == "well" and task is not None and task.standing is not Standing.PENDING:
            self.become(task, Standing.HEALTHY)
        elif event == "sick" and task is not None and task.standing is not Standing.PENDING:
            self.tasks[task.arn] = replace(
                task, standing=Standing.SICK, reason="Task failed container health checks"
            )
        elif event == "fail" and task is not None and task.standing is Standing.PENDING:
            del self.tasks[task.arn]
            self.fail(task, ran=False)
        elif event == "crash" and task is not None:
            del self.tasks[task.arn]
            if task.standing is Standing.STARTING:
                self.fail(task, ran=True)
        elif event == "drain" and task is not None:
            self.tasks[task.arn] = replace(task, doomed=True)
        elif event == "protect" and task is not None:
            self.tasks[task.arn] = replace(task, protected_until=self.now + 50)

    def become(self, task, standing):
        self.tasks[task.arn] = replace(task, standing=standing)
        deployment = next(one for one in self.deployments if one.id == task.deployment)
        self.put(replace(deployment, backoff=breaker.after_running(deployment.backoff)))

    def end(self):
        self.leaving.clear()
        self.busy.clear()

    def goes_well(self, rounds=200):
        """From now on nothing bad happens; the rounds it took to come to rest."""
        self.room = math.inf
        for taken in range(rounds):
            self.now += SOON
            changed = False
            for task in list(self.tasks.values()):
                if task.standing in {Standing.PENDING, Standing.STARTING}:
                    self.become(task, Standing.HEALTHY)
                    changed = True
            changed = bool(self.leaving) or changed
            self.end()
            if not self.decide() and not changed:
                return taken
        raise AssertionError("it never came to rest")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "update", "desired 0", "desired 1", "desired 5", "desired 12", "room", "end", "time", "run", "run",
                "run", "well", "well", "well", "sick", "fail", "fail", "crash", "drain", "protect",
            ]
        ),
        st.integers(0, 20),
    ),
    max_size=80,
)  # fmt: skip
PERCENTS = st.tuples(
    st.sampled_from([0, 34, 50, 99, 100]), st.sampled_from([100, 101, 125, 150, 200])
).filter(lambda pair: pair != (100, 100))


def is_blocked(world):
    """Whether the percents of so few tasks leave no way: as many must stay as there may be."""
    facts = world.facts()
    return facts.wanted > 0 and facts.minimum >= facts.maximum


@settings(max_examples=400, deadline=None)
@given(desired=st.integers(0, 12), percents=PERCENTS, events=EVENTS, rollback=st.booleans())
def test_promises_are_kept_whatever_happens_and_it_converges(desired, percents, events, rollback):
    world = World(desired, *percents, rollback=rollback)
    for event, pick in events:
        world.happen(event, pick)
        world.now += 0.1
        world.decide()
    world.goes_well()
    primary = world.primary
    if primary.rollout is Rollout.FAILED:
        world.update()  # a failed deployment stalls until a client does something
        world.goes_well()
        primary = world.primary
    if is_blocked(world) and any(one.deployment != primary.id or one.doomed for one in world.tasks.values()):
        return
    assert len(world.tasks) == world.desired
    assert {one.deployment for one in world.tasks.values()} <= {primary.id}
    assert primary.rollout is Rollout.COMPLETED
    assert [one.id for one in world.deployments if one.is_live] == [primary.id]


@settings(max_examples=200, deadline=None)
@given(
    instances=st.integers(0, 8),
    minimum=st.sampled_from([0, 50, 99]),
    events=st.lists(
        st.tuples(
            st.sampled_from(["update", "come", "go", "end", "run", "well", "well", "sick", "crash"]),
            st.integers(0, 20),
        ),
        max_size=60,
    ),
)
def test_a_daemon_has_one_task_on_each_instance_and_never_two(instances, minimum, events):
    world = World(0, minimum, 100, daemon=True, instances=instances)
    world.breaker = {}
    for event, pick in events:
        if event == "come":
            world.instances.append(f"n{world.number}-{len(world.instances)}-{pick}")
            world.instances = list(dict.fromkeys(world.instances))
        elif event == "go" and world.instances:
            world.instances.pop(pick % len(world.instances))
        else:
            world.happen(event, pick)
        world.now += 0.1
        world.decide()
        there = Counter(one.instance for one in world.tasks.values()) + Counter(world.busy.values())
        assert all(count == 1 for count in there.values())
    world.goes_well()
    assert sorted(one.instance for one in world.tasks.values()) == sorted(world.instances)
    if is_blocked(world):
        return
    assert {one.deployment for one in world.tasks.values()} <= {world.primary.id}


@settings(max_examples=100, deadline=None)
@given(failures=st.integers(0, 30), desired=st.integers(1, 20))
def test_the_breaker_counts_failures_in_a_row(failures, desired):
    world = World(desired, 100, 200)
    world.decide()
    limit = min(max(math.ceil(desired / 2), 3), 200)
    done = 0
    while done < failures and world.primary.rollout is Rollout.IN_PROGRESS:
        world.now += SOON
        world.decide()
        pending = [one for one in world.tasks.values() if one.standing is Standing.PENDING]
        if not pending:
            break
        del world.tasks[pending[0].arn]
        world.fail(pending[0], ran=False)
        done += 1
        world.decide()
    assert (world.primary.rollout is Rollout.FAILED) == (done >= limit)
    assert done <= limit


@given(
    pieces=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("12345"), st.integers(0, 5)), max_size=40
    ),
    data=st.data(),
)
def test_what_scaling_in_leaves_is_as_even_as_what_there_was_allows(pieces, data):
    tasks = [
        Piece(
            arn=f"t{number}",
            id=f"t{number}",
            deployment="d",
            standing=Standing.HEALTHY,
            zone=zone,
            instance=zone + host,
            created_at=float(at),
        )
        for number, (zone, host, at) in enumerate(pieces)
    ]
    count = data.draw(st.integers(0, len(tasks)))
    victims = {one.arn for one in order(tasks, count)}
    assert len(victims) == count
    left = Counter(one.zone for one in tasks if one.arn not in victims)
    hit = {one.zone for one in tasks if one.arn in victims}
    if hit:  # no zone that lost a task is below another by more than one
        assert min(left[zone] for zone in hit) >= max(left.values(), default=0) - 1


@given(
    weights=st.lists(st.integers(0, 10), min_size=1, max_size=4).filter(any),
    base=st.integers(0, 5),
    steps=st.lists(st.integers(1, 7), max_size=12),
)
def test_a_strategy_keeps_its_ratio_however_the_tasks_come(weights, base, steps):
    strategy = [
        {"capacityProvider": f"p{number}", "weight": weight, "base": base if number == 0 else 0}
        for number, weight in enumerate(weights)
    ]
    have = Counter()
    for step in steps:
        new = split(strategy, have, step)
        assert sum(new.values()) == step
        have.update(new)
    total = sum(have.values())
    assert have["p0"] >= min(base, total)
    rest = total - min(base, total)
    for number, weight in enumerate(weights):
        beyond = have[f"p{number}"] - (min(base, total) if number == 0 else 0)
        assert abs(beyond - rest * weight / sum(weights)) < 1.0 + len(weights) / 2


@given(created=st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_one_round_of_failures_is_one_step_of_the_back_off(created):
    backoff = Backoff()
    for at in sorted(created):
        backoff = breaker.after_failure(backoff, at, 200.0)
    assert backoff.step == 1
    assert backoff.until == 201.0
