"""Takes the output of containers to CloudWatch Logs, as long as they run and what is left afterwards.

engine.logs(follow) ─▶ Assembler ─▶ LogSink, and the cursor right behind it
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from cumulo.base.log import Log
from cumulo.base.ports import LogSink
from cumulo.base.tasks import cancel_all
from cumulo.engines.engine import Engine, EngineError, LogLine, NoSuchPod
from cumulo.services.ecs.model import Document, Task
from cumulo.services.ecs.running.cursors import Cursors
from cumulo.services.ecs.running.log_lines import Assembler
from cumulo.services.ecs.running.log_options import Stream, first_line, stream_of
from cumulo.services.ecs.running.refusal import CannotStart

BATCH_LINES_MAX = 512
BATCH_SECONDS = 0.05
HOLD_SECONDS = 2.0  # how long an event of several lines waits for its next line
RETRY_SECONDS = 1.0
DRAIN_SECONDS_MAX = 10.0
_log = Log("ecs")

GroupExists = Callable[[str, str, str], bool]


class TaskLogs:
    """The pumps of all containers.

    exists   whether a log group (account, region, name) is there; None: groups come into being when they are missing
    """

    def __init__(
        self,
        engine: Callable[[], Awaitable[Engine]],
        sink: LogSink,
        cursors: Cursors,
        exists: GroupExists | None = None,
    ) -> None:
        self._engine = engine
        self._sink = sink
        self._cursors = cursors
        self._exists = exists
        self._pumps: dict[str, _Pump] = {}

    def check(self, task: Task, told: Document) -> None:
        """CannotStart when the container's log configuration cannot work."""
        stream = stream_of(task, told, "id")
        if stream is None or stream.create or self._exists is None:
            return
        if not self._exists(task.account, stream.region, stream.group):
            missing = (
                "failed to create Cloudwatch log stream: ResourceNotFoundException: "
                "The specified log group does not exist."
            )
            if task.is_fargate:
                reason = (
                    "ResourceInitializationError: failed to validate logger args: create stream has been retried "
                    f"1 times: {missing} : exit status 1"
                )
                raise CannotStart(reason, container=str(told["name"]), task_reason=reason)
            raise CannotStart(
                "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: "
                f"{missing}",
                container=str(told["name"]),
            )

    def follow(self, task: Task, told: Document, pod: str, inner: str) -> None:
        """Take what a container prints until it has ended; again when it was started again."""
        record = next((one for one in task.containers if one.name == told["name"]), None)
        try:
            stream = stream_of(task, told, record.runtime_id if record is not None else "")
        except CannotStart:
            return  # it was refused when it was made
        if stream is None:
            return
        key = f"{task.arn}/{told['name']}"
        pump = self._pumps.get(key)
        if pump is None or pump.done:
            pump = _Pump(self._engine, self._sink, self._cursors, task.account, stream, (pod, inner), key)
            self._pumps[key] = pump
        else:
            pump.once_more()

    async def drain(self, task: Task) -> None:
        """Wait until everything that the task printed was taken, safe from a kill; its containers have ended."""
        mine = {key: pump for key, pump in self._pumps.items() if key.startswith(f"{task.arn}/")}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await asyncio.gather(*(pump.wait() for pump in mine.values()))
        await cancel_all(pump.task for pump in mine.values())
        for key in mine:
            self._pumps.pop(key, None)
        self._cursors.flush()

    def forget(self, task: Task) -> None:
        """Its output is not there any more: nobody has to know how far it was taken.

        Not sooner, or a kill before the pods are gone would have everything taken a second time.
        """
        for one in task.containers:  # also those that ended before this process began
            self._cursors.drop(f"{task.arn}/{one.name}")

    async def reset(self) -> None:
        """Let go, and forget how far everything was taken."""
        await self.close()
        self._cursors.clear()

    async def close(self) -> None:
        """Let go; what was not taken is taken after the next start."""
        await cancel_all(pump.task for pump in self._pumps.values())
        self._pumps.clear()


class _Pump:
    """Takes the output of one container."""

    def __init__(
        self,
        engine: Callable[[], Awaitable[Engine]],
        sink: LogSink,
        cursors: Cursors,
        account: str,
        stream: Stream,
        where: tuple[str, str],
        key: str,
    ) -> None:
        self._engine = engine
        self._sink = sink
        self._cursors = cursors
        self._account = account
        self._stream = stream
        self._where = where
        self._key = key
        self._first = first_line(stream.first)
        self._assembler = Assembler(self._first)
        self._lines: list[LogLine] = []
        self._timer: asyncio.TimerHandle | None = None
        self._rounds = 1
        self.task = asyncio.get_running_loop().create_task(self._run())

    @property
    def done(self) -> bool:
        """Whether it has taken everything."""
        return self.task.done()

    def once_more(self) -> None:
        """The container was started again."""
        self._rounds += 1

    async def wait(self) -> None:
        """Until everything was taken."""
        await asyncio.wait([self.task])

    async def _run(self) -> None:
        try:
            while self._rounds > 0:
                self._rounds = 0
                await self._round()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def _round(self) -> None:
        while True:
            try:
                engine = await self._engine()
                after = self._cursors.get(self._key)
                self._assembler, self._lines = Assembler(self._first), []
                async for line in engine.logs(*self._where, after=after, follow=True):
                    self._take(line)
                self._give(last=True)
                return
            except NoSuchPod:
                return
            except EngineError as error:
                _log.warning("the output of a container is out of reach", key=self._key, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    def _take(self, line: LogLine) -> None:
        self._lines.append(line)
        if len(self._lines) >= BATCH_LINES_MAX:
            self._give()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(BATCH_SECONDS, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        quiet = not self._lines
        self._give(last=quiet)
        if self._assembler.holds and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._on_time)

    def _give(self, *, last: bool = False) -> None:
        """Append what is complete, and the cursor behind it; nothing may come between them."""
        lines, self._lines = self._lines, []
        events = self._assembler.take(lines)
        if last:
            events += self._assembler.flush()
        if events:
            stream = self._stream
            self._sink.append(self._account, stream.region, stream.group, stream.name, events)
        cursor = self._assembler.cursor
        if cursor and cursor != self._cursors.get(self._key):
            self._cursors.put(self._key, cursor)
