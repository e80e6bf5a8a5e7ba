"""One function's container as a sandbox: verbs that return at once, on an engine whose verbs take their time.

What was asked for last is what counts: a task of the sandbox's own brings the container there, so a freeze that is
overtaken by a thaw costs nothing, and nothing is ever done in another order than it was asked for.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from cumulo.base.log import Log
from cumulo.base.tasks import cancel_all
from cumulo.engines import engine as engines
from cumulo.engines.engine import Engine, EngineError, NoSuchPod
from cumulo.engines.functions.process_group import ProcessGroup
from cumulo.sandbox.contract import Exit

CONTAINER = "function"
KILLED = 9
NOT_STARTED = (126, 127, 128)  # the codes of what could not even be started
KILL_ATTEMPTS_MAX = 3
KILL_AGAIN_S = 0.5
CLOSE_SECONDS_MAX = 10.0
_log = Log("engines")


class ContainerSandbox:
    """A started container, which is alone in its pod.

    sockets  the Runtime API's, the cloud's, and (where names are known) the cloud's by TLS, listening inside
    pipes    the read ends of its output and of its telemetry
    vcpus    what it has from `settle` on
    group    where the kernel counts it; None when that cannot be had
    gone     is told when nothing is left of it
    """

    def __init__(
        self,
        engine: Engine,
        pod: str,
        *,
        sockets: tuple[socket.socket, ...],
        pipes: tuple[int, int],
        vcpus: float,
        group: ProcessGroup | None,
        gone: Callable[["ContainerSandbox"], None],
    ) -> None:
        self.name = pod
        self.runtime_socket, self.cloud_socket = sockets[:2]
        self.secure_socket = sockets[2] if len(sockets) > 2 else None
        self.output, self.telemetry = pipes
        self._engine = engine
        self._vcpus = vcpus
        self._group = group
        self._gone = gone
        self._peak_bytes = 0
        loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[Exit] = loop.create_future()
        self._frozen = False  # what is wanted
        self._killed = False
        self._wake = asyncio.Event()
        self._watcher = loop.create_task(self._watch())
        self._steerer = loop.create_task(self._steer())
        self._closing: asyncio.Task[None] | None = None

    # -- the contract ------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop every process inside from running."""
        self._frozen = True
        self._wake.set()

    def thaw(self) -> None:
        """Let them run again."""
        self._frozen = False
        self._wake.set()

    def kill(self) -> None:
        """End every process inside, frozen or not."""
        self._killed = True
        self._wake.set()

    def settle(self) -> None:
        """End the boost that initialization has: from here on, the processor time that was asked for."""
        if self._group is not None and not self._exit.done():
            with contextlib.suppress(OSError):  # it has ended, and its group was removed
                self._group.limit(self._vcpus)

    def memory_peak_bytes(self) -> int:
        """The most memory used, without the cache of files."""
        if self._group is not None:
            self._peak_bytes = max(self._peak_bytes, self._group.peak_bytes())
        return self._peak_bytes

    async def wait(self) -> Exit:
        """How it ended."""
        return await asyncio.shield(self._exit)

    async def close(self) -> None:
        """Kill it if it lives, and remove the pod and all that belonged to it but its /tmp."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)  # whoever goes away, the others and the pod still want it

    # -- doing -------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Learn how it ends."""
        try:
            how = ended(await self._engine.wait(self.name, CONTAINER))
        except NoSuchPod:
            how = Exit(signal=KILLED)  # somebody has removed it
        except EngineError as error:
            _log.error("an engine does not tell how a container ended", pod=self.name, error=str(error))
            how = Exit(signal=KILLED)
        self.memory_peak_bytes()
        if not self._exit.done():
            self._exit.set_result(how)
        self._wake.set()

    async def _steer(self) -> None:
        """Bring the container to what is wanted, until it has ended."""
        frozen = False
        while not self._exit.done():
            await self._wake.wait()
            self._wake.clear()
            if self._exit.done():
                return
            if self._killed:
                await self._end(frozen=frozen)
                return
            if self._frozen != frozen:
                frozen = await self._freeze_or_thaw(freeze=self._frozen)

    async def _freeze_or_thaw(self, *, freeze: bool) -> bool:
        """Whether it is frozen after that."""
        verb = self._engine.pause if freeze else self._engine.resume
        try:
            await verb(self.name, CONTAINER)
        except EngineError as error:
            if self._exit.done() or isinstance(error, engines.Busy | NoSuchPod):
                return False  # it has ended
            _log.warning("a container was not frozen or thawed", pod=self.name, error=str(error))
            if not freeze:  # a call waits inside: better no environment than one that never answers
                self.kill()
            return not freeze
        return freeze

    async def _end(self, *, frozen: bool) -> None:
        for attempt in range(KILL_ATTEMPTS_MAX):
            try:
                await self._engine.signal(self.name, CONTAINER, "SIGKILL")
                if frozen:  # version 1 of control groups keeps even the killed from dying
                    await self._engine.resume(self.name, CONTAINER)
                return
            except (engines.Busy, NoSuchPod):
                return  # it has ended
            except EngineError as error:
                _log.warning("a container was not killed", pod=self.name, attempt=attempt, error=str(error))
                await asyncio.sleep(KILL_AGAIN_S)
        with contextlib.suppress(EngineError):
            await self._engine.remove(self.name)

    async def _close(self) -> None:
        self.kill()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS_MAX):
                    await self.wait()
            await self._engine.remove(self.name)
        finally:
            await cancel_all((self._watcher, self._steerer))
            if not self._exit.done():
                self._exit.set_result(Exit(signal=KILLED))
            self.runtime_socket.close()
            self.cloud_socket.close()
            if self.secure_socket is not None:
                self.secure_socket.close()
            os.close(self.output)
            os.close(self.telemetry)
            self.memory_peak_bytes()
            if self._group is not None:
                self._group.close()
            self._gone(self)


def ended(how: engines.Exit) -> Exit:
    """An engine's exit, where a signal is 128 and its number, as a sandbox's."""
    if how.error and how.code in NOT_STARTED:
        return Exit(code=how.code, entrypoint_failed=True)
    if 128 < how.code <= 128 + 64:
        return Exit(signal=how.code - 128, out_of_memory=how.out_of_memory)
    return Exit(code=how.code, out_of_memory=how.out_of_memory)
