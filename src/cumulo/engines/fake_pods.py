"""Pods and containers of the engine in memory."""

import asyncio
from collections import deque

from cumulo.engines.engine import (
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    Exit,
    LogLine,
    PodSpec,
    PodStatus,
)
from cumulo.engines.fake_programs import FakeExec, FakeProcess
from cumulo.engines.images import Config


class FakeContainer:
    """One container: where it is in its life, and what it has printed."""

    def __init__(self, spec: ContainerSpec, config: Config, *, id: str, created_at: float) -> None:  # noqa: A002
        self.spec = spec
        self.config = config
        self.id = id
        self.created_at = created_at
        self.started_at = 0.0
        self.state = ContainerState.CREATED
        self.exit: Exit | None = None
        self.process: FakeProcess | None = None
        self.changed = asyncio.Event()  # replaced at each change; many may wait
        self.lines: deque[LogLine] = deque()
        self.printed = 0  # lines ever; the last of them has this number as its cursor
        self.kept_bytes = 0
        self.rests: dict[str, bytes] = {}  # begun lines by stream
        self.execs: set[FakeExec] = set()
        self.output: int | None = None

    def argv(self) -> tuple[str, ...]:
        """Entrypoint and command, by Docker's rules."""
        if self.spec.entrypoint is not None:
            return (*self.spec.entrypoint, *(self.spec.command or ()))
        command = self.config.command if self.spec.command is None else self.spec.command
        return (*self.config.entrypoint, *command)

    def tell(self) -> None:
        """Wake who waits."""
        self.changed.set()
        self.changed = asyncio.Event()

    def status(self) -> ContainerStatus:
        """As the contract says it."""
        return ContainerStatus(
            name=self.spec.name,
            id=self.id,
            image=self.spec.image,
            state=self.state,
            created_at=self.created_at,
            started_at=self.started_at,
            exit=self.exit if self.state is ContainerState.EXITED else None,
        )


class FakePod:
    """One pod."""

    def __init__(self, spec: PodSpec, address: str) -> None:
        self.spec = spec
        self.address = address
        self.containers: dict[str, FakeContainer] = {}
        self.inside: dict[tuple[str, int], tuple[str, int]] = {}  # of the pod, to what really listens

    def status(self) -> PodStatus:
        """As the contract says it."""
        return PodStatus(
            name=self.spec.name,
            owner=self.spec.owner,
            labels=self.spec.labels,
            address=self.address,
            containers={name: c.status() for name, c in self.containers.items()},
        )
