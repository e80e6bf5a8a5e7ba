"""CloudWatch Logs, put together: `Logs` is what app.py builds, hands to Lambda and registers at the door."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from cumulo.base.arn import Arn, partition_of
from cumulo.base.clock import Clock, millis
from cumulo.base.ids import Ids
from cumulo.base.ports import LogEvent, Usage, UsageSink
from cumulo.services.logs import upkeep
from cumulo.services.logs.events import Events
from cumulo.services.logs.groups import Groups
from cumulo.services.logs.live_tail import LiveTail
from cumulo.services.logs.metric_filters import MetricFilters
from cumulo.services.logs.storage import Storage
from cumulo.services.logs.streams import Streams
from cumulo.services.logs.tags import Tags
from cumulo.state.journal import Journal
from cumulo.state.store import SEPARATOR, Store, StoreError, join_key
from cumulo.wire.service import Coverage, Operation

GIB = 1 << 30  # the GB of the price list
METER_SECONDS = 1.0
UPKEEP_SECONDS = 10.0
_NONE_YET = "none can be made yet, so the list is empty"


class Logs:
    """The service.  Build it before `journal.replay()`; run it beside `journal.run()`."""

    name = "logs"

    def __init__(
        self,
        store: Store,
        journal: Journal,
        usage: UsageSink,
        clock: Clock,
        ids: Ids,
        *,
        live_tail_seconds: float = 1.0,
    ) -> None:
        self.storage = Storage(store, journal, clock)
        self._usage = usage
        self._clock = clock
        self._groups = Groups(self.storage)
        self._streams = Streams(self.storage, self._groups)
        self._events = Events(self.storage, self._groups)
        self._tags = Tags(self._groups)
        self._filters = MetricFilters(self._groups)
        self._upkeep_lock = asyncio.Lock()
        self._live_tail = LiveTail(self.storage, self._groups, ids, update_seconds=live_tail_seconds)

    def append(self, account: str, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        """LogSink: add events to a stream; group and stream come into being.  Safe after `Journal.flush()`."""
        self.storage.append(account, region, group, stream, events)

    def has_group(self, account: str, region: str, name: str) -> bool:
        """Whether there is a log group of this name."""
        return self.storage.groups.get(join_key(account, region, name)) is not None

    def operations(self) -> Mapping[str, Operation]:
        """Every operation that is built, by AWS's name."""
        empty, stored = Coverage.STORED, Coverage.STORED
        return {
            "CreateLogGroup": Operation(self._groups.create, note="KMS keys and classes are kept and shown"),
            "DeleteLogGroup": Operation(self._groups.delete),
            "DescribeLogGroups": Operation(self._groups.describe),
            "ListLogGroups": Operation(self._groups.list_),
            "PutRetentionPolicy": Operation(self._groups.put_retention),
            "DeleteRetentionPolicy": Operation(self._groups.delete_retention),
            "PutLogGroupDeletionProtection": Operation(self._groups.put_protection),
            "CreateLogStream": Operation(self._streams.create),
            "DeleteLogStream": Operation(self._streams.delete),
            "DescribeLogStreams": Operation(self._streams.describe),
            "PutLogEvents": Operation(self._events.put, note="entities are ignored"),
            "GetLogEvents": Operation(self._events.get),
            "FilterLogEvents": Operation(self._events.filter),
            "StartLiveTail": Operation(self._live_tail.start),
            "TestMetricFilter": Operation(self._filters.test),
            "TagLogGroup": Operation(self._tags.tag_group, stored),
            "UntagLogGroup": Operation(self._tags.untag_group, stored),
            "ListTagsLogGroup": Operation(self._tags.list_group, stored),
            "TagResource": Operation(self._tags.tag, stored),
            "UntagResource": Operation(self._tags.untag, stored),
            "ListTagsForResource": Operation(self._tags.list_, stored),
            "DescribeMetricFilters": Operation(self._filters.describe, empty, _NONE_YET),
            "DescribeSubscriptionFilters": Operation(self._filters.describe_subscriptions, empty, _NONE_YET),
            "DescribeIndexPolicies": Operation(self._filters.describe_index_policies, empty, _NONE_YET),
        }

    async def run(self) -> None:
        """Meter what comes in, and do the upkeep, for ever; what is left to meter is metered at the end."""
        try:
            since = self._clock.monotonic()
            while True:
                await asyncio.sleep(METER_SECONDS)
                self.meter()
                if self._clock.monotonic() - since >= UPKEEP_SECONDS:
                    since = self._clock.monotonic()
                    with contextlib.suppress(StoreError):  # the disk refuses: every request hears of it
                        await self.keep_up()
        finally:
            self.meter()

    async def keep_up(self) -> None:
        """One round of upkeep; never two at once, which would write the same chunk twice."""
        async with self._upkeep_lock:
            await upkeep.sweep(self.storage)
            await upkeep.expire(self.storage)
            await upkeep.compact(self.storage)

    def meter(self) -> None:
        """Record what was ingested and folded since the last time."""
        taken, since_ms = self.storage.take_unmetered()
        now_ms = millis(self._clock)
        records = []
        for key, size in taken.items():
            account, region, group = key.split(SEPARATOR)
            arn = Arn("logs", region, account, f"log-group:{group}", partition_of(region))
            records.append(
                Usage(account, region, "logs", "ingestion", str(arn), size / GIB, since_ms, now_ms)
            )
        if records:
            self._usage.record(*records)

    async def reset(self) -> None:
        """Forget every group, stream and event."""
        self.storage.clear()
        await self.storage.store.commit()
        self.storage.journal.flush()
