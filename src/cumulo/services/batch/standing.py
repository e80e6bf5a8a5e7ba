"""How Batch stands, as JSON: the pages behind `cumulo batch top`, `wait` and `graph`.

GET /_cumulo/batch                queues with their shares, environments, jobs by state, jobs a second
GET /_cumulo/batch/job?id=        one job: its state, and how far its children are
GET /_cumulo/batch/graph?id=      the jobs that it waits for, and those that wait for it; as Mermaid, too
GET /_cumulo/batch/savings        what attempts took, and what Spot saved
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from cumulo.base.clock import Clock
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.metering import JobMeter
from cumulo.services.batch.model import ComputeEnvironment, Job, JobQueue, JobStatus
from cumulo.services.batch.plan_events import Outcome
from cumulo.services.batch.resources import Resources
from cumulo.services.batch.scheduling.scheduler import BatchScheduler
from cumulo.wire.http import Request, Response

GRAPH_MAX: Final = 500
RATE_SECONDS: Final = 60
_LIVE: Final = tuple(one for one in JobStatus if one not in (JobStatus.SUCCEEDED, JobStatus.FAILED))
_JSON: Final = ("content-type", "application/json")
_SHAPES: Final = {True: ("[[", "]]"), False: ("[", "]")}


class Pulse:
    """How many jobs came and ended in the last minute: a listener of the Desk's outcomes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: deque[tuple[int, Counter[str]]] = deque(maxlen=RATE_SECONDS)

    def heard(self, outcome: Outcome) -> None:
        """Count."""
        for change in outcome.changes:
            if change.before is None:
                self._now()["submitted"] += max(1, change.job.array_size)
            elif change.job.has_ended and not change.job.array_size and not change.job.is_node:
                self._now()[str(change.job.status).lower()] += 1

    def rates(self) -> Mapping[str, float]:
        """Jobs a second, over the last minute."""
        first = int(self._clock.monotonic()) - RATE_SECONDS
        total: Counter[str] = Counter()
        for second, counted in self._seconds:
            if second > first:
                total.update(counted)
        return {name: round(total[name] / RATE_SECONDS, 3) for name in ("submitted", "succeeded", "failed")}

    def _now(self) -> Counter[str]:
        second = int(self._clock.monotonic())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, Counter()))
        return self._seconds[-1][1]


