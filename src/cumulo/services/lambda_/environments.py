"""One execution environment: from its first start to its end, through any number of calls and crashes.

What may happen is the table in `environment_states.py`; this file does it.  Which environment gets which call
is not decided here (`plan.py`, `fleet.py`).
"""

import asyncio

from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.recent import FunctionRun
from cumulo.sandbox.contract import Exit, StartError
from cumulo.services.lambda_ import faults
from cumulo.services.lambda_.alarm import Alarm
from cumulo.services.lambda_.calls import ANSWER_BYTES_MAX, STREAM_BYTES_MAX, Call, Outcome
from cumulo.services.lambda_.claims import Claim
from cumulo.services.lambda_.environment_states import ENVIRONMENT, Event, Phase
from cumulo.services.lambda_.faults import Fault
from cumulo.services.lambda_.logbook import LogBook
from cumulo.services.lambda_.model import Ready
from cumulo.services.lambda_.process import Process
from cumulo.services.lambda_.report import Init, Run, billed_ms_of
from cumulo.services.lambda_.runtime_answers import next_answer
from cumulo.services.lambda_.runtime_api import Connection
from cumulo.services.lambda_.runtime_contract import Verdict
from cumulo.services.lambda_.sandbox_env import Naming
from cumulo.services.lambda_.streams import AnswerStream
from cumulo.services.lambda_.world import Keeper, World, refusal_of

FREEZE_AFTER_S = 0.03  # back-to-back calls pay nothing for freezing
WATCH_AFTER_S = 0.02  # a call this long has its output followed while it runs
SETTLE_SECONDS_MAX = 2.0  # how long after its answer a runtime may take to ask again, beyond its deadline
LAST_ANSWER_GRACE_S = 0.01  # for bytes that a dying process has already sent
TRUNCATED_AFTER_S = 0.1  # an answer that broke off has its process's end for a reason, if that is near
_step = ENVIRONMENT.step
_IDLE = (Phase.IDLE, Phase.FROZEN)
_log = Log("lambda")


