"""How long AWS Batch takes to decide, and what a waiting job costs: 1,000 jobs against 1,000,000, 50 instances against 10,000.

Run it with `python -m benchmarks.batch_scheduling`.  The decision alone: the engine is simulated, nothing is stored.  A
decision here is what follows a task's end: its room is free, the head starts there or waits, some pass it, launches are
planned.
"""

import gc
import random
import time
import tracemalloc
from collections import deque
from collections.abc import Iterator

from cumulo.services.batch.scheduling.facts import Environment, Fair, Kind, Need, Queue, Start
from cumulo.services.batch.scheduling.scheduler import BatchScheduler

KIND = Kind("m5.4xlarge", 16_000, 62_000, 0.768)
NEEDS = (Need(vcpus=1000, memory=2000), Need(vcpus=2000, memory=2000), Need(vcpus=4000, memory=16_000))
FEW_JOBS, MANY_JOBS = 1000, 1_000_000
FEW_INSTANCES, MANY_INSTANCES = 50, 10_000
DECISIONS = 3000
SHARES = 10
BYTES_PER_JOB_MAX = 1024
FAIR = Fair(weights={"share-1": 0.5})


def a_scheduler(instances: int, fair: Fair | None) -> BatchScheduler:
    """One queue, on so many empty instances, which are all there may be."""
    scheduler = BatchScheduler()
    scheduler.put_environment(
        Environment(
            arn="ce",
            kind="EC2",
            strategy="BEST_FIT_PROGRESSIVE",
            kinds=(KIND,),
            max_vcpus=instances * KIND.vcpus,
        )
    )
    scheduler.put_queue(Queue(arn="q", account="1", region="r", priority=1, environments=("ce",), fair=fair))
    for number in range(instances):
        scheduler.put_room(
            "ce", f"i-{number}", KIND.name, vcpus=KIND.vcpus, memory=KIND.memory, gpus=0, ready=True, now=0.0
        )  # fmt: skip
    return scheduler


def submit(
    scheduler: BatchScheduler, number: int, chance: random.Random, now: float, fair: Fair | None
) -> None:
    """A job of one of three sizes, of one of ten shares."""
    share = f"share-{number % SHARES}" if fair else ""
    scheduler.submit(
        f"00000000-0000-4000-8000-{number:012d}", "q", chance.choice(NEEDS), share=share, now=now
    )


def fill(scheduler: BatchScheduler) -> list[str]:
    """Start all that fits."""
    running: list[str] = []
    while found := [one.job for one in scheduler.decide(0.0) if isinstance(one, Start)]:
        running.extend(found)
    return running


def seconds_per_decision(jobs: int, instances: int, fair: Fair | None) -> float:
    """The median, with all instances full and so many jobs waiting behind; each that ends is followed by another."""
    chance, scheduler = random.Random(1), a_scheduler(instances, fair)
    number = 0
    running: list[str] = []
    while scheduler.waiting("q") < jobs:
        for _ in range(jobs):
            submit(scheduler, number, chance, 0.0, fair)
            number += 1
        running += fill(scheduler)
    spent = []
    for step in range(DECISIONS):
        at = chance.randrange(len(running))
        running[at], running[-1] = running[-1], running[at]
        now = step / 100
        submit(scheduler, number, chance, now, fair)
        number += 1
        began = time.process_time()
        scheduler.ended(running.pop(), now)
        actions = scheduler.decide(now)
        spent.append(time.process_time() - began)
        running += [one.job for one in actions if isinstance(one, Start)]
    return sorted(spent)[len(spent) // 2]


def bytes_per_job(jobs: int) -> float:
    """What a waiting job adds, its id included."""
    scheduler, chance = a_scheduler(1, None), random.Random(1)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(jobs):
        submit(scheduler, number, chance, 0.0, None)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / jobs


def seconds_per_job(jobs: int, instances: int) -> float:
    """From submission to the last one's end: jobs of 10 to 60 seconds, and decisions once a second."""
    chance, scheduler = random.Random(1), a_scheduler(instances, None)
    began = time.process_time()
    for number in range(jobs):
        submit(scheduler, number, chance, 0.0, None)
    ends: deque[list[str]] = deque([] for _ in range(61))
    left, now = jobs, 0.0
    while left:
        now += 1
        ended = ends.popleft()
        ends.append([])
        for job in ended:
            scheduler.ended(job, now)
        left -= len(ended)
        for action in scheduler.decide(now, starts_max=jobs):
            if isinstance(action, Start):
                ends[chance.randint(10, 60)].append(action.job)
    return (time.process_time() - began) / jobs


def rows() -> Iterator[tuple[str, str, str, float, float]]:
    """What `Table.row` takes: what, ours, theirs, ratio, budget."""
    gc.collect()
    gc.freeze()
    for name, fair in (("FIFO", None), ("fair share", FAIR)):
        few = seconds_per_decision(FEW_JOBS, FEW_INSTANCES, fair)
        many = seconds_per_decision(MANY_JOBS, FEW_INSTANCES, fair)
        yield (
            f"Batch, {MANY_JOBS} jobs wait, {name}",
            f"{many * 1e6:.0f} us",
            f"{FEW_JOBS} jobs {few * 1e6:.0f} us",
            many / few,
            1.25,
        )
        more = seconds_per_decision(FEW_JOBS, MANY_INSTANCES, fair)
        yield (
            f"Batch, {MANY_INSTANCES} instances, {name}",
            f"{more * 1e6:.0f} us",
            f"{FEW_INSTANCES} instances {few * 1e6:.0f} us",
            more / few,
            2,
        )
    few_bytes, many_bytes = bytes_per_job(FEW_JOBS), bytes_per_job(MANY_JOBS)
    yield (
        f"Batch, memory of a job, {MANY_JOBS}",
        f"{many_bytes:.0f} B",
        f"{FEW_JOBS} jobs {few_bytes:.0f} B; 1 KB",
        many_bytes / BYTES_PER_JOB_MAX,
        1,
    )
    short = seconds_per_job(MANY_JOBS // 100, MANY_INSTANCES // 100)
    long = seconds_per_job(MANY_JOBS, MANY_INSTANCES)
    yield (
        f"Batch, {MANY_JOBS} jobs on {MANY_INSTANCES}",
        f"{long * 1e6:.0f} us a job",
        f"a hundredth of both {short * 1e6:.0f} us",
        long / short,
        2,
    )


def main() -> None:
    """Print the rows."""
    for what, ours, theirs, ratio, budget in rows():
        print(f"{what:44} {ours:>14}  {theirs:34} {ratio:6.2f} x  (<= {budget:g})", flush=True)


if __name__ == "__main__":
    main()