class Standing:
    """The pages.  `desired`: the vCPUs of an environment."""

    def __init__(
        self,
        records: JobRecords,
        resources: Resources,
        scheduler: BatchScheduler,
        meter: JobMeter,
        pulse: Pulse,
        clock: Clock,
        *,
        desired: Callable[[ComputeEnvironment], int],
    ) -> None:
        self._records = records
        self._resources = resources
        self._scheduler = scheduler
        self._meter = meter
        self._pulse = pulse
        self._clock = clock
        self._desired = desired

    async def handle(self, request: Request, /) -> Response:
        """Answer GET."""
        if request.method != "GET":
            return _answer(405, {"message": "use GET"})
        page = request.path.removeprefix("/_cumulo/batch").strip("/")
        if not page:
            return _answer(200, self.top())
        if page == "savings":
            return _answer(200, self.savings())
        job = self._records.get(dict(parse_qsl(request.query)).get("id", ""))
        if job is None:
            return _answer(404, {"message": "there is no such job"})
        return _answer(200, self.graph(job) if page == "graph" else self.progress(job))

    # -- what is told ----------------------------------------------------------------------------------------

    def top(self) -> dict[str, Any]:
        """Everything at a glance."""
        return {
            "queues": [self._queue(one) for one in self._resources.queues.all()],
            "environments": [self._environment(one) for one in self._resources.environments.all()],
            "rates": self._pulse.rates(),
        }

    def progress(self, job: Job) -> dict[str, Any]:
        """A job, and its children by state."""
        return {
            "id": job.id,
            "name": job.name,
            "queue": job.queue,
            "status": job.status,
            "reason": job.status_reason,
            "size": job.array_size or job.nodes or 1,
            "counts": dict(job.counts) if job.array_size else {job.status: 1},
            "attempts": len(job.attempts),
            "created_at": job.created_at,
            "started_at": job.started_at,
            "stopped_at": job.stopped_at,
        }

    def graph(self, job: Job) -> dict[str, Any]:
        """The jobs around one; of those that wait for it, the ones that still do."""
        found = {job.id: job}
        todo = deque([job])
        while todo and len(found) < GRAPH_MAX:
            here = todo.popleft()
            near = [one.job_id for one in here.depends if one.job_id]
            for name in (*near, *self._records.waiting(here.id)):
                other = self._records.get(name) if name not in found else None
                if other is not None and not other.parent:
                    found[name] = other
                    todo.append(other)
        edges = [
            {"from": one.job_id, "to": here.id, "type": one.kind}
            for here in found.values()
            for one in here.depends
            if one.job_id in found
        ]
        return {
            "jobs": [self.progress(one) for one in found.values()],
            "edges": edges,
            "mermaid": _mermaid(found, edges),
        }

    def savings(self) -> dict[str, Any]:
        """What was used by queue, share and kind of capacity."""
        rows = [
            {**msgspec.structs.asdict(one), "saved": one.on_demand - one.paid} for one in self._meter.used()
        ]
        return {"used": rows, "saved": sum(float(one["saved"]) for one in rows), "currency": "USD"}

    # -- small things ----------------------------------------------------------------------------------------

    def _queue(self, queue: JobQueue) -> dict[str, Any]:
        shares = self._scheduler.shares(queue.arn, self._clock.monotonic()) if queue.policy else []
        return {
            "name": queue.name,
            "arn": queue.arn,
            "priority": queue.priority,
            "state": queue.state,
            "status": queue.status,
            "environments": [arn.rpartition("/")[2] for arn in queue.environments],
            "jobs": self._jobs(queue),
            "waiting": self._scheduler.waiting(queue.arn),
            "shares": [
                {
                    "share": one.share,
                    "running_vcpus": one.running / 1000,
                    "average_vcpus": one.average / 1000,
                    "waiting": one.waiting,
                }
                for one in shares
            ],
        }

    def _jobs(self, queue: JobQueue) -> dict[str, int]:
        """Jobs by state; of arrays the children."""
        found = {status: self._records.count(queue.arn, status) for status in JobStatus}
        for job in self._records.submitted_to(queue.arn, JobStatus.PENDING):
            if job.array_size:
                found[JobStatus.PENDING] -= 1
                for status, count in job.counts.items():
                    found[JobStatus(status)] += count
        return {str(status): count for status, count in found.items()}

    def _environment(self, one: ComputeEnvironment) -> dict[str, Any]:
        return {
            "name": one.name,
            "arn": one.arn,
            "type": one.type,
            "state": one.state,
            "status": one.status,
            "reason": one.status_reason,
            "vcpus": self._scheduler.vcpus(one.arn) / 1000,
            "min_vcpus": int(one.resources.get("minvCpus", 0)),
            "max_vcpus": int(one.resources.get("maxvCpus", one.unmanaged_vcpus)),
            "desired_vcpus": self._desired(one),
            "cluster": one.cluster,
        }


def _mermaid(jobs: Mapping[str, Job], edges: list[dict[str, Any]]) -> str:
    """A picture: arrays in double boxes, with how many of their children are done."""
    short = {name: f"j{number}" for number, name in enumerate(jobs)}
    rows = ["graph LR"]
    for name, job in jobs.items():
        left, right = _SHAPES[job.array_size > 0]
        done = f" {job.counts.get(JobStatus.SUCCEEDED, 0)}/{job.array_size}" if job.array_size else ""
        rows.append(f'    {short[name]}{left}"{job.name} {job.status}{done}"{right}')
    for edge in edges:
        label = f"|{edge['type']}|" if edge["type"] else ""
        rows.append(f"    {short[edge['from']]} -->{label} {short[edge['to']]}")
    return "\n".join(rows)


def _answer(status: int, value: Any) -> Response:
    return Response(status, [_JSON], msgspec.json.encode(value))
