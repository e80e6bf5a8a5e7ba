"""Reads pages of events: chunks from SQLite and the tail from memory, merged by time.

A page scans chunks in the direction of reading and stops as soon as no later chunk can hold an event of it.
Between chunks the event loop goes on, so a search through a million events does not hold up an invocation.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from cumulo.services.logs.chunks import CHUNK_SPAN_MS_MAX, Columns, between, unpack
from cumulo.services.logs.collect import Collector, Page, frontier
from cumulo.services.logs.model import Group, Position
from cumulo.services.logs.storage import Storage, columns_of

SCAN_BYTES_MAX = 32 * 1024 * 1024  # of messages for one page; then the page ends, maybe empty, with a token
STREAMS_BY_ID_MAX = 1000  # more streams than this are found by reading the whole group
_BATCH_FIRST, _BATCH_MAX = 4, 512  # chunks fetched at once
_BATCH_BYTES = 1024 * 1024
_EVERY_NUMBER = 1 << 63
_EVENTS_AT_ONCE = 256  # considered before the event loop has its turn

_CHUNKS = """
SELECT c.id, s.name, c.first_ms, c.last_ms, c.bytes, c.data
FROM log_chunks c LEFT JOIN log_streams s ON s.id = c.stream_id
WHERE c.id IN (
    SELECT id FROM log_chunks INDEXED BY log_chunks_{owner}_{edge}
    WHERE {owner}_id IN ({marks}) AND ({edge}_ms, id) {after} (?, ?) AND {edge}_ms {until} ?
        AND first_ms <= ? AND last_ms >= ? AND seq < ?
    ORDER BY {edge}_ms {order}, id {order} LIMIT ?)
ORDER BY c.{edge}_ms {order}, c.id {order}"""

ChunkRow = tuple[int, str | None, int, int, int, bytes]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted.  Times are inclusive; `after` is exclusive, in the direction of reading."""

    group: Group
    streams: tuple[str, ...] | None = None
    prefix: str = ""
    start_ms: int = 0
    end_ms: int = (1 << 62) - 1
    after: Position | None = None
    forward: bool = True
    limit: int = 10_000
    matches: Callable[[str], bool] | None = None
    scan_bytes_max: int = SCAN_BYTES_MAX

    def wants_stream(self, name: str) -> bool:
        """Whether the stream is among those asked for."""
        return name.startswith(self.prefix) and (self.streams is None or name in self.streams)


async def read_page(storage: Storage, query: Query) -> Page:
    """One page of events."""
    query = narrowed(query, storage)
    collector = Collector(query.limit, forward=query.forward)
    with storage.reading():
        upto = storage.tail_start
        group = query.group
        tail = [
            (name, columns_of(entries))
            for name, entries in storage.tail((group.account, group.region, group.name)).items()
            if query.wants_stream(name)
        ]
        await storage.store.commit()  # what was folded must be where the query looks
        for name, columns in tail:
            await _consider(collector, query, name, columns, _EVERY_NUMBER)
        scanned = 0
        async for _, stream, first_ms, last_ms, size, data in _chunk_rows(storage, query, upto):
            edge_ms = first_ms if query.forward else last_ms
            if collector.passed(edge_ms):
                return collector.page(more=True)
            if scanned > query.scan_bytes_max and _progresses(query, edge_ms):
                return collector.page_until(edge_ms)
            if stream is not None and query.wants_stream(stream):
                scanned += size
                await _consider(collector, query, stream, unpack(data), upto)
    return collector.page(more=False)


def narrowed(query: Query, storage: Storage) -> Query:
    """The query without the time before its position and what the group's retention hides."""
    now_ms = int(storage.clock.now() * 1000)
    start_ms = max(query.start_ms, query.group.expired_before_ms(now_ms))
    end_ms = query.end_ms
    if query.after is not None and query.forward:
        start_ms = max(start_ms, query.after.time_ms)
    elif query.after is not None:
        end_ms = min(end_ms, query.after.time_ms)
    return msgspec.structs.replace(query, start_ms=start_ms, end_ms=end_ms)


def _progresses(query: Query, edge_ms: int) -> bool:
    """Whether a page that ends before `edge_ms` takes reading further than it is."""
    if query.after is None:
        return True
    place = frontier(edge_ms, forward=query.forward)
    return place > query.after if query.forward else place < query.after


async def _consider(collector: Collector, query: Query, name: str, columns: Columns, upto: int) -> None:
    """Offer the wanted ones of a stream's events with numbers below `upto` to the page."""
    after, matches = query.after, query.matches
    start_ms, end_ms = collector.window(query.start_ms, query.end_ms, columns)
    for i, event in enumerate(between(columns, start_ms, end_ms), 1):
        if i % _EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
        if event.number >= upto:
            continue
        if after is not None and (event[:2] <= after if query.forward else event[:2] >= after):
            continue
        if matches is None or matches(event.message):
            collector.add(event, name)
    await asyncio.sleep(0)


async def _chunk_rows(storage: Storage, query: Query, upto: int) -> AsyncIterator[ChunkRow]:
    """The chunks that may hold wanted events, in the direction of reading."""
    ids = await _stream_ids(storage, query)
    if ids is not None and not ids:
        return
    owner, owners = ("group", [query.group.id]) if ids is None else ("stream", ids)
    edge = "first" if query.forward else "last"
    sql = _CHUNKS.format(
        owner=owner,
        edge=edge,
        marks=",".join("?" * len(owners)),
        after=">" if query.forward else "<",
        until="<=" if query.forward else ">=",
        order="ASC" if query.forward else "DESC",
    )
    # Where chunks may begin (or end) that reach into the window.
    at = (
        (query.start_ms - CHUNK_SPAN_MS_MAX, 0)
        if query.forward
        else (query.end_ms + CHUNK_SPAN_MS_MAX + 1, 0)
    )
    until_ms = query.end_ms if query.forward else query.start_ms
    batch = _BATCH_FIRST
    while True:
        values: list[Any] = [*owners, *at, until_ms, query.end_ms, query.start_ms, upto, batch]
        rows: list[Any] = await storage.store.query(sql, values)
        for row in rows:
            yield row
        if len(rows) < batch:
            return
        at = (rows[-1][2] if query.forward else rows[-1][3], rows[-1][0])
        average = sum(len(row[5]) for row in rows) // len(rows) + 1
        batch = max(_BATCH_FIRST, min(batch * 2, _BATCH_MAX, _BATCH_BYTES // average))


async def _stream_ids(storage: Storage, query: Query) -> list[int] | None:
    """The ids of the wanted streams; None when the whole group is to be read."""
    if query.streams is not None:
        marks = ",".join("?" * len(query.streams))
        sql = f"SELECT id FROM log_streams WHERE group_id = ? AND name IN ({marks})"  # noqa: S608 - only marks
        rows = await storage.store.query(sql, (query.group.id, *query.streams))
    elif query.prefix:
        sql = "SELECT id FROM log_streams WHERE group_id = ? AND name >= ? AND name < ? LIMIT ?"
        bounds = (query.prefix, query.prefix + "\U0010ffff", STREAMS_BY_ID_MAX + 1)
        rows = await storage.store.query(sql, (query.group.id, *bounds))
        if len(rows) > STREAMS_BY_ID_MAX:
            return None
    else:
        return None
    return [row[0] for row in rows]
