"""CancelJob and TerminateJob: a client wants a job ended (plan_stops.py says what becomes of it).

A job that is not there, or has ended already, is no error: as with AWS nothing happens.
"""

from collections.abc import Mapping

from cumulo.base.caller import Caller
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.errors import unfit, wrapped
from cumulo.services.batch.plan_events import Cancelled, Terminated
from cumulo.wire.service import Operation, Values

REASON_MAX = 1024


class JobEnding:
    """The operations."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return wrapped({"CancelJob": Operation(self.cancel), "TerminateJob": Operation(self.terminate)})

    async def cancel(self, caller: Caller, values: Values) -> Values | None:
        """CancelJob."""
        return await self._end(caller, values, Cancelled)

    async def terminate(self, caller: Caller, values: Values) -> Values | None:
        """TerminateJob."""
        return await self._end(caller, values, Terminated)

    async def _end(
        self, caller: Caller, values: Values, event: type[Cancelled] | type[Terminated]
    ) -> Values | None:
        job_id, reason = values["jobId"], values["reason"]
        if not job_id:
            raise unfit("jobId must be provided.")
        if not reason or len(reason) > REASON_MAX:
            raise unfit(f"Reason must be between 1 and {REASON_MAX} characters.")
        job = self._desk.records.get(job_id)
        if job is not None and (job.account, job.region) == (caller.account, caller.region):
            await self._desk.happened(event(job_id, reason))
        return None
