"""Puts tasks into Cloud Map and takes them out: what is written down is done again after a kill."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports.discovery import CloudMap
from cumulo.base.tasks import cancel_all
from cumulo.services.ecs.discovery import names
from cumulo.services.ecs.discovery.model import DiscoveryRecords, Registration
from cumulo.services.ecs.discovery.publisher import Publish, Publisher
from cumulo.services.ecs.discovery.strangers import Strangers
from cumulo.services.ecs.model import Health, Task
from cumulo.services.ecs.records import Records

T = TypeVar("T")

_TRIES = 4
_PAUSE_SECONDS = 0.2
_AT_ONCE_MAX = 8


class Registrar:
    """Keeps Cloud Map and the names of pods as the registrations say.

    publish   takes the whole table of names, each with its addresses
    pause     waits so many seconds, between tries
    apart     accounts are strangers to one another: see names.apart
    """

    def __init__(
        self,
        records: Records,
        kept: DiscoveryRecords,
        cloud_map: CloudMap,
        publish: Publish,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        apart: bool = False,
    ) -> None:
        self._records = records
        self._kept = kept
        self._map = cloud_map
        self._pause = pause
        self._apart = apart
        self._publisher = Publisher(self._table, publish)
        self._strangers = Strangers(kept, cloud_map, self._publisher.soon)
        self._room = asyncio.Semaphore(_AT_ONCE_MAX)
        self._telling: dict[str, asyncio.Task[None]] = {}  # of health, by the task's ARN
        self._log = Log("ecs")
        records.tasks.listeners.append(self._heard)
        for shelf in (kept.registrations, kept.names):
            shelf.listeners.append(self._forgotten)

    async def start(self) -> None:
        """After a restart: pods are told the names again, and tasks that ended meanwhile are taken out."""
        await self._publisher.now()
        for arn in self._kept.registrations.values("task"):
            task = self._records.tasks.get(arn)
            if task is None or not task.is_live:
                await self.deregister(arn)

    async def close(self) -> None:
        """Tell nobody any more."""
        await self._strangers.close()
        await cancel_all(self._telling.values())
        await self._publisher.close()

    async def register(self, registration: Registration, attributes: Mapping[str, str]) -> None:
        """Put a task into Cloud Map; harmless when repeated.  What Cloud Map refuses is logged: the task runs on."""
        self._kept.registrations.put(registration)
        await self._kept.store.commit()
        one = registration
        if one.custom_health:
            attributes = {**attributes, "AWS_INIT_HEALTH_STATUS": "HEALTHY"}
        try:
            await self._tried(
                partial(self._map.register, one.account, one.region, one.service_id, one.instance, attributes)
            )
        except AwsError as error:
            self._log.warning("a task is not in Cloud Map", task=one.task_arn, error=str(error))
        await self._publisher.now()

    async def deregister(self, task_arn: str) -> None:
        """Take a task out of everything; harmless when it is in nothing, and when Cloud Map is away."""
        found = self._kept.registrations.by("task", task_arn)
        if not found:
            return
        for one in found:
            self._kept.registrations.put(replace(one, name=""))
        await self._publisher.now()
        for one in found:
            try:
                await self._tried(
                    partial(self._map.deregister, one.account, one.region, one.service_id, one.instance)
                )
            except AwsError as error:  # it stays written down: the next call, or the next start, tries again
                self._log.warning("a task stays in Cloud Map", task=one.task_arn, error=str(error))
            else:
                self._kept.registrations.delete(one)
        await self._kept.store.commit()

    async def _tried(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call; what may go by itself (5xx) is tried again, a few times."""
        for number in range(_TRIES):
            try:
                async with self._room:
                    return await call()
            except AwsError as error:
                if error.status < 500 or number == _TRIES - 1:
                    raise
            await self._pause(_PAUSE_SECONDS * 2**number)
        raise AssertionError("the last try returns or raises")

    def _table(self) -> names.Table:
        if not self._apart:
            return self._table_of("")
        accounts = {one.account for one in self._kept.registrations.all()}
        accounts |= {one.account for one in self._kept.names.all()}
        return names.apart({account: self._table_of(account) for account in accounts})

    def _table_of(self, account: str) -> names.Table:
        """The names of an account; of all when it is empty."""
        found = [one for one in self._kept.registrations.all() if account in ("", one.account)]
        others = self._strangers.table(account)
        return names.table(((one, self._health(one.task_arn)) for one in found), others)

    def _health(self, task_arn: str) -> Health:
        task = self._records.tasks.get(task_arn)
        return task.health if task is not None else Health.UNKNOWN

    def _heard(self, before: Task | None, after: Task | None) -> None:
        """A task changed: who is unwell has no traffic."""
        if before is None or after is None or before.health is after.health:
            return
        found = self._kept.registrations.by("task", after.arn)
        if not found:
            return
        self._publisher.soon()
        if any(one.custom_health for one in found):
            self._tell_soon(after.arn)

    def _forgotten(self, _before: object, after: object) -> None:
        """Something of the table is gone, also when everything is forgotten."""
        if after is None:
            self._publisher.soon()

    def _tell_soon(self, task_arn: str) -> None:
        """Tell Cloud Map of a task's health; after what is told of it already."""
        previous = self._telling.get(task_arn)
        task = asyncio.get_running_loop().create_task(self._tell(task_arn, previous))
        self._telling[task_arn] = task
        task.add_done_callback(lambda done: self._told(task_arn, done))

    def _told(self, task_arn: str, done: "asyncio.Task[None]") -> None:
        if self._telling.get(task_arn) is done:
            del self._telling[task_arn]

    async def _tell(self, task_arn: str, previous: "asyncio.Task[None] | None") -> None:
        if previous is not None:
            await asyncio.wait([previous])
        healthy = self._health(task_arn) is not Health.UNHEALTHY
        for one in self._kept.registrations.by("task", task_arn):
            if not one.custom_health:
                continue
            try:
                await self._tried(
                    partial(
                        self._map.set_health,
                        one.account,
                        one.region,
                        one.service_id,
                        one.instance,
                        healthy=healthy,
                    )
                )
            except AwsError as error:
                self._log.warning("Cloud Map is not told of health", task=task_arn, error=str(error))
