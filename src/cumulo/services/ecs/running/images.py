"""Has the images of a task's containers ready: resolved, pinned, pulled; and AWS's sentences when that fails."""

import ipaddress
import re
import socket

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.images import ImageRegistry
from cumulo.engines.engine import Engine, Unsupported
from cumulo.engines.images import Image, Login, Platform, PullError, Source
from cumulo.services.ecs.model import Document, Task, TaskDefinition
from cumulo.services.ecs.running.environment import Sources, secret
from cumulo.services.ecs.running.facts import Pulled
from cumulo.services.ecs.running.pinning import NoPins, Pins, is_consistent, with_digest
from cumulo.services.ecs.running.refusal import CannotStart

_ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}
_RETRIES = 1
_ECR_HOST = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.(localhost|amazonaws\.com(\.cn)?)(:\d+)?")


class TaskImages:
    """Pulls for tasks.

    trusted   whether images may come from registries of this machine and its own network
    """

    def __init__(
        self,
        registry: ImageRegistry[Source],
        sources: Sources,
        pins: Pins | None = None,
        *,
        trusted: bool = True,
    ) -> None:
        self._registry = registry
        self._sources = sources
        self._trusted = trusted
        self.pins: Pins = pins or NoPins()

    async def pull(self, engine: Engine, task: Task, definition: TaskDefinition, told: Document) -> Pulled:
        """The image of one container, ready.  CannotStart."""
        uri = str(told["image"])
        name = str(told["name"])
        if not self._trusted and is_inner(uri):
            raise _refused(
                task, name, uri, f"{uri} is in no registry that a shared cloud asks", missing=False
            )
        login = await self._login(task, told)
        platform = _platform(definition)
        try:
            if login is not None:
                return await self._with_login(engine, task, told, platform, login)
            return await self._resolved(engine, task, told, platform)
        except AwsError as error:
            raise _refused(task, name, uri, error.message, missing=error.code in _MISSING) from error
        except Unsupported as error:
            raise CannotStart(f"CannotPullContainerError: {error}", container=name) from error
        except PullError as error:
            said = str(error)
            if error.kind == "platform" and platform is not None:
                said = f"image Manifest does not contain descriptor matching platform 'linux/{platform.architecture}'"
            raise _refused(task, name, uri, said, missing=error.kind == "not-found") from error

    def _pinned(self, task: Task, told: Document) -> str:
        digest = self.pins.pinned(task, str(told["name"])) if is_consistent(told) else ""
        return with_digest(str(told["image"]), digest)

    def _pin(self, task: Task, told: Document, digest: str) -> str:
        """What is to be used, now that the registry has said what the reference means."""
        return self.pins.pin(task, str(told["name"]), digest) if is_consistent(told) else digest

    async def _with_login(
        self, engine: Engine, task: Task, told: Document, platform: Platform | None, login: Login
    ) -> Pulled:
        image = await engine.images.pull(self._pinned(task, told), login=login, platform=platform)
        if self._pin(task, told, image.digest) != image.digest:  # the tag moved while two tasks came up
            image = await engine.images.pull(self._pinned(task, told), login=login, platform=platform)
        return Pulled(image.id, image.digest)

    async def _resolved(
        self, engine: Engine, task: Task, told: Document, platform: Platform | None
    ) -> Pulled:
        """Found in its registry and pinned; one that was pulled before is not pulled again."""
        caller = Caller(account=task.account, region=task.region)
        last: AwsError | PullError | None = None
        for _ in range(1 + _RETRIES):
            try:
                found = await self._registry.resolve(caller, self._pinned(task, told))
                if self._pin(task, told, found.digest) != found.digest:  # as above
                    found = await self._registry.resolve(caller, self._pinned(task, told))
                image: Image = await engine.images.pull(
                    found.reference, platform=platform, source=found.source, only_missing=True
                )
                return Pulled(image.id, found.digest)
            except AwsError as error:
                if error.code != "ServerException":
                    raise
                last = error
            except PullError as error:
                if error.kind != "unreachable":
                    raise
                last = error
        assert last is not None
        raise last

    async def _login(self, task: Task, told: Document) -> Login | None:
        """User and password for a private registry, from the secret that the definition names.  CannotStart."""
        arn = str((told.get("repositoryCredentials") or {}).get("credentialsParameter") or "")
        if not arn:
            return None
        text = await secret(task, arn, self._sources)
        try:
            said = msgspec.json.decode(text)
            return Login(str(said["username"]), str(said["password"]))
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            reason = (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
                f"failed: unable to get registry auth from asm: the secret {arn} has no username and password"
            )
            raise CannotStart(reason, task_reason=reason) from error


def is_inner(uri: str) -> bool:
    """Whether an image is said to be in a registry of the machine's own or its network's, and not in ECR."""
    host, slash, _ = uri.partition("/")
    if not slash or _ECR_HOST.fullmatch(host):
        return False
    name = (
        (host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]).lower().rstrip(".")
    )
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return not ipaddress.IPv4Address(socket.inet_aton(name)).is_global  # 127.1 and 0x7f000001, too
    except OSError:
        pass
    try:
        return not ipaddress.IPv6Address(name).is_global
    except ValueError:
        return False


_MISSING = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})


def _platform(definition: TaskDefinition) -> Platform | None:
    said = (definition.document.get("runtimePlatform") or {}).get("cpuArchitecture")
    return Platform(_ARCHITECTURES[said]) if said in _ARCHITECTURES else None


def _refused(task: Task, name: str, uri: str, message: str, *, missing: bool) -> CannotStart:
    """As the agent says it on Fargate (containerd's words), or on an instance (Docker's)."""
    if task.is_fargate:
        why = f"failed to resolve ref {uri}: {uri}: not found" if missing else message
        reason = f"CannotPullContainerError: pull image manifest has been retried {_RETRIES} time(s): {why}"
        return CannotStart(reason, container=name, task_reason=reason)
    why = f"manifest for {uri} not found: manifest unknown" if missing else message
    return CannotStart(f"CannotPullContainerError: Error response from daemon: {why}", container=name)
