"""AWS Batch under virtual time: a scheduler, and an engine that fails as engines do.

The engine keeps its own account of every instance and checks each action against it: what the scheduler believes is not
trusted.  It is as random as its seed.
"""

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from cumulo.services.batch.scheduling.facts import (
    Environment,
    Expire,
    Kind,
    Launch,
    Queue,
    Start,
    Stuck,
    Terminate,
)
from cumulo.services.batch.scheduling.scheduler import BatchScheduler

KINDS = (
    Kind("m6i.large", 2000, 7700, 0.096, 0.035),
    Kind("m6i.xlarge", 4000, 15500, 0.192, 0.07),
    Kind("c6i.large", 2000, 3700, 0.085, 0.04),
    Kind("m5.4xlarge", 16000, 62000, 0.768, 0.26),
)
BY_NAME = {kind.name: kind for kind in KINDS}


class Odds(msgspec.Struct, frozen=True):
    """How often things go wrong."""

    launch: float = 0.0
    lost: float = 0.0  # launched, and never there
    start: float = 0.0
    instance_seconds: float = 0.0  # mean life of an instance until it goes by itself; 0: for ever


NEVER = Odds()


class Instance:
    def __init__(self, environment, kind):
        self.environment = environment
        self.kind = kind
        self.vcpus, self.memory = BY_NAME[kind].vcpus, BY_NAME[kind].memory
        self.jobs = {}
        self.alone = False
        self.ready = True


