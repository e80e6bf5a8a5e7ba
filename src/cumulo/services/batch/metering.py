"""Meters jobs: what attempts took, by queue, share and kind of capacity; and what Spot saved against on-demand.

Batch itself costs nothing: its lines on the bill have the price 0, for instances and Fargate tasks are metered by EC2 and
ECS.  They say whose vCPU-hours those were.  A line is kept in the transaction in which the attempt ends.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from cumulo.base.ports import Usage, UsageLedger
from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.model import Attempt, ComputeEnvironment, Job, JobStatus
from cumulo.services.batch.needs import need_of
from cumulo.services.batch.plan_events import Change, Outcome
from cumulo.services.batch.scheduling.facts import Need
from cumulo.state.store import join_key

SERVICE: Final = "batch"
_LIVE: Final = (JobStatus.STARTING, JobStatus.RUNNING)
_HOUR_MS: Final = 3_600_000
_MIB_PER_GIB: Final = 1024


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of a share of a queue took on one kind of capacity (EC2, SPOT, FARGATE, ...).

    paid, on_demand   USD: the attempts' part of their instances, at the price asked and without Spot
    """

    queue: str
    share: str
    kind: str
    attempts: int = 0
    vcpu_hours: float = 0.0
    gb_hours: float = 0.0
    paid: float = 0.0
    on_demand: float = 0.0


class Rates(msgspec.Struct, frozen=True):
    """USD an hour for what an attempt has: what is asked, and without Spot."""

    paid: float = 0.0
    on_demand: float = 0.0


class Place(msgspec.Struct, frozen=True):
    """Where an attempt runs: its environment, its instance, the instance's type; and how many attempts were before it."""

    environment: str
    instance: str
    type: str
    before: int


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Where prices come from: USD an hour.

    instance   region, type, Spot: of an instance;  vcpus   of a type
    fargate    region, Spot: of a vCPU, and of a GB
    """

    instance: Callable[[str, str, bool], float]
    vcpus: Callable[[str], int]
    fargate: Callable[[str, bool], tuple[float, float]]


class JobMeter:
    """A listener of the Desk's outcomes.

    type_of   the type of a container instance (ARN); empty: not known
    """

    def __init__(
        self,
        records: JobRecords,
        definitions: DefinitionRecords,
        ledger: UsageLedger,
        prices: Prices,
        *,
        environment: Callable[[str], ComputeEnvironment | None],
        type_of: Callable[[str], str],
    ) -> None:
        self._records = records
        self._definitions = definitions
        self._ledger = ledger
        self._prices = prices
        self._environment = environment
        self._type_of = type_of
        self._places: dict[str, Place] = {}
        self._used = records.store.table("batch_used", Used)

    def start(self) -> None:
        """Note where attempts run that an earlier process began."""
        for status in _LIVE:
            for job in self._records.live(status):
                self._begun(job)

    def heard(self, outcome: Outcome) -> None:
        """Note what begins, and charge what has ended."""
        for change in outcome.changes:
            if change.job.nodes or change.rest:
                continue  # its nodes, or children, are told of by themselves
            if change.job.status == JobStatus.STARTING:
                self._begun(change.job)
            elif change.before in _LIVE and change.job.status not in _LIVE:
                self._ended(change)

    def used(self) -> Sequence[Used]:
        """All that has been used."""
        return self._used.scan()

    def clear(self) -> None:
        """Forget everything."""
        self._used.clear()
        self._places.clear()

    def _begun(self, job: Job) -> None:
        if job.run is not None and not job.nodes:
            type_ = self._type_of(job.run.instance) if job.run.instance else ""
            self._places[job.id] = Place(job.run.environment, job.run.instance, type_, len(job.attempts))

    def _ended(self, change: Change) -> None:
        job, place = change.job, self._places.pop(change.job.id, None)
        if place is None or len(job.attempts) <= place.before:
            return
        attempt = job.attempts[-1]
        definition, environment = (
            self._definitions.by_arn(job.definition),
            self._environment(place.environment),
        )
        if definition is None or environment is None or not attempt.started_at:
            return
        need = need_of(definition, job)
        kind = environment.type
        rates = self._rates(job.region, kind, place.type or self._type_of(place.instance), need)
        self._ledger.keep(*usages(job, kind, need, attempt))
        self._add(job, kind, need, hours_of(attempt), rates)

    def _add(self, job: Job, kind: str, need: Need, hours: float, rates: Rates) -> None:
        key = join_key(job.queue, job.share, kind)
        before = self._used.get(key) or Used(queue=job.queue, share=job.share, kind=kind)
        self._used.put(
            key,
            msgspec.structs.replace(
                before,
                attempts=before.attempts + 1,
                vcpu_hours=before.vcpu_hours + need.vcpus / 1000 * hours,
                gb_hours=before.gb_hours + need.memory / _MIB_PER_GIB * hours,
                paid=before.paid + rates.paid * hours,
                on_demand=before.on_demand + rates.on_demand * hours,
            ),
        )

    def _rates(self, region: str, kind: str, type_: str, need: Need) -> Rates:
        if kind.startswith("FARGATE"):
            each = [self._prices.fargate(region, spot) for spot in (kind == "FARGATE_SPOT", False)]
            paid, full = (vcpu * need.vcpus / 1000 + gb * need.memory / _MIB_PER_GIB for vcpu, gb in each)
            return Rates(paid, full)
        vcpus = self._prices.vcpus(type_) if type_ else 0
        if not vcpus:
            return Rates()
        part = need.vcpus / 1000 / vcpus
        paid, full = (self._prices.instance(region, type_, spot) * part for spot in (kind == "SPOT", False))
        return Rates(paid, full)


def hours_of(attempt: Attempt) -> float:
    """How long it ran."""
    return max(0, attempt.stopped_at - attempt.started_at) / _HOUR_MS


def usages(job: Job, kind: str, need: Need, attempt: Attempt) -> Iterator[Usage]:
    """The lines of the bill for an attempt; they are the queue's, and its share's.  Pure."""
    hours = hours_of(attempt)
    amounts: Mapping[str, float] = {
        "vcpu": need.vcpus / 1000 * hours,
        "gb": need.memory / _MIB_PER_GIB * hours,
    }
    for name, quantity in amounts.items():
        if quantity:
            yield Usage(
                account=job.account,
                region=job.region,
                service=SERVICE,
                kind=f"{kind.lower()}_{name}",
                resource=f"{job.queue}#{job.share}" if job.share else job.queue,
                quantity=quantity,
                start_ms=attempt.started_at,
                end_ms=max(attempt.stopped_at, attempt.started_at),
            )
