"""Random graphs of jobs, and random things that befall them: what must hold of jobs, whatever happens.

CUMULO_BATCH_JOBS_EXAMPLES makes it long.
"""

import os
import random
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulo.base.clock import VirtualClock
from cumulo.base.machine import IllegalMove
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.model import Attempt, AttemptContainer, Dependency, Job, JobStatus
from cumulo.services.batch.plan_events import (
    Cancelled,
    Ended,
    Expired,
    Free,
    Order,
    Refused,
    Return,
    Seen,
    Started,
    Stop,
    Stuck,
    Submit,
    SubmitArray,
    Submitted,
    Terminated,
    TimedOut,
    Withdraw,
)
from cumulo.services.batch.states import ARRAY, JOB, NODE, Move
from cumulo.state.store import Store

EXAMPLES = int(os.environ.get("CUMULO_BATCH_JOBS_EXAMPLES", "150"))
S = JobStatus
ENDED = (S.SUCCEEDED, S.FAILED)


class World:
    """Jobs, a scheduler that only remembers what it is told, and tasks that end when chance wants it."""

    def __init__(self, path: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = VirtualClock()
        self.path = path
        self.waiting: set[str] = set()  # what the scheduler would start
        self.held: set[str] = set()  # what holds room
        self.tasks: dict[str, str] = {}  # job or node -> token of the task that was ordered
        self.ids: list[str] = []
        self.successes: dict[str, int] = {}
        self.open()

    def open(self) -> None:
        self.store = Store(self.path, synchronous="OFF")
        self.records = JobRecords(self.store)
        self.desk = Desk(self.records, self.clock)

    def happened(self, event) -> None:
        before = {name: self.records.get(name).status for name in self.every()}
        for outcome in self.desk.note(event):
            for action in outcome.actions:
                self.carry_out(action)
            for change in outcome.changes:
                if not change.rest and change.job.status == S.SUCCEEDED and not change.job.is_node:
                    self.successes[change.job.id] = self.successes.get(change.job.id, 0) + 1
            if not outcome.jobs:
                assert before == {name: self.records.get(name).status for name in self.every()}
        self.check()

    def carry_out(self, action) -> None:
        match action:
            case Submit(job):
                assert job not in self.waiting
                assert job not in self.held
                self.waiting.add(job)
            case SubmitArray(job, size):
                self.waiting |= {f"{job}:{index}" for index in range(size)}
            case Withdraw(job):
                self.waiting.discard(job)
            case Free(job):
                self.held.remove(job)
            case Return(job):
                self.held.remove(job)
                self.waiting.add(job)
            case Order(job):
                assert job not in self.tasks
                self.tasks[job] = self.records.get(job).run.token
            case Stop(job, token):
                assert self.records.get(job).run.token == token

    # -- what may happen ---------------------------------------------------------------------------------------

    def submit(self) -> None:
        number = len(self.ids)
        size = self.chance.choice([0, 0, 0, 2, 3, 4])
        nodes = self.chance.choice([0, 0, 1, 2, 3]) if not size else 0
        depends = []
        for other in self.chance.sample(self.ids, min(len(self.ids), self.chance.randrange(3))):
            same = size and self.records.get(other).array_size == size
            kind = "N_TO_N" if same and self.chance.random() < 0.7 else ""
            target = other
            if not kind and self.records.get(other).array_size and self.chance.random() < 0.2:
                target = f"{other}:1"
            depends.append(Dependency(target, kind))
        if size and self.chance.random() < 0.3:
            depends.append(Dependency("", "SEQUENTIAL"))
        attempts = self.chance.choice([1, 2, 3])
        name = f"job-{number}"
        self.ids.append(name)
        self.happened(
            Submitted(
                Job(
                    account="0",
                    region="r",
                    id=name,
                    name="job",
                    queue="q",
                    definition="d",
                    created_at=number,
                    array_size=size,
                    counts={S.SUBMITTED: size} if size else {},
                    nodes=nodes,
                    main_node=self.chance.randrange(nodes) if nodes else 0,
                    depends=tuple(depends),
                    retry={"attempts": attempts},
                )
            )
        )

    def start(self) -> None:
        name = self.chance.choice(sorted(self.waiting))
        self.waiting.remove(name)
        self.held.add(name)
        self.happened(Started(name, "e", ("i",) * max(1, self.records.get(name).nodes)))

    def refuse(self) -> None:
        name, token = self.pick()
        job = self.records.get(name)
        if job.status != S.STARTING:
            return
        whole = job.parent if job.is_node else name
        if job.is_node and self.records.get(whole).main_node != job.node:
            return
        del self.tasks[name]
        self.happened(Refused(name, token))

    def see(self) -> None:
        name, token = self.pick()
        self.happened(Seen(job=name, token=token, task=f"task-{name}", running=self.chance.random() < 0.8))

    def end(self) -> None:
        name, token = self.pick()
        del self.tasks[name]
        code = self.chance.choice([0, 0, 0, 1, 137, None])
        attempt = Attempt(status_reason="over", containers=(AttemptContainer(exit_code=code),))
        self.happened(Ended(job=name, token=token, attempt=attempt))

    def trouble(self) -> None:
        if not self.ids:
            return
        name = self.chance.choice(self.every())
        job = self.records.get(name)
        token = job.run.token if job.run else "none"
        self.happened(
            self.chance.choice(
                [
                    Cancelled(name, "cancelled"),
                    Terminated(name, "terminated"),
                    TimedOut(name, token),
                    Expired(name, self.chance.choice(["CANCEL", "TERMINATE"]), "STUCK"),
                    Stuck(name, "CAPACITY"),
                    Ended(job=name, token="stale", attempt=Attempt()),
                    Seen(job=name, token="stale", running=True),
                    Refused(name, "stale"),
                    Started(name, "e") if name not in self.waiting else Stuck(name, ""),
                ]
            )
        )

    def restart(self) -> None:
        """As after a kill: what is in memory is gone, and what must be done is said again."""
        import asyncio

        asyncio.run(self.store.close())
        self.open()
        waiting, orders, stops = set(), set(), set()
        for action in self.desk.unfinished():
            match action:
                case Submit(job):
                    waiting.add(job)
                case SubmitArray(job, size):
                    waiting |= {f"{job}:{index}" for index in range(size)}
                case Order(job):
                    orders.add(job)
                case Stop(job):
                    stops.add(job)
        assert waiting == self.waiting
        assert orders | stops <= set(self.tasks)
        started = {name for name in self.tasks if self.records.get(name).status == S.STARTING}
        assert orders | stops >= started

    def pick(self) -> tuple[str, str]:
        name = self.chance.choice(sorted(self.tasks))
        return name, self.tasks[name]

    # -- what must hold ----------------------------------------------------------------------------------------

    def every(self) -> list[str]:
        names = []
        for name in self.ids:
            job = self.records.get(name)
            if job is None:
                continue
            names.append(name)
            names += [f"{name}:{index}" for index in range(job.array_size)]
            names += [f"{name}#{number}" for number in range(job.nodes)]
        return names

    def check(self) -> None:
        waiting, held = set(), set()
        for name in self.every():
            job = self.records.get(name)
            if job.array_size:
                self.check_array(job)
                continue
            if job.is_node:
                continue
            if job.status == S.RUNNABLE:
                waiting.add(name)
            elif job.status in (S.STARTING, S.RUNNING):
                held.add(name)
            if job.status in (S.RUNNABLE, S.STARTING, S.RUNNING, S.SUCCEEDED):
                self.check_dependencies(job)
            assert len(job.attempts) <= job.retry["attempts"] + (1 if job.is_terminated else 0)
            assert (job.run is None) == (job.status not in (S.STARTING, S.RUNNING))
            if job.has_ended:
                assert job.stopped_at
        assert waiting == self.waiting
        assert held == self.held
        self.check_tally()

    def check_tally(self) -> None:
        counted: dict[str, int] = dict.fromkeys(S, 0)
        for name in self.every():
            job = self.records.get(name)
            if not job.array_size and not job.is_node:
                counted[job.status] += 1
        assert self.records.tally.of("q") == counted

    def check_array(self, parent: Job) -> None:
        children = [self.records.get(f"{parent.id}:{index}") for index in range(parent.array_size)]
        counted: dict[str, int] = {}
        for child in children:
            counted[child.status] = counted.get(child.status, 0) + 1
        assert counted == dict(parent.counts)
        assert parent.made == len(self.records.members(parent.id))
        if all(child.has_ended for child in children):
            failed = any(child.status == S.FAILED for child in children)
            assert parent.status == (S.FAILED if failed else S.SUCCEEDED)
        else:
            assert parent.status == S.PENDING

    def check_dependencies(self, job: Job) -> None:
        for one in job.depends:
            if one.kind == "SEQUENTIAL":
                wanted = f"{job.parent}:{job.index - 1}" if job.index else ""
            else:
                wanted = f"{one.job_id}:{job.index}" if one.kind else one.job_id
            assert not wanted or self.records.get(wanted).status == S.SUCCEEDED, (job.id, wanted)

    # -- a life ------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        choices = [self.submit, self.submit, self.trouble]
        if self.waiting:
            choices += [self.start] * 6
        if self.tasks:
            choices += [self.see] * 4 + [self.end] * 4 + [self.refuse]
        self.clock.advance(1)
        self.chance.choice(choices)()

    def drain(self) -> None:
        for _ in range(10_000):
            if self.waiting:
                self.start()
            elif self.tasks:
                self.chance.choice([self.see, self.end])()
            else:
                return
        raise AssertionError("it never ends")


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_every_job_ends_and_none_runs_before_its_turn(folder, seed):
    path = folder / f"{seed}.db"
    world = World(path, seed)
    for _ in range(40):
        world.turn()
        if world.chance.random() < 0.02:
            world.restart()
    world.drain()
    for name in world.every():
        assert world.records.get(name).has_ended or world.records.get(name).is_node, name
    assert all(count == 1 for count in world.successes.values())
    assert not world.waiting
    assert not world.held
    assert all(one.status in ENDED for one in map(world.records.get, world.ids))
    import asyncio

    asyncio.run(world.store.close())
    for left in folder.glob(f"{seed}.db*"):
        left.unlink()


@pytest.mark.parametrize(
    ("machine", "ends"), [(JOB, set(ENDED)), (ARRAY, set(ENDED)), (NODE, set())], ids=["job", "array", "node"]
)
def test_every_state_is_reachable_and_an_unlisted_move_raises(machine, ends):
    assert machine.reachable() == machine.states()
    assert machine.terminal() == ends
    for state in JobStatus:
        for move in Move:
            if machine.allows(state, move):
                assert machine.step(state, move) in machine.states()
            else:
                with pytest.raises(IllegalMove):
                    machine.step(state, move)


def test_a_child_keeps_nothing_that_its_parent_keeps(tmp_path):
    world = World(tmp_path / "store.db", 1)
    heavy = {"containerOverrides": {"environment": [{"name": "A", "value": "x" * 20_000}]}}
    job = Job(
        account="0",
        region="r",
        id="big",
        name="job",
        queue="q",
        definition="d",
        array_size=10_000,
        counts={S.SUBMITTED: 10_000},
        overrides=heavy,
    )
    world.ids.append("big")
    outcome = world.desk.note(Submitted(job))[0]
    assert [one.id for one in outcome.jobs] == ["big"]
    assert outcome.actions == (SubmitArray("big", 10_000),)
    world.desk.note(Started("big:7", "e"))
    kept = world.store.table("batch_jobs", Job).get("big:7")
    assert len(msgspec.msgpack.encode(kept)) < 300
    assert world.records.get("big:7").overrides == heavy
    assert world.records.get("big").counts == {S.RUNNABLE: 9_999, S.STARTING: 1}
