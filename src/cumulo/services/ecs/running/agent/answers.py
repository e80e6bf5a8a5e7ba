"""Answers what containers ask of the agent.

/v3/<id>  /v4/<id>   ``, /task, /taskWithTags, /stats, /task/stats
/v2/credentials/<id>
/api/<id>/task-protection/v1/state   GET, PUT
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ports import Credentials, RoleSessions
from cumulo.engines.engine import Engine, EngineError, Usage
from cumulo.services.ecs.model import Document, Task, TaskContainer, TaskDefinition
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.running import names
from cumulo.services.ecs.running.agent.metadata import at, container_view, task_view
from cumulo.services.ecs.running.agent.rate import Bucket
from cumulo.services.ecs.running.agent.stats import stats_view
from cumulo.services.ecs.running.overrides import role_of
from cumulo.wire.http import BodyCutShort, Request, Response

BODY_BYTES_MAX = 64 * 1024
SESSION_SECONDS = 6 * 3600.0
RENEW_SECONDS = 15 * 60.0  # before they expire


class Protection(Protocol):
    """Task protection, as a task asks for its own."""

    async def get(self, task: Task) -> Document:
        """`{protectionEnabled, expirationDate?}`.  AwsError."""
        ...

    async def update(self, task: Task, *, enabled: bool, minutes: int | None) -> Document:
        """Protect or release it; as `get`.  AwsError."""
        ...


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    ProtectionEnabled: bool | None = None
    ExpiresInMinutes: int | None = None


class Answers:
    """One handler for the endpoints of all tasks; a request's peer is the ARN of its task."""

    def __init__(
        self,
        records: Records,
        engine: Callable[[], Awaitable[Engine]],
        roles: RoleSessions,
        clock: Clock,
        protection: Protection | None,
        *,
        vcpus: int,
    ) -> None:
        self.protection = protection
        self._records = records
        self._engine = engine
        self._roles = roles
        self._clock = clock
        self._vcpus = vcpus
        self._keys: dict[str, Credentials] = {}
        self._buckets: dict[str, Bucket] = {}
        self._samples: dict[str, dict[str, tuple[float, Usage]]] = {}

    def forget(self, task_arn: str) -> None:
        """The task has ended."""
        self._keys.pop(task_arn, None)
        self._buckets.pop(task_arn, None)
        self._samples.pop(task_arn, None)

    async def handle(self, request: Request, /) -> Response:
        """Answer."""
        task = self._records.tasks.get(request.peer)
        definition = self._records.definition(task.definition_arn) if task is not None else None
        if task is None or definition is None:
            return _text(404, "the task is not there")
        now = self._clock.monotonic()
        if not self._buckets.setdefault(task.arn, Bucket(now)).take(now):
            return _text(429, "Too many requests")
        parts = request.path.strip("/").split("/")
        if parts[0] in {"v3", "v4"}:
            return await self._metadata(request, task, definition, parts)
        if parts[:2] == ["v2", "credentials"]:
            return self._credentials(task, definition, "/".join(parts[2:]))
        if parts[0] == "api" and parts[2:] == ["task-protection", "v1", "state"]:
            return await self._protected(request, task, definition, parts[1])
        return _text(404, "404 page not found")

    # -- metadata ----------------------------------------------------------------------------------------

    async def _metadata(
        self, request: Request, task: Task, definition: TaskDefinition, parts: list[str]
    ) -> Response:
        version, v4 = parts[0].upper(), parts[0] == "v4"
        name = parts[1] if len(parts) > 1 else ""
        one = _named(task, name)
        what = "/".join(parts[2:])
        if request.method != "GET":
            return _text(405, "Method Not Allowed")
        if one is None:
            kind = "task" if what.startswith("task") else "container"
            return _json(404, f"{version} {kind} metadata handler: unable to get container ID from request")
        if what == "":
            return _json(200, container_view(task, definition, one, v4=v4))
        if what in {"task", "taskWithTags"}:
            tags = what == "taskWithTags"
            return _json(200, task_view(task, definition, self._clock.now(), v4=v4, tags=tags))
        if what in {"stats", "task/stats"}:
            return await self._stats(task, definition, None if what == "task/stats" else one, v4=v4)
        return _text(404, "404 page not found")

    async def _stats(
        self, task: Task, definition: TaskDefinition, one: TaskContainer | None, *, v4: bool
    ) -> Response:
        wanted = [one] if one is not None else [it for it in task.containers if it.runtime_id]
        try:
            usages = await self._usages(definition, wanted)
        except EngineError as error:
            return _json(500, f"failed to get stats: {error}")
        now = self._clock.now()
        samples = self._samples.setdefault(task.arn, {})
        views = {}
        for it in wanted:
            usage = usages.get(it.name)
            views[it.runtime_id] = None if usage is None else self._view(it, usage, samples, now, v4=v4)
            if usage is not None:
                samples[it.name] = (now, usage)
        return _json(200, views if one is None else views[one.runtime_id])

    def _view(
        self,
        one: TaskContainer,
        usage: Usage,
        samples: dict[str, tuple[float, Usage]],
        now: float,
        *,
        v4: bool,
    ) -> Document:
        before = samples.get(one.name)
        return stats_view(usage, before, now, name=one.name, id=one.runtime_id, vcpus=self._vcpus, v4=v4)

    async def _usages(self, definition: TaskDefinition, wanted: list[TaskContainer]) -> dict[str, Usage]:
        engine = await self._engine()
        by_pod = {pod: await engine.usage(pod) for pod in {one.pod for one in wanted if one.pod}}
        inner = {one.name: names.inner_name(definition, one.name) for one in wanted}
        return {
            one.name: by_pod[one.pod][inner[one.name]]
            for one in wanted
            if one.pod and inner[one.name] in by_pod[one.pod]
        }

    # -- credentials -------------------------------------------------------------------------------------

    def _credentials(self, task: Task, definition: TaskDefinition, name: str) -> Response:
        role = role_of(task, definition)
        if not name:
            return _told(400, "NoIdInRequest", "CredentialsV2Request: No Credential ID in the request")
        if name != names.credentials_id(task) or not role:
            return _told(400, "InvalidIdInRequest", "CredentialsV2Request: Credentials not found")
        now = self._clock.now()
        keys = self._keys.get(task.arn)
        if keys is None or keys.expires_at - RENEW_SECONDS <= now:
            keys = self._roles.issue(task.account, role, task.id)
            self._keys[task.arn] = keys
        return _json(
            200,
            {
                "RoleArn": role,
                "AccessKeyId": keys.access_key,
                "SecretAccessKey": keys.secret_key,
                "Token": keys.session_token,
                "Expiration": at(float(int(keys.expires_at))) or "",
            },
        )

    # -- protection --------------------------------------------------------------------------------------

    async def _protected(
        self, request: Request, task: Task, definition: TaskDefinition, name: str
    ) -> Response:
        if _named(task, name) is None:
            return _error(404, "", "ResourceNotFoundException", "Failed to find a task for the request")
        if request.method not in {"GET", "PUT"}:
            return _text(405, "Method Not Allowed")
        wanted = _Wanted()
        if request.method == "PUT":
            try:
                wanted = msgspec.json.decode(await request.body.read(BODY_BYTES_MAX), type=_Wanted)
            except (msgspec.DecodeError, AwsError, BodyCutShort):
                message = "UpdateTaskProtection: failed to decode request"
                return _error(400, "", "InvalidParameterException", message)
            if wanted.ProtectionEnabled is None:
                message = "Invalid request: does not contain 'ProtectionEnabled' field"
                return _error(400, task.arn, "InvalidParameterException", message)
        if not role_of(task, definition):
            message = "Invalid Request: no task IAM role credentials available for task"
            return _error(403, task.arn, "AccessDeniedException", message)
        if self.protection is None:
            return _error(500, task.arn, "ServerException", "task protection is not available")
        try:
            if wanted.ProtectionEnabled is None:
                found = await self.protection.get(task)
            else:
                found = await self.protection.update(
                    task, enabled=wanted.ProtectionEnabled, minutes=wanted.ExpiresInMinutes
                )
        except AwsError as error:
            return _error(error.status, task.arn, error.code, error.message)
        return _json(200, {"protection": _protection(task, found)})


def _protection(task: Task, found: Document) -> Document:
    view: dict[str, Any] = {
        "ProtectionEnabled": bool(found.get("protectionEnabled")),
        "TaskArn": task.arn,
    }
    if found.get("expirationDate"):
        view["ExpirationDate"] = at(float(found["expirationDate"]))
    return view


def _named(task: Task, name: str) -> TaskContainer | None:
    return next((one for one in task.containers if names.endpoint_id(task, one.name) == name), None)


def _json(status: int, value: object) -> Response:
    return Response(status, [("content-type", "application/json")], msgspec.json.encode(value))


def _text(status: int, message: str) -> Response:
    return Response(status, [("content-type", "text/plain")], message.encode())


def _told(status: int, code: str, message: str) -> Response:
    return _json(status, {"code": code, "message": message, "HTTPErrorCode": status})


def _error(status: int, arn: str, code: str, message: str) -> Response:
    return _json(status, {"error": {"Arn": arn, "Code": code, "Message": message}})