class Environment:
    """An execution environment; also the `Runtime` that its connections speak to."""

    def __init__(self, ready: Ready, names: Naming, world: World, keeper: Keeper) -> None:
        self.ready = ready
        self.names = names
        self.state = ENVIRONMENT.start
        self.call: Call | None = None
        self.used_at = self.born_at = world.clock.monotonic()
        self.answered_at = 0.0
        self.condemned = False  # to be ended after its call
        self.expires_at = 0.0  # epoch seconds; when its keys do (0: never)
        self._world = world
        self._clock = world.clock
        self._keeper = keeper
        self._endings = world.endings
        self._book = LogBook(ready.version, names.stream, world.endings, world.clock)
        self._process: Process | None = None
        self._connection: Connection | None = None
        self._claim = Claim()
        self._init_ms: float | None = None
        self._init_error: tuple[bytes, str] | None = None
        self._deadline = 0.0
        self._alarm = Alarm(world.clock, self._rang)

    def start(self) -> None:
        """Begin the first life."""
        self._keeper.spawn(self._live())

    def begin(self, call: Call) -> None:
        """Give it a call; it is IDLE, FROZEN or RESET."""
        now = self._clock.monotonic()
        call.started = self.used_at = now
        call.started_ms = int(self._clock.now() * 1000)
        self._deadline = now + call.ready.version.timeout_s
        self.call = call
        if self.state is Phase.RESET:
            self._step(Event.INVOKE)
            self._alarm.at(self._deadline, now)
            self._keeper.spawn(self._live())
            return
        if self.state is Phase.FROZEN and self._process is not None:
            self._process.sandbox.thaw()
        self._step(Event.INVOKE)
        self._hand_over(call, now)

    def stop(self) -> None:
        """End it for good, now.  A call inside is refused."""
        if self.state in {Phase.STOPPING, Phase.STOPPED}:
            return
        had_process = self.state is not Phase.RESET
        self._step(Event.STOP)
        if self.call is not None:
            self._refuse(AwsError("ServiceException", "the environment was stopped", status=500))
        if self._process is not None:
            self._process.sandbox.kill()
        elif not had_process:
            self._gone()

    def connected(self, connection: Connection) -> bool:
        """A connection was made; False when there are too many."""
        return self._process is not None and self._process.admit(connection)

    def disconnected(self, connection: Connection) -> None:
        """It is closed."""
        if self._process is not None:
            self._process.connections.discard(connection)

    def polled(self, connection: Connection) -> bool:
        """The runtime wants a call."""
        process = self._process
        if process is None or not ENVIRONMENT.allows(self.state, Event.POLL):
            return False
        before = self.state
        self._connection = connection
        self._step(Event.POLL)
        if before is Phase.SETTLING:
            self._rest()
            return True
        process.settle()
        if before is Phase.REVIVING:
            assert self.call is not None
            self._hand_over(self.call, self._clock.monotonic())
            return True
        self._init_ms = (self._clock.monotonic() - process.started) * 1000
        self._book.lines(process.drain())
        self._rest()
        return True

    def poll_lost(self, connection: Connection) -> None:
        """The connection that waited for a call is gone."""
        if connection is not self._connection:
            return
        self._connection = None
        if self.state in _IDLE:
            self._step(Event.LOST)
            self._keeper.lost(self)
            now = self._clock.monotonic()
            self._deadline = now + SETTLE_SECONDS_MAX
            self._alarm.at(self._deadline, now)

    def claim(self, connection: Connection, request_id: str) -> Verdict:
        """May this connection bring the answer to that request?"""
        return self._claim.take(connection, request_id)

    def unclaim(self, connection: Connection) -> None:
        """It went away without bringing it."""
        if self._claim.give_back(connection):
            asyncio.get_running_loop().call_later(TRUNCATED_AFTER_S, self._truncated, self.call)

    def stream(self, connection: Connection, content_type: str) -> AnswerStream | None:
        """The function's answer comes in pieces; None when nobody wants it so."""
        call = self.call
        if call is None or call.stream is None:
            return None
        self._claim.seal()
        call.stream.begin(connection, content_type)
        return call.stream

    def answered(self, payload: bytes) -> None:
        """The function's answer."""
        self._answer(payload, "")

    def failed(self, payload: bytes, error_type: str) -> None:
        """The function raised."""
        if not payload:
            payload = faults.unexplained(error_type)
        self._answer(payload, "Unhandled", error_type)

    def too_large(self) -> None:
        """The function's answer is beyond the limit."""
        streams = self.call is not None and self.call.stream is not None and self.call.stream.begun
        body = faults.answer_too_large(STREAM_BYTES_MAX if streams else ANSWER_BYTES_MAX)
        self._answer(body, "Unhandled", faults.TOO_LARGE)

    def init_failed(self, payload: bytes, error_type: str) -> bool:
        """The function could not be loaded."""
        if self.state not in {Phase.STARTING, Phase.REVIVING}:
            return False
        self._init_error = (payload, error_type)
        self._init_over(Fault(error_type, "", reported=error_type))
        return True

    def _hand_over(self, call: Call, now: float) -> None:
        connection = self._connection
        process = self._process
        assert connection is not None
        assert process is not None
        self._connection = None
        deadline_ms = call.started_ms + int(call.ready.version.timeout_s * 1000)
        connection.send_call(call.request_id, next_answer(call, deadline_ms))  # first: the runtime can begin
        self._claim.open(call.request_id)
        process.output.begin()
        self._book.start(call.request_id, keep_tail=call.want_log)
        self._alarm.at(min(now + WATCH_AFTER_S, self._deadline), now)

    def _truncated(self, call: Call | None) -> None:
        if call is not None and self.call is call:
            fault = faults.truncated()
            self._answer(faults.body(fault, call.request_id), "Unhandled", fault.kind, fault)

    def _answer(
        self, payload: bytes, function_error: str, error_type: str = "", fault: Fault | None = None
    ) -> None:
        call = self.call
        if call is None or self.state is not Phase.BUSY:
            return
        now = self._clock.monotonic()
        self._step(Event.ANSWER)
        self.answered_at = now
        self._deadline = max(self._deadline, now + SETTLE_SECONDS_MAX)
        self._alarm.at(self._deadline, now)
        duration_ms = (now - call.started) * 1000
        self._conclude(call, payload, function_error, duration_ms, error_type, fault)

    def _conclude(
        self,
        call: Call,
        payload: bytes,
        function_error: str,
        duration_ms: float,
        error_type: str = "",
        fault: Fault | None = None,
    ) -> None:
        """Write the end of a call into its log, bill it, answer it."""
        version = self.ready.version
        used_mib = 0
        self.call = None
        self._claim.close()
        if self._process is not None:
            self._process.unwatch()
            self._book.lines(self._process.output.drain_all())
            used_mib = self._process.peak_mib(duration_ms)
        run = Run(
            request_id=call.request_id,
            duration_ms=duration_ms,
            billed_ms=billed_ms_of(duration_ms, self._init_ms),
            memory_mib=version.memory_mib,
            used_mib=used_mib,
            init_ms=self._init_ms,
            status=fault.status if fault else "",
            error_type=fault.error_type if fault else "",
        )
        waited_ms = (call.started - call.arrived) * 1000
        now = self._clock.now()
        tail = self._book.finish(run, now)
        self._endings.bill(version, run.billed_ms, call.started_ms, int(now * 1000))
        others = self._keeper.finished(call)
        self._endings.runs.add(
            FunctionRun(
                call.request_id,
                call.trace_id,
                version.function_arn,
                now,
                waited_ms,
                self._init_ms,
                duration_ms,
                error_type or function_error,
            )
        )
        outcome = Outcome(
            payload,
            function_error,
            tail,
            version.version,
            None,
            error_type,
            waited_ms,
            self._init_ms,
            duration_ms,
        )
        self._init_ms = None
        self._endings.answer(call.on_done, outcome, at_once=not others and fault is None)

    def _fail_call(self, fault: Fault) -> None:
        """A call ends by a fault of its environment."""
        call = self.call
        assert call is not None
        timeout_ms = call.ready.version.timeout_s * 1000.0
        duration_ms = min((self._clock.monotonic() - call.started) * 1000, timeout_ms)
        if fault.status == "timeout":
            duration_ms = timeout_ms
        payload = faults.body(fault, call.request_id)
        if self._init_error is not None and fault.status != "timeout":
            payload = self._init_error[0] or payload
        self._conclude(call, payload, "Unhandled", duration_ms, fault.kind, fault)

    def _refuse(self, refusal: AwsError) -> None:
        call, self.call = self.call, None
        assert call is not None
        self._keeper.finished(call)
        self._endings.answer(call.on_done, Outcome(refusal=refusal))

    async def _live(self) -> None:
        """One life of the process, from launch to end."""
        self._init_error = None
        try:
            process = await self._launch()
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must learn of it
            if self._process is not None:
                await self._clean_up(self._process)
            self._not_started(error)
            return
        if self.state in {Phase.STARTING, Phase.REVIVING}:
            how = await process.ended()
            if self.call is not None:
                await asyncio.sleep(LAST_ANSWER_GRACE_S)
            self._ended(how)
        await self._clean_up(process)
        self._gone()

    async def _launch(self) -> Process:
        world = self._world
        host, spec, self.expires_at = await world.prepare(self.ready, self.names)
        arn = host.version_arn.replace("{region}", self.ready.version.region)
        self._book.init_start(host.version, arn, host.warning)
        self._process = process = Process(await world.launcher.start(spec), self._clock)
        await process.listen(self, world.cloud, world.secure)
        if self.state is Phase.STARTING:
            self._alarm.at(process.started + world.init_seconds_max, process.started)
        return process

    async def _clean_up(self, process: Process) -> None:
        try:
            await process.close()
        except Exception as error:  # noqa: BLE001 - the environment's story goes on
            _log.error("sandbox left something behind", sandbox=self.names.sandbox, error=str(error))
        self._process = self._connection = None

    def _not_started(self, error: Exception) -> None:
        if self.state in {Phase.STARTING, Phase.REVIVING}:
            if isinstance(error, StartError) and error.kind.startswith("Runtime."):
                self._init_over(faults.not_startable(error.kind, str(error)))
            else:
                self._abandon(error)
        self._gone()

    def _abandon(self, error: Exception) -> None:
        """This machine cannot run it: not the function's fault."""
        _log.error("sandbox failed", function=self.ready.version.arn, error=repr(error))
        refusal = refusal_of(error)
        self._step(Event.STOP)
        if self.call is not None:
            self._refuse(refusal)
        else:
            self._keeper.unstartable(self, refusal)
        self._book.flush()

    def _init_over(self, fault: Fault) -> None:
        """The initialisation failed: say so, end the process; within a call that is the call's end too."""
        process = self._process
        now = self._clock.monotonic()
        phase = "invoke" if self.state is Phase.REVIVING else "init"
        duration_ms = (now - process.started) * 1000 if process else 0.0
        if process is not None:
            self._book.lines(process.drain() + process.output.finish())
            process.sandbox.kill()
        self._book.init_failed(Init(duration_ms, phase, fault.status, fault.error_type))
        call = self.call
        self._step(Event.FAIL)
        if call is None:
            self._book.flush()
            return
        self._book.start(call.request_id, keep_tail=call.want_log)
        if fault.kind.startswith("Runtime.Invalid"):
            self._book.not_startable(call.request_id, fault)
        self._fail_call(fault)

    def _ended(self, how: Exit) -> None:
        """The process has ended by itself, or because we killed it."""
        match self.state:
            case Phase.STARTING | Phase.REVIVING:
                self._init_over(faults.exited(how))
            case Phase.BUSY:
                self._step(Event.FAIL)
                self._fail_call(faults.exited(how))
            case Phase.SETTLING:
                self._step(Event.FAIL)
            case Phase.IDLE | Phase.FROZEN:
                self._step(Event.FAIL)
                self._keeper.lost(self)
            case _:
                pass
        if self._process is not None:
            self._book.lines(self._process.drain() + self._process.output.finish())
        self._book.flush()

    def _gone(self) -> None:
        self._step(Event.GONE)
        if self.state is Phase.STOPPED:
            self._alarm.cancel()
            self._keeper.ended(self)
        else:
            self._keeper.freed(self)

    def _rest(self) -> None:
        """It is idle: offer it, and freeze it when nobody takes it."""
        self._keeper.freed(self)
        if self.state is Phase.IDLE:
            now = self._clock.monotonic()
            self.used_at = now
            self._alarm.at(now + FREEZE_AFTER_S, now)

    def _rang(self, now: float) -> None:
        overdue = now >= self._deadline - 0.0005
        match self.state:
            case Phase.STARTING:
                self._init_over(faults.timed_out(self._world.init_seconds_max))
            case Phase.REVIVING if overdue:
                self._init_over(faults.timed_out(self.ready.version.timeout_s))
            case Phase.BUSY if overdue:
                self._step(Event.FAIL)
                self._fail_call(faults.timed_out(self.ready.version.timeout_s))
                self._kill()
            case Phase.BUSY:
                self._follow()
                self._alarm.at(self._deadline, now)
            case Phase.SETTLING if overdue:
                self._step(Event.FAIL)
                self._kill()
            case Phase.IDLE:
                self._freeze()
            case _:
                pass

    def _kill(self) -> None:
        if self._process is not None:
            self._process.sandbox.kill()

    def _freeze(self) -> None:
        process = self._process
        if process is None:
            return
        self._book.lines(process.drain())
        self._book.flush()
        process.sandbox.freeze()
        self._step(Event.FREEZE)

    def _follow(self) -> None:
        """The call takes a while: from now on its output is logged as it comes."""
        if self._process is not None:
            self._process.watch(self._printed)
        self._printed()

    def _printed(self) -> None:
        process = self._process
        if process is None:
            return
        self._book.lines(process.drain())
        process.narrow_watch()
        self._book.flush()

    def _step(self, event: Event) -> None:
        self.state = _step(self.state, event)
