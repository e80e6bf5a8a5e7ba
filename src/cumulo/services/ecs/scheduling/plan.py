"""Decides what is to be done about a service: facts and the time in, actions out.  Pure.

facts ──▶ breaker: failed?  ──yes──▶ fail, or roll back
             │ no
             ▼
          which tasks are good, which are bad (sick, of an older deployment, on a draining instance)
             │
             ├─▶ start what is missing, within the maximum percent
             ├─▶ stop what is too much, and bad ones as far as enough are healthy without them
             └─▶ complete, retire, say that it is steady
"""

import math
from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from cumulo.services.ecs.scheduling import rollout, sentences
from cumulo.services.ecs.scheduling.breaker import after_place, threshold
from cumulo.services.ecs.scheduling.decisions import NEVER, Facts, Plan, Start, Stop
from cumulo.services.ecs.scheduling.health import Standing
from cumulo.services.ecs.scheduling.model import Announcement, Deployment, Rollout
from cumulo.services.ecs.scheduling.victims import Piece, order, skew, split

STARTS_AT_ONCE = 10
STOPS_AT_ONCE = 50
STEADY_EVERY_SECONDS = 6 * 3600.0
EVEN_ZONES_SECONDS = 900.0  # between two tries to even out the zones
EVEN_ZONES_PATIENCE_SECONDS = 600.0  # for the one task too many to become healthy


def plan(facts: Facts, now: float) -> Plan:
    """Decide."""
    if not facts.active:
        return _wind_up(facts, now)
    if not facts.deployments or facts.deployments[0].status != "PRIMARY":
        return Plan()
    primary = facts.deployments[0]
    tripped = _breaker(facts, primary, now)
    if tripped is not None:
        return tripped
    stage = _Stage(facts, primary, now)
    if primary.rollout is Rollout.FAILED:
        stage.stalled()
    elif facts.daemon:
        stage.daemon()
    else:
        stage.replica()
    return stage.result()


def _wind_up(facts: Facts, now: float) -> Plan:
    """The service is deleted: everything stops."""
    stops = tuple(Stop(one, sentences.scaling(one.deployment)) for one in facts.pieces)
    if stops or facts.lingering:
        return Plan(stops=stops[:STOPS_AT_ONCE], again=now if len(stops) > STOPS_AT_ONCE else NEVER)
    return Plan(records=tuple(rollout.retire(one, now) for one in facts.deployments), gone=True)


def _breaker(facts: Facts, primary: Deployment, now: float) -> Plan | None:
    """What follows when too many tasks failed; None when not."""
    limit = threshold(facts.breaker, facts.wanted)
    if not facts.breaker.get("enable") or primary.rollout is not Rollout.IN_PROGRESS:
        return None
    if primary.failed < limit or _resets(facts, primary):
        return None
    failed_note = f"(deployment {primary.id}) deployment failed: {sentences.FAILED_TO_START}."
    announced = _change("ERROR", "SERVICE_DEPLOYMENT_FAILED", primary, sentences.BREAKER_FAILED, now)
    to = facts.fallback
    if not facts.breaker.get("rollback") or to is None or primary.rollback_of:
        wanted = bool(facts.breaker.get("rollback")) and not primary.rollback_of
        failed = rollout.fail(primary, limit, now, wanted_back=wanted)
        before = [one for one in facts.deployments if one.id == primary.rollback_of]
        closed = [rollout.rolled_back(one, well=False, now=now) for one in before]
        return Plan(records=(failed, *closed), notes=(failed_note,), announcements=(announced,), again=now)
    loser, winner = rollout.roll_back(
        primary, to, why=sentences.THRESHOLD_ROLLED_BACK, tripped=True, threshold=limit, now=now
    )
    return Plan(
        records=(loser, winner),
        back_to=winner,
        notes=(failed_note, f"rolling back to deployment {to.id}."),
        announcements=(
            announced,
            _change("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS", winner, winner.reason, now),
        ),
        again=now,
    )