class Simulation:
    def __init__(self, seed, odds=NEVER, *, launch_seconds=30.0, starts_max=1000):
        self.scheduler = BatchScheduler()
        self.chance = random.Random(seed)
        self.odds = odds
        self.now = 0.0
        self.launch_seconds = launch_seconds
        self.starts_max = starts_max
        self.environments = {}
        self.queues = {}
        self.instances = {}
        self.jobs = {}  # id -> (queue, need, seconds, share)
        self.lines = {}  # queue -> what waits, in order (FIFO)
        self.where = {}  # id -> (environment, instances, token)
        self.waiting = set()
        self.done = set()
        self.expired = []
        self.stuck = {}
        self.trace = []
        self.used = Counter()  # vCPUs by environment
        self.there = Counter()  # vCPUs of instances, by environment
        self.coming = Counter()  # the same, of those on their way
        self.served = Counter()  # vCPU-seconds by share, of what ended
        self.failed_starts = 0
        self.decisions = 0
        self.starts = 0
        self.on_start: Callable[[Start], None] | None = None
        self.keep_trace = True
        self.grid = 0.0  # things happen at multiples of so many seconds; 0: at any time
        self._events = []
        self._to_come = 0
        self._numbers = itertools.count()

    def environment(self, name, kind="EC2", **fields):
        fields.setdefault("kinds", () if kind.startswith("FARGATE") else KINDS)
        self.environments[name] = Environment(arn=name, kind=kind, **fields)
        self.scheduler.put_environment(self.environments[name])

    def queue(self, name, *environments, priority=1, **fields):
        self.queues[name] = Queue(
            arn=name, account="1", region="r", priority=priority, environments=environments, **fields
        )
        self.lines[name] = deque()
        self.scheduler.put_queue(self.queues[name])

    def at(self, seconds, what, *arguments):
        if self.grid:
            seconds = -(-seconds // self.grid) * self.grid
        heapq.heappush(self._events, (seconds, next(self._numbers), what, arguments))

    def submit_at(self, at, *job):
        """Submit a job later."""
        self._to_come += 1
        self.at(at, self._submit_now, *job)

    def _submit_now(self, *job):
        self._to_come -= 1
        self.submit(*job)

    def submit(self, job, queue, need, seconds, share="", priority=0):
        self.jobs[job] = (queue, need, seconds, share)
        self._waits(job, queue)
        self.scheduler.submit(job, queue, need, share=share, priority=priority, now=self.now)

    def submit_array(self, parent, count, queue, need, seconds, share=""):
        for index in range(count):
            self.jobs[f"{parent}:{index}"] = (queue, need, seconds, share)
            self._waits(f"{parent}:{index}", queue)
        self.scheduler.submit_array(parent, range(count), queue, need, share=share, now=self.now)

    def withdraw(self, job):
        if job in self.waiting:
            self.waiting.discard(job)
            self.done.add(job)
        self.scheduler.withdraw(job)

    def run(self, until=float("inf"), decisions_max=100_000):
        """Until all is done, or until then."""
        while self.decisions < decisions_max:
            self.step()
            due = self.scheduler.due_at()
            times = [one for one in (due, self._events[0][0] if self._events else None) if one is not None]
            if not times or (until == float("inf") and not (self.waiting or self.where or self._to_come)):
                return
            if min(times) > until:
                self.now = until
                return
            self.now = max(self.now, min(times))
            while self._events and self._events[0][0] <= self.now:
                _, _, what, arguments = heapq.heappop(self._events)
                what(*arguments)
        raise AssertionError(
            f"{len(self.waiting)} wait and {len(self.where)} run after {decisions_max} decisions"
        )

    def step(self):
        self.decisions += 1
        for action in self.scheduler.decide(self.now, starts_max=self.starts_max):
            if self.keep_trace:
                self.trace.append((self.now, action))
            match action:
                case Start():
                    self._start(action)
                case Launch():
                    self._launch(action)
                case Terminate():
                    self._terminate(action)
                case Stuck():
                    self.stuck[action.job] = action.reason
                case Expire():
                    assert action.job in self.waiting
                    self.waiting.discard(action.job)
                    self.done.add(action.job)
                    self.expired.append(action)

    # what the scheduler wants done

    def _start(self, action):
        job = action.job
        assert job in self.waiting, f"{job} was not waiting"
        queue, need, seconds, _ = self.jobs[job]
        environment = self.environments[action.environment]
        assert environment.open
        assert action.environment in self.queues[queue].environments
        assert len(action.instances) == need.nodes
        assert len(set(action.instances)) == need.nodes
        self.used[action.environment] += need.vcpus * need.nodes
        if environment.kind.startswith("FARGATE"):
            assert action.instances == ("",)
            assert self.used[action.environment] <= environment.max_vcpus
        else:
            for name in action.instances:
                self._put(job, need, self.instances[name], action.environment)
        if self.on_start:
            self.on_start(action)
        self.waiting.discard(job)
        self.starts += 1
        token = next(self._numbers)
        self.where[job] = (action.environment, action.instances, token)
        if self.chance.random() < self.odds.start:
            self.failed_starts += 1
            self.at(self.now + self.chance.random(), self._refuse, job, token)
        else:
            self.at(self.now + seconds, self._end, job, token, seconds)

    def _put(self, job, need, instance, environment):
        assert instance.environment == environment
        assert instance.ready
        assert not instance.alone
        assert need.nodes == 1 or not instance.jobs
        assert not need.kinds or instance.kind in need.kinds
        instance.vcpus -= need.vcpus
        instance.memory -= need.memory
        assert instance.vcpus >= 0
        assert instance.memory >= 0
        instance.jobs[job] = need
        instance.alone = need.nodes > 1

    def _launch(self, action):
        environment, kind = self.environments[action.environment], BY_NAME[action.kind]
        assert kind in environment.kinds
        self.coming[environment.arn] += kind.vcpus * action.count
        total = self.there[environment.arn] + self.coming[environment.arn]
        if environment.kind == "EC2" and environment.strategy == "BEST_FIT":
            assert total <= environment.max_vcpus
        else:
            assert total - max(one.vcpus for one in environment.kinds) < environment.max_vcpus
        if self.chance.random() < self.odds.launch:
            self.at(self.now + 1, self._launch_failed, action)
        else:
            self.at(self.now + 1, self._launched, action)

    def _launch_failed(self, action):
        self.coming[action.environment] -= BY_NAME[action.kind].vcpus * action.count
        self.scheduler.launched(
            action.environment, action.kind, action.count,
            failed="CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", now=self.now,
        )  # fmt: skip

    def _launched(self, action):
        self.scheduler.launched(action.environment, action.kind, action.count, now=self.now)
        for _ in range(action.count):
            lost = self.chance.random() < self.odds.lost
            self.at(self.now + (300 if lost else self.launch_seconds), self._arrive, action, lost)

    def _arrive(self, action, lost):
        self.coming[action.environment] -= BY_NAME[action.kind].vcpus
        if lost:
            return
        name = f"i-{next(self._numbers)}"
        self.add_instance(name, action.environment, action.kind)
        if self.odds.instance_seconds:
            life = self.chance.expovariate(1 / self.odds.instance_seconds)
            self.at(self.now + life, self._go, name)

    def add_instance(self, name, environment, kind):
        self.instances[name] = Instance(environment, kind)
        self.there[environment] += BY_NAME[kind].vcpus
        self._tell(name)

    def drain(self, name):
        self.instances[name].ready = False
        self._tell(name, draining=True)

    def _tell(self, name, *, draining=False):
        instance, kind = self.instances[name], BY_NAME[self.instances[name].kind]
        self.scheduler.put_room(
            instance.environment, name, kind.name, vcpus=kind.vcpus, memory=kind.memory, gpus=0,
            ready=instance.ready, draining=draining, now=self.now,
        )  # fmt: skip

    def _terminate(self, action):
        assert not self.instances[action.instance].jobs, "something runs there"
        self.at(self.now + 1, self._gone, action.environment, action.instance)

    def _gone(self, environment, name):
        instance = self.instances.pop(name, None)
        if instance is not None:
            self.there[environment] -= BY_NAME[instance.kind].vcpus
            self.scheduler.remove_room(environment, name)

    # what happens

    def _go(self, name):
        """An instance goes by itself, with what runs there; Batch retries that."""
        instance = self.instances.pop(name, None)
        if instance is None:
            return
        self.there[instance.environment] -= BY_NAME[instance.kind].vcpus
        self.scheduler.remove_room(instance.environment, name)
        for job in [*instance.jobs]:
            if job in self.where:
                self._free(job)
                self.scheduler.ended(job, self.now)
                self._again(job)

    def _refuse(self, job, token):
        if self.where.get(job, (0, 0, 0))[2] != token:
            return
        environment = self.where[job][0]
        self._free(job)
        self.waiting.add(job)
        self.lines[self.jobs[job][0]].appendleft(job)
        self.scheduler.refused(job, environment, self.now)

    def _end(self, job, token, seconds):
        if self.where.get(job, (0, 0, 0))[2] != token:
            return
        _, need, _, share = self.jobs[job]
        self._free(job)
        self.served[share] += need.vcpus * need.nodes * seconds
        self.done.add(job)
        self.scheduler.ended(job, self.now)

    def _again(self, job):
        queue, need, _, share = self.jobs[job]
        self._waits(job, queue)
        self.scheduler.submit(job, queue, need, share=share, now=self.now)

    def _free(self, job):
        environment, instances, _ = self.where.pop(job)
        need = self.jobs[job][1]
        self.used[environment] -= need.vcpus * need.nodes
        for name in instances:
            if name in self.instances:
                instance = self.instances[name]
                del instance.jobs[job]
                instance.vcpus += need.vcpus
                instance.memory += need.memory
                instance.alone = False

    def _waits(self, job, queue):
        self.waiting.add(job)
        self.lines[queue].append(job)

    def head(self, queue):
        """The job that is first in a FIFO queue."""
        line = self.lines[queue]
        while line and line[0] not in self.waiting:
            line.popleft()
        return line[0] if line else None
