"""Serves what containers ask at 169.254.170.2, and lets them reach this cloud.

a pod ── 169.254.170.2:80 ────▶ metadata, credentials, task protection
      └─ 169.254.170.2:51678 ─▶ the cloud itself (AWS_ENDPOINT_URL)
With the machine's network both are elsewhere: a loopback address of the task's own, and the cloud's own port.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from cumulo.base.clock import Clock
from cumulo.base.log import Log
from cumulo.base.ports import RoleSessions
from cumulo.engines.engine import Capability, Engine, EngineError, Unsupported
from cumulo.services.ecs.model import Task, TaskDefinition
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.running import names
from cumulo.services.ecs.running.agent.answers import Answers, Protection
from cumulo.services.ecs.running.overrides import role_of
from cumulo.wire.server import Adopted, Server

LINK_LOCAL = "169.254.170.2"
PORT = 80
PORT_OF_HOST = 51679  # the agent's own, where a task has the machine's network
CLOUD_PORT = 51678  # nobody's: a container may well listen at 4566
_log = Log("ecs")


class Closer(Protocol):
    """Something that is being served."""

    def close(self) -> None:
        """Stop."""
        ...


ServeCloud = Callable[[socket.socket, str], Awaitable[Closer]]


class Agent:
    """The endpoints of all tasks.

    cloud        begins to answer AWS calls on a socket that listens inside a pod
    cloud_port   where the cloud listens on the machine
    """

    def __init__(
        self,
        records: Records,
        *,
        engine: Callable[[], Awaitable[Engine]],
        roles: RoleSessions,
        clock: Clock,
        cloud: ServeCloud | None = None,
        cloud_port: int = 0,
        protection: Protection | None = None,
    ) -> None:
        vcpus = len(os.sched_getaffinity(0))
        self._answers = Answers(records, engine, roles, clock, protection, vcpus=vcpus)
        self._server = Server(self._answers.handle, clock=clock)
        self._cloud = cloud
        self._cloud_port = cloud_port
        self._open: dict[str, list[Adopted | Closer]] = {}  # by task and pod
        self._locks: dict[str, asyncio.Lock] = {}

    def protect(self, protection: Protection) -> None:
        """From now on task protection is asked here."""
        self._answers.protection = protection

    def variables(
        self, task: Task, definition: TaskDefinition, container: str, able: frozenset[Capability]
    ) -> Mapping[str, str]:
        """What a container finds in its environment, unless its definition says otherwise."""
        found = {
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE" if task.is_fargate else "AWS_ECS_EC2",
            "AWS_REGION": task.region,
            "AWS_DEFAULT_REGION": task.region,
        }
        host = definition.network_mode == "host"
        if self._cloud is not None and Capability.LISTEN_INSIDE in able and not host:
            found["AWS_ENDPOINT_URL"] = f"http://{LINK_LOCAL}:{CLOUD_PORT}"
        elif self._cloud_port:
            where = "127.0.0.1" if host else "host.docker.internal"
            found["AWS_ENDPOINT_URL"] = f"http://{where}:{self._cloud_port}"
        if Capability.LISTEN_INSIDE not in able:
            return found
        base = f"http://{names.loopback_of(task)}:{PORT_OF_HOST}" if host else f"http://{LINK_LOCAL}"
        endpoint = names.endpoint_id(task, container)
        found |= {
            "ECS_CONTAINER_METADATA_URI": f"{base}/v3/{endpoint}",
            "ECS_CONTAINER_METADATA_URI_V4": f"{base}/v4/{endpoint}",
            "ECS_AGENT_URI": f"{base}/api/{endpoint}",
        }
        if role_of(task, definition):
            path = f"/v2/credentials/{names.credentials_id(task)}"
            if host:
                found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = base + path
            else:
                found["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = path
        return found

    async def listen(self, engine: Engine, task: Task, definition: TaskDefinition, pod: str) -> None:
        """Serve inside a pod; harmless when it is done already.  EngineError."""
        key = f"{task.arn}/{pod}"
        if key in self._open or Capability.LISTEN_INSIDE not in engine.capabilities:
            return
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key in self._open:
                return
            opened: list[Adopted | Closer] = []
            host = definition.network_mode == "host"
            places = [(PORT_OF_HOST, names.loopback_of(task)) if host else (PORT, LINK_LOCAL)]
            if self._cloud is not None and not host:
                places.append((CLOUD_PORT, LINK_LOCAL))
            try:
                own, *inside = await _listeners(engine, pod, places)
                opened.append(await self._server.adopt(own, task.arn))
                for sock in inside:
                    assert self._cloud is not None
                    opened.append(await self._cloud(sock, pod))
            except Unsupported as error:
                _log.warning("a task has no metadata endpoint", task=task.arn, error=str(error))
            except EngineError as error:
                for one in opened:
                    one.close()
                opened.clear()
                await engine.inspect(pod)  # when it is the engine that is out of reach, or the pod is gone
                _log.warning("a task has no metadata endpoint", task=task.arn, error=str(error))
            except BaseException:  # the house is closed
                for one in opened:
                    one.close()
                raise
            self._open[key] = opened

    async def close(self, task: Task) -> None:
        """The task has ended."""
        for key in [one for one in self._open if one.startswith(f"{task.arn}/")]:
            for opened in self._open.pop(key):
                opened.close()
            self._locks.pop(key, None)
        self._answers.forget(task.arn)

    def let_go(self) -> None:
        """Close everything that is open."""
        for opened in self._open.values():
            for one in opened:
                one.close()
        self._open.clear()
        self._locks.clear()

    async def stop(self) -> None:
        """Let go of everything, for good."""
        self.let_go()
        await self._server.stop(0.0)


async def _listeners(engine: Engine, pod: str, places: Sequence[tuple[int, str]]) -> Sequence[socket.socket]:
    """Sockets that listen inside a pod at (port, address), made side by side; all or none.  EngineError."""
    loop = asyncio.get_running_loop()
    making = [loop.create_task(engine.listen_inside(pod, port, address)) for port, address in places]
    try:
        await asyncio.wait(making)
    except asyncio.CancelledError:
        for one in making:
            one.add_done_callback(_close)
        raise
    failed = [one for one in making if one.exception() is not None]
    if failed:
        for one in making:
            _close(one)
    return [one.result() for one in failed or making]


def _close(made: "asyncio.Task[socket.socket]") -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().close()
