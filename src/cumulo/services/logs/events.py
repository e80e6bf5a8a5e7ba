"""Log events: put, get, filter."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import millis
from cumulo.base.errors import AwsError
from cumulo.base.ports import LogEvent
from cumulo.services.logs.collect import Found
from cumulo.services.logs.groups import Groups
from cumulo.services.logs.model import (
    BATCH_BYTES_MAX,
    BATCH_SPAN_MS_MAX,
    EVENT_BYTES_MAX,
    EVENT_OVERHEAD_BYTES,
    PAGE_EVENTS_MAX,
    TOO_NEW_MS,
    TOO_OLD_MS,
    Group,
    Position,
    event_id,
    invalid,
    message_bytes,
    no_stream,
    position_of,
)
from cumulo.services.logs.patterns import compile_pattern
from cumulo.services.logs.reading import Query, read_page
from cumulo.services.logs.storage import Storage
from cumulo.services.logs.streams import sequence_token
from cumulo.wire.service import Values

TIME_MS_END = (1 << 62) - 1
_DESCENDING_SINCE_MS = 1_704_067_200_000  # AWS reads newest first only from 2024-01-01 on
_SHOWN_AT_ONCE = 500
_BAD_TOKEN = "The specified nextToken is invalid."  # noqa: S105 - a sentence


class Rejected(msgspec.Struct, frozen=True):
    """Which part of a batch is taken (from `start` to `stop`), and what AWS says of the rest."""

    start: int
    stop: int
    info: dict[str, int]


class _Token(msgspec.Struct, frozen=True, array_like=True):
    """A FilterLogEvents token."""

    forward: bool
    time_ms: int
    number: int


class Events:
    """The operations on log events."""

    def __init__(self, storage: Storage, groups: Groups) -> None:
        self._storage = storage
        self._groups = groups

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutLogEvents."""
        name, stream, events = values["logGroupName"], values["logStreamName"], values["logEvents"]
        group = self._groups.named(caller, name)
        check_batch(events)
        verdict = judge(group, [event["timestamp"] for event in events], millis(self._storage.clock))
        if not await self._storage.has_stream(group, stream):
            raise no_stream()
        self._groups.named(caller, name)  # it may have gone while we looked for the stream
        if self._storage.full or self._storage.journal.refuses:
            raise _unavailable()
        taken = [LogEvent(e["timestamp"], e["message"]) for e in events[verdict.start : verdict.stop]]
        self._storage.append(caller.account, caller.region, name, stream, taken)
        if not self._storage.journal.flush():
            raise _unavailable()
        return {"nextSequenceToken": sequence_token(), "rejectedLogEventsInfo": verdict.info or None}

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetLogEvents."""
        group = self._groups.chosen(caller, values)
        stream = values["logStreamName"]
        forward, after = bool(values.get("startFromHead", False)), None
        token = values.get("nextToken")
        if token is not None:
            forward, after = _direction_of(token)
        if not await self._storage.has_stream(group, stream):
            raise no_stream()
        page = await read_page(
            self._storage,
            Query(
                group=group,
                streams=(stream,),
                start_ms=values.get("startTime", 0),
                end_ms=values.get("endTime", TIME_MS_END) - 1,
                after=after,
                forward=forward,
                limit=values.get("limit", PAGE_EVENTS_MAX),
                scan_bytes_max=1 << 62,  # one stream's chunks: the page fills soon
            ),
        )
        found = page.found if forward else page.found[::-1]
        rows = await shown(found, listed)
        ahead, behind = _ends(found, after, forward=forward)
        return {"events": rows, "nextForwardToken": f"f/{ahead}/s", "nextBackwardToken": f"b/{behind}/s"}

    async def filter(self, caller: Caller, values: Values) -> Values | None:
        """FilterLogEvents."""
        group = self._groups.chosen(caller, values)
        names, prefix = values.get("logStreamNames"), values.get("logStreamNamePrefix", "")
        if names is not None and prefix:
            raise invalid("Only one of logStreamNames and logStreamNamePrefix can be specified.")
        matches = compile_pattern(values.get("filterPattern", ""))
        start_ms = values.get("startTime", 0)
        forward, after = bool(values.get("startFromHead", True)), None
        if "nextToken" in values:
            forward, after = _filter_place_of(values["nextToken"])
        elif not forward and start_ms < _DESCENDING_SINCE_MS:
            raise invalid("startFromHead can be false only when startTime is on or after January 1, 2024.")
        for name in names or ():
            if not await self._storage.has_stream(group, name):
                raise no_stream()
        page = await read_page(
            self._storage,
            Query(
                group=group,
                streams=None if names is None else tuple(names),
                prefix=prefix,
                start_ms=start_ms,
                end_ms=values.get("endTime", TIME_MS_END),
                after=after,
                forward=forward,
                limit=values.get("limit", PAGE_EVENTS_MAX),
                matches=matches.test,
            ),
        )
        token = None
        if page.resume is not None:
            token = msgspec.json.encode(_Token(forward, *page.resume))
        return {
            "events": await shown(page.found, filtered),
            "searchedLogStreams": [],  # AWS has returned an empty list since 2020
            "nextToken": base64.urlsafe_b64encode(token).decode() if token else None,
        }


async def shown(found: Sequence[Found], view: Callable[[Found], Values]) -> list[Values]:
    """Events as an answer shows them; the event loop has its turn between some and others."""
    rows: list[Values] = []
    for start in range(0, len(found), _SHOWN_AT_ONCE):
        rows += map(view, found[start : start + _SHOWN_AT_ONCE])
        await asyncio.sleep(0)
    return rows


def listed(found: Found) -> Values:
    """An event as GetLogEvents shows it."""
    event = found.event
    return {"timestamp": event.time_ms, "message": event.message, "ingestionTime": event.ingested_ms}


def filtered(found: Found) -> Values:
    """An event as FilterLogEvents shows it."""
    event = found.event
    return {
        "logStreamName": found.stream,
        "timestamp": event.time_ms,
        "message": event.message,
        "ingestionTime": event.ingested_ms,
        "eventId": event_id(Position(event.time_ms, event.number)),
    }


def check_batch(events: Sequence[Values]) -> None:
    """Refuse a batch that breaks AWS's limits."""
    total, before = 0, 0
    for event in events:
        if event["timestamp"] < before:
            raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
        before = event["timestamp"]
        size = message_bytes(event["message"])
        if size - EVENT_OVERHEAD_BYTES > EVENT_BYTES_MAX:
            raise invalid(f"Log event too large: {size} bytes exceeds limit of {EVENT_BYTES_MAX}")
        total += size
    if total > BATCH_BYTES_MAX:
        raise invalid(f"Upload too large: {total} bytes exceeds limit of {BATCH_BYTES_MAX}")


