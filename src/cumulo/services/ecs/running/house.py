"""Puts together what carries tasks."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import LogSink, RoleSessions
from cumulo.base.ports.images import ImageRegistry
from cumulo.engines.engine import Engine
from cumulo.engines.images import Source
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.running.agent.endpoints import Agent, ServeCloud
from cumulo.services.ecs.running.cursors import Cursors
from cumulo.services.ecs.running.environment import Sources
from cumulo.services.ecs.running.images import TaskImages
from cumulo.services.ecs.running.logs import GroupExists, TaskLogs
from cumulo.services.ecs.running.runner import TaskRunner
from cumulo.services.ecs.running.world import World
from cumulo.state.journal import Journal


def build(
    records: Records,
    journal: Journal,
    *,
    engine: Callable[[], Awaitable[Engine]],
    registry: ImageRegistry[Source],
    sources: Sources,
    sink: LogSink,
    roles: RoleSessions,
    clock: Clock,
    ids: Ids,
    efs: Path,
    trusted: bool = True,
    group_exists: GroupExists | None = None,
    cloud: ServeCloud | None = None,
    cloud_port: int = 0,
) -> TaskRunner:
    """The runner; to be built before the journal is replayed.

    engine        opens late, and is asked again after it failed
    efs           the folder that EFS file systems are kept in
    trusted       False in a cloud that many share: no task gets the machine's files, devices, network or privileges
    group_exists  (account, region, name) of a log group; None: missing ones come into being
    cloud         begins to answer AWS calls on a socket that listens inside a pod
    cloud_port    where the cloud listens on the machine, for tasks with the machine's network
    """
    agent = Agent(records, engine=engine, roles=roles, clock=clock, cloud=cloud, cloud_port=cloud_port)
    world = World(
        records=records,
        engine=engine,
        images=TaskImages(registry, sources, trusted=trusted),
        sources=sources,
        logs=TaskLogs(engine, sink, Cursors(records.store, journal), group_exists),
        agent=agent,
        clock=clock,
        ids=ids,
        efs=efs,
        trusted=trusted,
    )
    return TaskRunner(world)
