"""How answers leave: after logs and usage are safe, and several of one loop turn with a single write."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports import LogEvent, LogSink, UsageSink
from cumulo.base.recent import FunctionRun, Recent
from cumulo.services.lambda_.calls import OnDone, Outcome
from cumulo.services.lambda_.model import Version
from cumulo.services.lambda_.report import usage

RUNS_KEPT: Final = 2000

_log = Log("lambda")


class Endings:
    """Takes finished calls; `flush` is the journal's.  `runs` keeps the last of them, to be looked at."""

    def __init__(
        self,
        *,
        logs: LogSink,
        usages: UsageSink,
        flush: Callable[[], object],
        runs: Recent[FunctionRun] | None = None,
    ) -> None:
        self._logs = logs
        self._usages = usages
        self._flush = flush
        self.runs: Recent[FunctionRun] = runs if runs is not None else Recent(RUNS_KEPT)
        self._pending: list[tuple[OnDone, Outcome]] = []

    def log_to(self, version: Version, stream: str) -> Callable[[list[LogEvent]], None]:
        """What adds lines to an environment's stream."""
        return partial(self._logs.append, version.account, version.region, version.log_group, stream)

    def bill(self, version: Version, billed_ms: int, start_ms: int, end_ms: int) -> None:
        """Record what one invocation used."""
        self._usages.record(*usage(version, billed_ms, start_ms, end_ms))

    def answer(self, on_done: OnDone, outcome: Outcome, *, at_once: bool = False) -> None:
        """Let an answer leave at the end of this turn of the loop; `at_once`: no other can share its write."""
        self._pending.append((on_done, outcome))
        if at_once:
            self._leave()  # with those that wait for the end of the turn, which then finds nothing to do
        elif len(self._pending) == 1:
            asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        leaving, self._pending = self._pending, []
        if not leaving:
            return
        refusal: AwsError | None = None
        try:
            self._flush()
        except OSError as error:
            _log.error("journal refused", error=str(error))
            refusal = AwsError(
                "ServiceException", f"the run could not be recorded: {error}", status=500, fields=_SERVER
            )
        for on_done, outcome in leaving:
            try:
                on_done(outcome if refusal is None else Outcome(refusal=refusal))
            except Exception:  # noqa: BLE001 - one caller's trouble is not another's
                _log.exception("answer could not be delivered")


_SERVER = {"Type": "Server"}
