"""ExecuteCommand."""

import shlex
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.engines.engine import Engine, EngineError, ExecSession, ExecSpec
from cumulo.services.ecs.arns import arn, last_part
from cumulo.services.ecs.executing.sessions import PATH, Sessions
from cumulo.services.ecs.model import Cluster, Task, TaskContainer, TaskStatus
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid
from cumulo.wire.service import Operation, Values

NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute"
    " command agent isn\u2019t running. Wait and try again or run a new task with execute command enabled and"
    " try again."
)
TASK_ID_LENGTHS = (32, 36)


class ExecOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `cumulo exec` asks for.  `container` empty: an essential one."""

    task: str
    argv: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1024)]
    container: str = ""


class ExecuteCommand:
    """Starts commands in running containers, for clients that join their session."""

    def __init__(
        self,
        records: Records,
        sessions: Sessions,
        engine: Callable[[], Awaitable[Engine]],
        *,
        find_cluster: Callable[[Caller, str | None], Cluster],
        locate: Callable[[Task, TaskContainer], tuple[str, str]],
    ) -> None:
        """`locate` says in which pod of the engine a container is, and under which name."""
        self._records = records
        self._sessions = sessions
        self._engine = engine
        self._find_cluster = find_cluster
        self._locate = locate

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's name."""
        return {"ExecuteCommand": Operation(self.execute)}

    async def execute(self, caller: Caller, values: Values) -> Values | None:
        """ExecuteCommand: a session that the client joins by its stream URL and token."""
        cluster = self._find_cluster(caller, values.get("cluster"))
        if not values["interactive"]:
            raise invalid("Interactive is the only mode supported currently.")
        argv = _words(values["command"])
        task = self._task(cluster, values["task"])
        container = _container(task, values.get("container"))
        return self._open(task, container, argv, caller.endpoint)

    def _open(
        self, task: Task, container: TaskContainer, argv: tuple[str, ...], endpoint: str
    ) -> dict[str, Any]:
        if not self._sessions.has_room(task.account):
            raise AwsError("ServerException", "There are too many sessions.", status=500)

        async def start(terminal: bool, rows: int, columns: int) -> ExecSession:
            engine = await self._engine()
            now = self._records.tasks.get(task.arn)
            if now is None or not now.is_live:
                raise EngineError("the task has stopped")
            pod, name = self._locate(now, container)
            spec = ExecSpec(argv=argv, user="0", terminal=terminal, rows=rows, columns=columns)
            return await engine.exec(pod, name, spec)

        session_id, token = self._sessions.offer(start, task.account)
        return {
            "clusterArn": task.cluster_arn,
            "containerArn": container.arn,
            "containerName": container.name,
            "interactive": True,
            "session": {
                "sessionId": session_id,
                "streamUrl": f"{_websocket(endpoint)}{PATH}{session_id}?role=publish_subscribe",
                "tokenValue": token,
            },
            "taskArn": task.arn,
        }

    def open_any(self, order: ExecOrder, endpoint: str) -> dict[str, Any]:
        """A session in any running task, for whoever owns the machine: what `cumulo exec` asks for.

        Returns what ExecuteCommand does.  AwsError when no task or container fits.
        """
        task = self._by_any_name(order.task)
        running = [one for one in task.containers if one.status == "RUNNING"]
        chosen = [one for one in running if one.name == order.container] if order.container else running
        if not chosen:
            names = ", ".join(one.name for one in running) or "none"
            raise invalid(f"No container {order.container!r} runs in the task; those that run: {names}.")
        essential = [one for one in chosen if one.essential]
        return self._open(task, (essential or chosen)[0], order.argv, endpoint)

    def _by_any_name(self, said: str) -> Task:
        """The newest running task with this ARN, id (or its beginning), service or family."""
        name = last_part(said)
        found = [
            one
            for one in self._records.tasks.by("live", "yes")
            if one.last_status is TaskStatus.RUNNING
            and (one.arn == said or one.id.startswith(name) or name in {one.service, one.family})
        ]
        if not found or not name:
            raise invalid(f"No running task has the id, service or family {said}.")
        return max(found, key=lambda one: one.started_at)

    def _task(self, cluster: Cluster, said: str) -> Task:
        task_id = last_part(said)
        if len(task_id) not in TASK_ID_LENGTHS:
            raise invalid(f"task length should be one of [{','.join(map(str, TASK_ID_LENGTHS))}]")
        found = self._records.tasks.get(arn(cluster.region, cluster.account, "task", cluster.name, task_id))
        if found is None or (said.startswith("arn:") and said != found.arn):
            raise invalid("The referenced task was not found.")
        if found.last_status is not TaskStatus.RUNNING or not found.execute_command:
            raise invalid(NOT_ENABLED)
        return found


def _words(command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise invalid(f"command cannot be read: {error}") from None
    if not words:
        raise invalid("command can not be blank.")
    return words


def _container(task: Task, name: str | None) -> TaskContainer:
    if name is None:
        if len(task.containers) > 1:
            raise invalid("container can not be blank when the task has more than one container.")
        return task.containers[0]
    for one in task.containers:
        if one.name == name:
            if one.status != "RUNNING":
                raise AwsError(
                    "TargetNotConnectedException",
                    "The execute command failed due to an internal error. Try again later.",
                )
            return one
    raise invalid(f"The container name {name} was not found in the task.")


def _websocket(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
