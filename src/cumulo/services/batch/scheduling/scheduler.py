"""The scheduler of AWS Batch: told everything, asked what to do.  One for all accounts and regions.

    world.py     what it knows, and what each thing that it is told changes
    passing.py   one round of decisions over the queues that changed
    planning.py  the instances to launch
    snapshot.py  the front of a queue, and what an environment holds

    queues.py ── waiting.py, shares.py        environments.py ── rooms.py, launching.py, kinds.py

Nothing in it is random: the same calls give the same decisions.
"""

from cumulo.services.batch.scheduling import snapshot
from cumulo.services.batch.scheduling.facts import (
    Action,
    Environment,
    EnvironmentUse,
    Need,
    Queue,
    ShareUse,
)
from cumulo.services.batch.scheduling.launching import ARRIVAL_SECONDS_MAX
from cumulo.services.batch.scheduling.passing import Round
from cumulo.services.batch.scheduling.world import Wake, World


class BatchScheduler:
    """See `facts.Scheduler`, which says what each method is for."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._world = World()

    def put_queue(self, queue: Queue) -> None:
        """A queue as it is now."""
        self._world.put_queue(queue)

    def remove_queue(self, arn: str) -> None:
        """It is gone, with its jobs."""
        self._world.remove_queue(arn)

    def put_environment(self, environment: Environment) -> None:
        """A compute environment as it is now."""
        self._world.put_environment(environment)

    def remove_environment(self, arn: str) -> None:
        """It is gone."""
        self._world.remove_environment(arn)

    def put_room(self, environment: str, instance: str, kind: str, *, vcpus: int, memory: int, gpus: int,
                 ready: bool, draining: bool = False, now: float) -> None:  # fmt: skip
        """An instance is there, with all that Batch may use of it."""
        self._now(now)
        site = self._world.environments.get(environment)
        if site is not None:
            room, _ = site.put(instance, kind, (vcpus, memory, gpus))
            self._world.put_room(site, room, ready=ready, draining=draining, now=now)

    def remove_room(self, environment: str, instance: str) -> None:
        """An instance is gone."""
        site = self._world.environments.get(environment)
        room = site.by_instance.get(instance) if site else None
        if site is not None and room is not None:
            self._world.remove_room(site, room, self._world.now)

    def submit(self, job: str, queue: str, need: Need, *, share: str = "", priority: int = 0,
               now: float) -> None:  # fmt: skip
        """A job is RUNNABLE (again); harmless when it waits already."""
        self._now(now)
        if not self._world.waits(job):
            self._world.ended(job, now)
            self._world.add(job, self._world.queues[queue], need, share, priority, now)

    def submit_array(self, parent: str, indexes: range, queue: str, need: Need, *, share: str = "",
                     priority: int = 0, now: float) -> None:  # fmt: skip
        """Children `<parent>:<index>` are RUNNABLE, in this order."""
        self._now(now)
        if len(indexes):
            self._world.add(parent, self._world.queues[queue], need, share, priority, now, indexes)

    def withdraw(self, job: str) -> None:
        """A RUNNABLE job is not to be started any more."""
        self._world.withdraw(job)

    def running(self, job: str, queue: str, environment: str, need: Need, *, instances: tuple[str, ...] = ("",),
                share: str = "", now: float) -> None:  # fmt: skip
        """A job runs already (after a restart)."""
        self._now(now)
        self._world.is_running(job, self._world.queues[queue], environment, need, instances, share, now)

    def refused(self, job: str, environment: str, now: float) -> None:
        """A Start came to nothing: the job is RUNNABLE as before."""
        self._now(now)
        running = self._world.running.get(job)
        if running is not None and running.environment == environment:
            self._world.refused(job, now)

    def ended(self, job: str, now: float) -> None:
        """What was started has ended, and holds nothing any more."""
        self._now(now)
        running = self._world.ended(job, now)
        if running is not None:
            self._world.succeeded(running)

    def launched(self, environment: str, kind: str, count: int, *, failed: str = "", now: float) -> None:
        """A Launch was carried out, or failed."""
        self._now(now)
        site = self._world.environments.get(environment)
        if site is None:
            return
        if failed:
            at = site.launching.failed(kind, count, failed, now)
            self._world.short[environment] = None
        else:
            site.launching.launched(kind, count, now)
            at = now + ARRIVAL_SECONDS_MAX
        self._world.wakes.add(at, Wake("launches", at, environment))
        self._world.gained(site)

    def decide(self, now: float, *, starts_max: int = 1000) -> list[Action]:
        """What is to be done now."""
        self._now(now)
        return Round(self._world, self._world.now, starts_max).run()

    def due_at(self) -> float | None:
        """When to decide again although nothing was told; None: never."""
        if self._world.unsettled or self._world.short:
            return self._world.now
        return self._world.wakes.next_at()

    def front(self, queue: str, count: int = 100) -> list[tuple[str, float]]:
        """The jobs that would start first, and since when they are there."""
        return snapshot.front(self._world.queues[queue], count, self._world.now)

    def vcpus(self, environment: str) -> int:
        """milli-vCPUs of the instances that are there and on their way."""
        site = self._world.environments.get(environment)
        if site is None:
            return 0
        return site.used if site.is_fargate else site.there - site.leaving + site.launching.vcpus

    def waiting(self, queue: str) -> int:
        """How many jobs of a queue are RUNNABLE."""
        return self._world.queues[queue].count if queue in self._world.queues else 0

    def shares(self, queue: str, now: float) -> list[ShareUse]:
        """The active shares of a fair queue, the one that is served next first."""
        return self._world.queues[queue].shares(now) if queue in self._world.queues else []

    def use(self, environment: str) -> EnvironmentUse:
        """What runs in an environment; costs by its instances."""
        site = self._world.environments.get(environment)
        return snapshot.use(site) if site is not None else EnvironmentUse()

    def _now(self, now: float) -> None:
        self._world.now = max(self._world.now, now)
