"""A scheduler with little to type."""

from cumulo.services.batch.scheduling.facts import (
    Environment,
    Expire,
    Kind,
    Launch,
    Need,
    Queue,
    Start,
    Stuck,
    Terminate,
)
from cumulo.services.batch.scheduling.scheduler import BatchScheduler

SMALL = Kind("m5.large", 2000, 8000, 0.096, 0.03)
LARGE = Kind("m5.4xlarge", 16_000, 64_000, 0.768, 0.24)
ONE = Need(vcpus=1000, memory=1000)


class Desk:
    """Tells a scheduler things, and sorts what it says."""

    def __init__(self):
        self.scheduler = BatchScheduler()
        self.now = 0.0

    def environment(self, arn="ce", kind="EC2", **fields):
        if not kind.startswith("FARGATE"):
            fields.setdefault("kinds", (SMALL, LARGE))
        fields.setdefault("max_vcpus", 64_000)
        self.scheduler.put_environment(Environment(arn=arn, kind=kind, **fields))

    def queue(self, arn="q", *environments, priority=1, **fields):
        self.scheduler.put_queue(
            Queue(
                arn=arn,
                account="1",
                region="r",
                priority=priority,
                environments=environments or ("ce",),
                **fields,
            )
        )

    def room(self, instance, kind=LARGE, environment="ce", **fields):
        fields.setdefault("ready", True)
        self.scheduler.put_room(
            environment, instance, kind.name, vcpus=kind.vcpus, memory=kind.memory, gpus=kind.gpus, now=self.now,
            **fields,
        )  # fmt: skip

    def submit(self, *jobs, queue="q", need=ONE, **fields):
        for job in jobs:
            self.scheduler.submit(job, queue, need, now=self.now, **fields)

    def ended(self, *jobs):
        for job in jobs:
            self.scheduler.ended(job, self.now)

    def decide(self, seconds=0.0, **fields):
        self.now += seconds
        return self.scheduler.decide(self.now, **fields)

    def started(self, seconds=0.0):
        return [action.job for action in self.decide(seconds) if isinstance(action, Start)]

    def launches(self, seconds=0.0):
        return [(one.kind, one.count) for one in self.decide(seconds) if isinstance(one, Launch)]

    def terminated(self, seconds=0.0):
        return [one.instance for one in self.decide(seconds) if isinstance(one, Terminate)]

    def told(self, seconds=0.0):
        return [(one.job, one.reason) for one in self.decide(seconds) if isinstance(one, Stuck)]

    def expired(self, seconds=0.0):
        return [one for one in self.decide(seconds) if isinstance(one, Expire)]

    def failed(self, kind, count, reason="CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"):
        self.scheduler.launched("ce", kind.name, count, failed=reason, now=self.now)

    def launched(self, kind, count):
        self.scheduler.launched("ce", kind.name, count, now=self.now)