def _resets(facts: Facts, primary: Deployment) -> bool:
    """Whether a healthy task makes what failed before forgotten."""
    if not facts.breaker.get("resetOnHealthyTask", True):
        return False
    return any(one.standing is Standing.HEALTHY for one in facts.pieces if one.deployment == primary.id)


def _change(kind: str, name: str, deployment: Deployment, reason: str, now: float) -> Announcement:
    return Announcement(
        detail_type="ECS Deployment State Change",
        kind=kind,
        name=name,
        at=now,
        deployment=deployment.id,
        reason=reason,
    )


class _Stage:
    """One decision, while it is made."""

    def __init__(self, facts: Facts, primary: Deployment, now: float) -> None:
        self._facts = facts
        self._now = now
        self._before = primary
        self._primary = primary
        self._starts: list[Start] = []
        self._stops: list[Stop] = []
        self._notes: list[str] = []
        self._announcements: list[Announcement] = []
        self._again = facts.look_again
        self._good = [one for one in facts.pieces if self._is_good(one)]
        good = {one.arn for one in self._good}
        self._bad = [one for one in facts.pieces if one.arn not in good]
        self._healthy = sum(one.standing is Standing.HEALTHY for one in facts.pieces)
        if primary.failed and _resets(facts, primary):
            self._primary = replace(primary, failed=0)

    def _is_good(self, piece: Piece) -> bool:
        if piece.deployment != self._primary.id or piece.standing is Standing.SICK or piece.doomed:
            return False
        return not self._facts.daemon or piece.instance in self._facts.eligible

    # -- the ways ----------------------------------------------------------------------------------------

    def stalled(self) -> None:
        """A failed deployment launches nothing; only what is too much goes."""
        extra = len(self._facts.pieces) - self._facts.wanted
        for victim in order(self._free(self._facts.pieces), max(0, extra), self._facts.pieces):
            self._stop(victim)

    def replica(self) -> None:
        """So many tasks, wherever they are."""
        facts = self._facts
        missing = facts.desired - len(self._good)
        if missing < 0:
            self._scale_in(-missing)
        if missing <= 0:
            self._primary = replace(self._primary, backoff=after_place(self._primary.backoff))
        room = facts.maximum - len(facts.pieces)
        may_start = max(0, min(missing, room))
        if may_start and self._may_launch():
            self._start(min(may_start, STARTS_AT_ONCE))
            if may_start > STARTS_AT_ONCE:
                self._again = self._now
        self._replace(missing, room)
        if missing > 0 and room <= 0 and not self._stops and self._is_quiet():
            self._say(sentences.BLOCKED)
        self._even_zones()
        self._conclude()

    def daemon(self) -> None:
        """One task on each instance."""
        facts = self._facts
        there = {one.instance for one in facts.pieces} | facts.busy
        empty = [instance for instance in facts.eligible if instance not in there]
        if empty and self._may_launch():
            taken = tuple(empty[:STARTS_AT_ONCE])
            self._starts.append(Start(self._primary, len(taken), "", taken))
            if len(empty) > STARTS_AT_ONCE:
                self._again = self._now
        self._healthy = sum(
            one.standing is Standing.HEALTHY for one in facts.pieces if one.instance in facts.eligible
        )
        for piece in self._free(self._bad):
            if piece.instance not in facts.eligible:
                self._stop(piece)
        self._stop_unwell(facts.minimum, pressed=True)
        self._stop_well(self._healthy - facts.minimum)
        stuck = facts.minimum >= facts.wanted and bool(self._bad_and_free())
        if stuck and not self._starts and not self._stops and self._is_quiet():
            self._say(sentences.BLOCKED)
        self._conclude()

    # -- stopping ----------------------------------------------------------------------------------------

    def _free(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Those that are not protected."""
        free: list[Piece] = []
        for one in pieces:
            if one.protected_until > self._now:
                self._again = min(self._again, one.protected_until)
            else:
                free.append(one)
        return free

    def _scale_in(self, count: int) -> None:
        """Too many good ones; but the one that evens out the zones is waited for."""
        newest = max(self._good, key=lambda one: one.created_at)
        patient = self._primary.evened_at + EVEN_ZONES_PATIENCE_SECONDS
        if (
            self._primary.evened_at
            and newest.created_at >= self._primary.evened_at
            and newest.standing is not Standing.HEALTHY
            and self._now < patient
        ):
            self._again = min(self._again, patient)
            count -= 1
        for victim in order(self._free(self._good), count, self._good):
            if victim.standing is Standing.HEALTHY:
                if self._healthy <= self._facts.minimum:  # others are protected, but not healthy
                    break
                self._healthy -= 1
            self._stop(victim)

    def _replace(self, missing: int, room: int) -> None:
        """Stop bad ones: those that are replaced already, and more only when the new ones have no room else."""
        facts = self._facts
        gentle = max(facts.minimum, facts.desired)
        no_place = self._has_no_place()
        pressed = missing > 0 and (room < missing or no_place)
        before = len(self._stops)
        self._stop_unwell(facts.minimum if pressed else gentle, pressed=pressed)
        short = missing if no_place else missing - room - (len(self._stops) - before)
        self._stop_well(max(self._healthy - gentle, min(self._healthy - facts.minimum, short)))

    def _stop_unwell(self, keep: int, *, pressed: bool) -> None:
        """Bad ones that are not healthy: what does not run yet, and the others if `keep` healthy ones are there."""
        for piece in self._bad_and_free():
            standing = piece.standing
            if standing is Standing.HEALTHY:
                continue
            enough = self._healthy >= keep
            if standing is Standing.PENDING or enough or (standing is Standing.SICK and pressed):
                self._stop(piece)

    def _stop_well(self, count: int) -> None:
        """So many healthy bad ones."""
        well = [one for one in self._bad_and_free() if one.standing is Standing.HEALTHY]
        for piece in order(well, max(0, min(count, len(well))), well):
            self._stop(piece)
            self._healthy -= 1

    def _bad_and_free(self) -> list[Piece]:
        stopping = {one.piece.arn for one in self._stops}
        return self._free(one for one in self._bad if one.arn not in stopping)

    def _stop(self, piece: Piece) -> None:
        if piece.standing is Standing.SICK and piece.reason:
            self._stops.append(Stop(piece, piece.reason))
        else:
            self._stops.append(Stop(piece, sentences.scaling(piece.deployment)))

    # -- starting ----------------------------------------------------------------------------------------

    def _may_launch(self) -> bool:
        until = max(self._primary.backoff.until, self._primary.backoff.place_until)
        if until > self._now:
            self._again = min(self._again, until)
            return False
        return True

    def _has_no_place(self) -> bool:
        return self._primary.backoff.place_step > 0 or any(one.waits for one in self._good)

    def _start(self, count: int) -> None:
        if not self._primary.strategy:
            self._starts.append(Start(self._primary, count))
            return
        there = Counter(one.provider for one in self._good)
        for provider, share in split(self._primary.strategy, there, count).items():
            self._starts.append(Start(self._primary, share, provider))

    def _even_zones(self) -> None:
        """Start one more when a zone has two more than another; the fullest zone loses one when it is healthy."""
        facts, primary = self._facts, self._primary
        if not facts.even_zones or self._starts or self._stops or not self._is_whole():
            return
        counts = Counter(one.zone for one in self._good)
        zones = {zone: counts[zone] for zone in facts.zones}
        if skew(self._good, facts.zones) < 2:
            if primary.evened_at:
                self._primary = replace(primary, evened_at=0.0)
                self._say(sentences.even(zones))
                self._announce("INFO", "SERVICE_REBALANCING_COMPLETED")
            return
        if facts.maximum <= facts.desired or not self._may_launch():
            return
        next_try = primary.evened_at + EVEN_ZONES_SECONDS if primary.evened_at else 0.0
        if next_try > self._now:
            self._again = min(self._again, next_try)
            return
        self._primary = replace(primary, evened_at=self._now)
        self._say(sentences.uneven(zones))
        self._announce("INFO", "SERVICE_REBALANCING_STARTED")
        self._start(1)

    # -- ends --------------------------------------------------------------------------------------------

    def _is_quiet(self) -> bool:
        """Whether nothing is under way that would change the facts."""
        changing = {Standing.PENDING, Standing.STARTING}
        return not self._facts.leaving and not any(one.standing in changing for one in self._facts.pieces)

    def _is_whole(self) -> bool:
        """Whether there is exactly what is wanted, and all of it is well."""
        well = all(one.standing is Standing.HEALTHY for one in self._good)
        return well and len(self._good) == self._facts.wanted and not self._bad and not self._is_mixed()

    def _is_mixed(self) -> bool:
        """Whether tasks of other deployments are there, be it that they leave."""
        others = any(one.deployment != self._primary.id for one in self._facts.pieces)
        return others or any(self._facts.leaving.get(one.id) for one in self._facts.deployments[1:])

    def _has_arrived(self) -> bool:
        """Whether the deployment has what it needs to be complete."""
        early = self._facts.early
        if not early.get("enable"):
            return self._is_whole()
        share = math.ceil(self._facts.wanted * int(early.get("healthyPercent", 100)) / 100)
        well = sum(one.standing is Standing.HEALTHY for one in self._good)
        deferred = early.get("sourceServiceRevisionCleanup") == "DEFERRED"
        return well >= share and (deferred or not self._is_mixed())

    def _conclude(self) -> None:
        if self._primary.rollout is Rollout.IN_PROGRESS:
            self._complete_maybe()
        whole = self._is_whole() and self._primary.rollout is Rollout.COMPLETED and not self._starts
        said = self._primary.steady_at
        if not whole:
            if said and (self._starts or self._stops or self._bad):
                self._primary = replace(self._primary, steady_at=0.0)
            return
        if not said or self._now >= said + STEADY_EVERY_SECONDS:
            self._primary = replace(self._primary, steady_at=self._now)
            self._say(sentences.STEADY)
            self._announce("INFO", "SERVICE_STEADY_STATE")
        self._again = min(self._again, self._primary.steady_at + STEADY_EVERY_SECONDS)

    def _complete_maybe(self) -> None:
        if not self._has_arrived():
            if self._primary.baking_since:
                self._primary = replace(self._primary, baking_since=0.0)
            return
        since = self._primary.baking_since or self._now
        ready_at = since + self._facts.bake_seconds
        if ready_at > self._now:
            self._primary = replace(self._primary, baking_since=since)
            self._again = min(self._again, ready_at)
            return
        self._primary = rollout.complete(self._primary, self._now)
        self._notes.append(f"(deployment {self._primary.id}) deployment completed.")
        self._announcements.append(
            _change("INFO", "SERVICE_DEPLOYMENT_COMPLETED", self._primary, self._primary.reason, self._now)
        )

    def _say(self, note: str) -> None:
        self._notes.append(note)

    def _announce(self, kind: str, name: str) -> None:
        self._announcements.append(
            Announcement(detail_type="ECS Service Action", kind=kind, name=name, at=self._now)
        )

    def result(self) -> Plan:
        """The decision."""
        records = [self._primary] if self._primary != self._before else []
        rolled_back = self._before.rollback_of if self._primary.rollout is Rollout.COMPLETED else ""
        tasks = Counter(one.deployment for one in self._facts.pieces)
        for other in self._facts.deployments[1:]:
            after = rollout.rolled_back(other, well=True, now=self._now) if other.id == rolled_back else other
            if not tasks[other.id] and not self._facts.leaving.get(other.id):
                after = self._retired(after, rolled_back)
            if after != other:
                records.append(after)
        wanted = self._facts.wanted
        more = len(self._stops) > STOPS_AT_ONCE
        return Plan(
            starts=tuple(self._starts),
            stops=tuple(self._stops[:STOPS_AT_ONCE]),
            records=tuple(records),
            sized=wanted if self._facts.daemon and wanted != self._facts.desired else None,
            notes=tuple(self._notes),
            announcements=tuple(self._announcements),
            again=self._now if more else self._again,
        )

    def _retired(self, other: Deployment, rolled_back: str) -> Deployment:
        """An older deployment without tasks; the one that is rolled back stays until its way back has ended."""
        waits = other.id == self._primary.rollback_of and not rolled_back
        return other if waits else rollout.retire(other, self._now)