def judge(group: Group, times_ms: Sequence[int], now_ms: int) -> Rejected:
    """Which of the events, sorted by time, are taken: not expired, not too old, not too new."""
    info: dict[str, Any] = {}
    expired = _count_below(times_ms, group.expired_before_ms(now_ms))
    too_old = _count_below(times_ms, now_ms - TOO_OLD_MS)
    stop = _count_below(times_ms, now_ms + TOO_NEW_MS + 1)
    if stop < len(times_ms):
        info["tooNewLogEventStartIndex"] = stop
    if too_old:
        info["tooOldLogEventEndIndex"] = too_old
    if expired > too_old:
        info["expiredLogEventEndIndex"] = expired
    start = max(expired, too_old)
    if start < stop and times_ms[stop - 1] - times_ms[start] > BATCH_SPAN_MS_MAX:
        raise invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    return Rejected(min(start, stop), stop, info)


def _unavailable() -> AwsError:
    return AwsError("ServiceUnavailableException", "The service cannot complete the request.", status=503)


def _count_below(times_ms: Sequence[int], bound_ms: int) -> int:
    return sum(time_ms < bound_ms for time_ms in times_ms)


def _direction_of(token: str) -> tuple[bool, Position]:
    way, _, rest = token.partition("/")
    position = position_of(rest.removesuffix("/s"))
    if way not in ("f", "b") or position is None:
        raise invalid(_BAD_TOKEN)
    return way == "f", position


def _ends(found: Sequence[Found], after: Position | None, *, forward: bool) -> tuple[str, str]:
    """The forward and the backward token's positions; at the end of the stream they stay where they are."""
    if found:
        first, last = found[0].event, found[-1].event
        return event_id(Position(last.time_ms, last.number)), event_id(Position(first.time_ms, first.number))
    if after is None:
        return event_id(Position(0, 0)), event_id(Position(0, 0))
    here = event_id(after)
    if forward:
        # Going back from here must show what was read last: the position itself is exclusive in both directions.
        return here, event_id(Position(after.time_ms, after.number + 1))
    return event_id(Position(after.time_ms, max(after.number - 1, 0))), here


def _filter_place_of(token: str) -> tuple[bool, Position]:
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(token.encode()), type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise invalid(_BAD_TOKEN) from None
    return place.forward, Position(place.time_ms, place.number)
