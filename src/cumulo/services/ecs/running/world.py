"""What the loops of all tasks share."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.engines.engine import Engine
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.running.agent.endpoints import Agent
from cumulo.services.ecs.running.environment import Sources
from cumulo.services.ecs.running.images import TaskImages
from cumulo.services.ecs.running.logs import TaskLogs
from cumulo.services.ecs.seams import Attachment

PULLS_AT_ONCE = 8
CREATES_AT_ONCE = 16
PROBES_AT_ONCE = 64

GetEngine = Callable[[], Awaitable[Engine]]


class World:
    """The means of every task's life.

    engine    opens late; EngineError while it cannot be had
    efs       the folder of EFS file systems
    trusted   whether tasks may have the machine's own files, devices, network and privileges
    """

    def __init__(
        self,
        *,
        records: Records,
        engine: GetEngine,
        images: TaskImages,
        sources: Sources,
        logs: TaskLogs,
        agent: Agent,
        clock: Clock,
        ids: Ids,
        efs: Path,
        trusted: bool,
    ) -> None:
        self.records = records
        self.engine = engine
        self.images = images
        self.sources = sources
        self.logs = logs
        self.agent = agent
        self.clock = clock
        self.ids = ids
        self.efs = efs
        self.trusted = trusted
        self.attachments: list[Attachment] = []
        self.pulls = asyncio.Semaphore(PULLS_AT_ONCE)
        self.creates = asyncio.Semaphore(CREATES_AT_ONCE)
        self.probes = asyncio.Semaphore(PROBES_AT_ONCE)
