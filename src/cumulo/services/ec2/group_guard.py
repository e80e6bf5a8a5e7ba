"""Looks at calls that make an Auto Scaling group smaller: what is to end is drained first, as managed draining does it.

    TerminateInstanceInAutoScalingGroup, SetDesiredCapacity, UpdateAutoScalingGroup
        ──▶ which will end? ──▶ HostEvents.retiring ──▶ wait, for a while, until their tasks are elsewhere ──▶ the call

AWS holds the instance in Terminating:Wait meanwhile, and answers at once; here the call takes so long.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from cumulo.base.errors import AwsError
from cumulo.base.instances import Groups, HostEvents
from cumulo.base.log import Log
from cumulo.companions.guards import Call, Form
from cumulo.services.ec2.guard import Unchanged
from cumulo.services.ec2.model import Place
from cumulo.services.ec2.plan import ending
from cumulo.services.ec2.records import Records

PATIENCE_SECONDS: Final = 40.0  # clients wait 60 s for an answer
PAUSE_SECONDS: Final = 0.2
_TERMINATE: Final = "TerminateInstanceInAutoScalingGroup"
_SIZES: Final = frozenset({"SetDesiredCapacity", "UpdateAutoScalingGroup"})

_log = Log("ec2")


class GroupGuard(Unchanged):
    """The guard of Auto Scaling.

    wake_all   go through all instances again: those that were to end, and did not, are used again
    """

    def __init__(
        self,
        records: Records,
        wake: Callable[[Place], None],
        *,
        groups: Groups,
        events: HostEvents,
        wake_all: Callable[[], None],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        super().__init__(records, wake)
        self._groups = groups
        self._events = events
        self._wake_all = wake_all
        self._patience_seconds = patience_seconds
        self._open: dict[int, Sequence[str]] = {}

    async def before(self, call: Call) -> Form | None:
        """Drain what the call will end."""
        await super().before(call)
        ids = await self._victims(call)
        if not ids:
            return None
        self._open[id(call)] = ids
        try:
            await self._drain(ids)
        except BaseException:
            self.after(call, done=False)  # nothing is passed on
            raise
        return None

    def after(self, call: Call, *, done: bool) -> None:
        """Look; what was to end and is still there is used again."""
        super().after(call, done=done)
        ids = self._open.pop(id(call), ())
        if ids:
            self._events.retired(ids)
            self._wake_all()

    async def _victims(self, call: Call) -> Sequence[str]:
        """Those with a body that will end."""
        if call.action == _TERMINATE:
            found: Sequence[str] = (call.form.get("InstanceId", ""),)
        elif call.action in _SIZES:
            try:
                name = call.form.get("AutoScalingGroupName", "")
                group = await self._groups.group(call.account, call.region, name)
            except AwsError as error:
                _log.warning("a group that shrinks is not drained", error=str(error))
                return ()
            found = ending(group, call.form) if group is not None else ()
        else:
            return ()
        known = (self._records.get(one) for one in found)
        return [
            one.id
            for one in known
            # Those that are interrupted have had their warning.
            if one is not None and one.host is not None and one.state == "running" and not one.interrupt_at
        ]

    async def _drain(self, ids: Sequence[str]) -> None:
        for _ in range(int(self._patience_seconds / PAUSE_SECONDS)):
            if not await self._events.retiring(ids):
                return
            await asyncio.sleep(PAUSE_SECONDS)
        _log.warning("instances end before their tasks have left", instances=list(ids))
