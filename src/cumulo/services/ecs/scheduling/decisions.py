"""What `plan` is told, and what it says.  Pure."""

import math
from collections.abc import Mapping

import msgspec

from cumulo.services.ecs.model import Document
from cumulo.services.ecs.scheduling.model import Announcement, Deployment
from cumulo.services.ecs.scheduling.victims import Piece

NEVER = math.inf


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a service at a moment.

    desired       how many tasks are wanted; for DAEMON ignored
    deployments   those that are not INACTIVE, the PRIMARY first
    fallback      the newest other deployment that was complete once: where a rollback goes
    pieces        its tasks that are wanted: neither stopped nor told to stop
    leaving       tasks by deployment that were told to stop and are not STOPPED yet
    lingering     how many of these still leave load balancers, their containers at work
    daemon        whether each eligible instance gets one task
    eligible      DAEMON: instances (ARNs) that are to have one
    busy          DAEMON: instances on which a task of the service is still stopping
    zones         where tasks could run
    look_again    when some task's standing changes by itself
    """

    active: bool = True
    desired: int = 0
    minimum_percent: int = 100
    maximum_percent: int = 200
    breaker: Document = {}
    early: Document = {}
    bake_seconds: float = 0.0
    deployments: tuple[Deployment, ...] = ()
    fallback: Deployment | None = None
    pieces: tuple[Piece, ...] = ()
    leaving: Mapping[str, int] = {}
    lingering: int = 0
    daemon: bool = False
    eligible: tuple[str, ...] = ()
    busy: frozenset[str] = frozenset()
    zones: tuple[str, ...] = ()
    even_zones: bool = False
    look_again: float = NEVER

    @property
    def minimum(self) -> int:
        """How many healthy tasks our own actions must leave."""
        return math.ceil(self.wanted * self.minimum_percent / 100)

    @property
    def maximum(self) -> int:
        """How many tasks there may be at once."""
        return self.wanted * self.maximum_percent // 100

    @property
    def wanted(self) -> int:
        """How many tasks there should be."""
        return len(self.eligible) if self.daemon else self.desired


class Start(msgspec.Struct, frozen=True):
    """Launch so many tasks of a deployment, on one capacity provider, or one on each of these instances."""

    deployment: Deployment
    count: int
    provider: str = ""
    instances: tuple[str, ...] = ()


class Stop(msgspec.Struct, frozen=True):
    """Stop a task, for this reason."""

    piece: Piece
    reason: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done.

    records        deployments as they are from now on
    sized          DAEMON: the new desired count
    back_to        the service takes its configuration from this deployment
    gone           the service is INACTIVE now
    notes          events: what comes after "(service <name>) " or, with a deployment's id, after that too
    again          when to look again, whatever happens
    """

    starts: tuple[Start, ...] = ()
    stops: tuple[Stop, ...] = ()
    records: tuple[Deployment, ...] = ()
    sized: int | None = None
    back_to: Deployment | None = None
    gone: bool = False
    notes: tuple[str, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    again: float = NEVER
