"""A pod as the engine has it in memory, and what that shows."""

import asyncio

from cumulo.engines.engine import (
    Busy,
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    NoSuchPod,
    PodStatus,
)
from cumulo.engines.local.places import PodRecord, RunRecord


class Live:
    """A pod that exists.

    watchers  end when the run that they watch has been settled
    cut_off   its network could not be had again after a restart
    paused    containers that are held: remembered, for asking the kernel takes the event loop's time
    """

    def __init__(self, record: PodRecord, runs: dict[str, RunRecord] | None = None) -> None:
        self.record = record
        self.runs: dict[str, RunRecord] = dict(runs or {})
        self.cut_off = False
        self.paused: set[str] = set()
        self.watchers: dict[str, asyncio.Task[None]] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.spec.name

    def spec(self, container: str) -> ContainerSpec:
        """NoSuchPod."""
        for spec in self.record.spec.containers:
            if spec.name == container:
                return spec
        raise NoSuchPod(f"the pod {self.name} has no container {container}")

    def running(self, container: str) -> RunRecord:
        """The run that is going on.  Busy when there is none."""
        self.spec(container)
        run = self.runs.get(container)
        if run is None or run.exit is not None:
            raise Busy(f"{self.name}/{container} does not run")
        return run

    def container_status(self, container: str) -> ContainerStatus:
        """What is known of a container."""
        spec = self.spec(container)
        run = self.runs.get(container)
        if run is None:
            state = ContainerState.CREATED
        elif run.exit is not None:
            state = ContainerState.EXITED
        else:
            state = ContainerState.PAUSED if container in self.paused else ContainerState.RUNNING
        return ContainerStatus(
            name=container,
            id=self.record.ids[container],
            image=spec.image,
            state=state,
            pid=run.pid if run is not None and run.exit is None else 0,
            created_at=self.record.created_at,
            started_at=run.started_at if run is not None else 0.0,
            exit=run.exit if run is not None else None,
        )

    def status(self) -> PodStatus:
        """What is known of the pod."""
        spec = self.record.spec
        return PodStatus(
            name=spec.name,
            owner=spec.owner,
            labels=spec.labels,
            address=self.record.connection.address,
            ports=self.record.connection.ports,
            containers={one.name: self.container_status(one.name) for one in spec.containers},
        )
