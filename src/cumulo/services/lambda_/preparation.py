"""Makes versions callable: their code unpacked, their runtime found, each remembered by generation."""

import asyncio
from collections.abc import Callable

import msgspec

from cumulo.base.errors import AwsError
from cumulo.base.tasks import cancel_all
from cumulo.sandbox.contract import Early, ImageRoot, RuntimeHost, RuntimeMissing, Runtimes
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.code import CodeStore
from cumulo.services.lambda_.configuration import ARM
from cumulo.services.lambda_.images import LOST_CODES, FunctionImages, ImageUnusable
from cumulo.services.lambda_.model import State, Version
from cumulo.services.lambda_.sandbox_env import early
from cumulo.services.lambda_.zips import ZipRefused

PREPARATIONS_MAX = 4  # at the same time; each may install packages
PULLS_MAX = 4  # of images, which may take minutes: nobody else waits for them
REMEMBERED_MAX = 10_000
_ARM_MACHINES = frozenset({"aarch64", "arm64"})


class NotPreparable(Exception):
    """The version cannot be made callable; `code` is one of AWS's reason codes."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Preparation:
    """Prepares each generation once, and again after a restart when somebody calls it.

    machine   this machine's processor, in the words of `platform.machine()`
    expect    hears which runtimes are about to be wanted
    images    for functions from images, and runtimes that this machine lacks; None: no engine
    """

    def __init__(
        self,
        code: CodeStore,
        runtimes: Runtimes,
        machine: str,
        expect: Callable[[Early], None] | None = None,
        images: FunctionImages | None = None,
    ) -> None:
        self._code = code
        self._runtimes = runtimes
        self._machine = machine
        self._expect = expect
        self._images = images
        self._hosts: dict[str, RuntimeHost] = {}
        self._running: dict[str, asyncio.Task[RuntimeHost]] = {}
        self._slots = asyncio.Semaphore(PREPARATIONS_MAX)
        self._pulls = asyncio.Semaphore(PULLS_MAX)

    def host_of(self, version: Version) -> RuntimeHost | None:
        """How this machine runs the version, when that is known already."""
        return self._hosts.get(version.generation)

    async def ready(self, version: Version) -> RuntimeHost:
        """How this machine runs the version, found out now if need be; AwsError as Invoke answers it."""
        known = self._hosts.get(version.generation)
        if known is not None and known.image is not None and not await self._has(known.image):
            self.forget(version.generation)  # somebody has removed the image: have it again
            known = None
        try:
            return known or await self.prepare(version)
        except NotPreparable as error:
            if error.code in LOST_CODES:
                raise errors.not_in_state(str(State.INACTIVE), error.reason) from error
            if version.from_image:
                fields = {"Type": "Server"}
                raise AwsError("ServiceException", error.reason, status=500, fields=fields) from error
            bad_zip = error.code == "InvalidZipFileException"
            name = "InvalidZipFileException" if bad_zip else "InvalidRuntimeException"
            raise AwsError(name, error.reason, status=502, fields={"Type": "Server"}) from error

    async def _has(self, image: ImageRoot) -> bool:
        return self._images is not None and await self._images.has(image.id)

    async def prepare(self, version: Version) -> RuntimeHost:
        """Do the work, once for however many ask for the same generation.  NotPreparable."""
        known = self._hosts.get(version.generation)
        if known is not None:
            return known
        # Whoever asked may go away; the others still want it.
        return await asyncio.shield(self._begin(version))

    def foresee(self, version: Version) -> None:
        """Do the work in the background, before anybody asks; what is wrong with it, the first call will say."""
        if self._expect is not None and version.generation not in self._hosts:
            self._begin(version)

    def _begin(self, version: Version) -> asyncio.Task[RuntimeHost]:
        task = self._running.get(version.generation)
        if task is None:
            task = asyncio.create_task(self._prepare(version))
            self._running[version.generation] = task
            task.add_done_callback(lambda done: self._done(version.generation, done))
        return task

    def forget(self, generation: str) -> None:
        """The generation serves no longer."""
        self._hosts.pop(generation, None)

    async def close(self) -> None:
        """Give up what is being prepared."""
        await cancel_all(self._running.values())
        self._hosts.clear()

    def _done(self, generation: str, task: asyncio.Task[RuntimeHost]) -> None:
        self._running.pop(generation, None)
        if not task.cancelled():
            task.exception()  # looked at, in case nobody waits for it any more

    async def _prepare(self, version: Version) -> RuntimeHost:
        async with self._pulls if version.from_image else self._slots:
            try:
                host = await self._found(version)
            except ImageUnusable as error:
                raise NotPreparable(error.code, error.reason) from error
            except RuntimeMissing as error:
                raise NotPreparable("InvalidRuntime", str(error)) from error
            except (ZipRefused, FileNotFoundError) as error:
                raise NotPreparable("InvalidZipFileException", f"The code cannot be read: {error}") from error
            except OSError as error:
                raise NotPreparable(
                    "InternalError", f"The function could not be prepared: {error}"
                ) from error
        host = self._with_warnings(host, version)
        if len(self._hosts) >= REMEMBERED_MAX:
            self._hosts.clear()  # they are found out again, one by one
        self._hosts[version.generation] = host
        what = early(host)
        if self._expect is not None and what is not None:
            self._expect(what)
        return host

    async def _found(self, version: Version) -> RuntimeHost:
        if version.from_image:
            if self._images is None:
                raise ImageUnusable(
                    "InternalError", "The function's image needs an engine, and none runs here."
                )
            return await self._images.host(version)
        tree = await self._code.ensure(version.code_sha256)
        images = self._images if self._images and self._images.has_runtime(version.runtime) else None
        try:
            host = await asyncio.to_thread(self._runtimes.prepare, version.runtime, version.handler, tree)
        except RuntimeMissing:
            if images is None:
                raise
            return await images.runtime_host(version)
        # What only comes near the runtime gives way to the image that was configured for it.
        return await images.runtime_host(version) if images and host.warning else host

    def _with_warnings(self, host: RuntimeHost, version: Version) -> RuntimeHost:
        native = ARM if self._machine in _ARM_MACHINES else "x86_64"
        if version.architecture == native or version.from_image:
            return host
        warning = f"the function asks for {version.architecture}, and runs on this machine's {native}"
        joined = "; ".join(text for text in (host.warning, warning) if text)
        return msgspec.structs.replace(host, warning=joined)
