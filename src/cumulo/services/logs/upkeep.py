"""What happens behind the requests: expiry by retention, sweeping of what was deleted, compaction of small chunks.

Every pass does a bounded amount of work in transactions of its own, so that nobody waits long behind one.
"""

import asyncio

from cumulo.base.clock import millis
from cumulo.services.logs import chunks
from cumulo.services.logs.plan import Expire, expiries
from cumulo.services.logs.storage import SMALL_CHUNK_BYTES, Storage

ROWS_AT_ONCE = 500  # removed in one transaction
PASSES_MAX = 200  # transactions of one kind of work before the others have their turn
COMPACT_STREAMS_AT_ONCE = 16
COMPACT_CHUNKS_MAX = 128


async def expire(storage: Storage) -> int:
    """Remove what the groups' retention no longer keeps; how many chunks."""
    removed = 0
    for action in expiries(storage.groups.scan(), millis(storage.clock)):
        for _ in range(PASSES_MAX):
            count = await _expire_some(storage, action)
            removed += count
            if count < ROWS_AT_ONCE:
                break
    return removed


async def _expire_some(storage: Storage, action: Expire) -> int:
    sql = "SELECT id, bytes FROM log_chunks WHERE group_id = ? AND last_ms < ? LIMIT ?"
    rows = await storage.store.query(sql, (action.group_id, action.before_ms, ROWS_AT_ONCE))
    if rows:
        _remove(storage, [row[0] for row in rows])
        storage.adjust_stored(action.group_id, action.key, -sum(row[1] for row in rows))
        await storage.store.commit()
    return len(rows)


async def sweep(storage: Storage) -> int:
    """Remove the rows of deleted groups and streams; how many chunks."""
    removed = 0
    await storage.store.commit()
    for group_id, stream_id in await storage.store.query("SELECT * FROM log_garbage LIMIT 100"):
        for _ in range(PASSES_MAX):
            count, more = await _sweep_some(storage, group_id, stream_id)
            removed += count
            if not more:
                break
    return removed


async def _sweep_some(storage: Storage, group_id: int, stream_id: int) -> tuple[int, bool]:
    """Remove some chunks, then streams; how many chunks, and whether anything is left."""
    store = storage.store
    if stream_id:
        sql = "SELECT id, bytes FROM log_chunks WHERE stream_id = ? LIMIT ?"
        rows = await store.query(sql, (stream_id, ROWS_AT_ONCE))
    else:
        sql = "SELECT id, bytes FROM log_chunks WHERE group_id = ? LIMIT ?"
        rows = await store.query(sql, (group_id, ROWS_AT_ONCE))
    _remove(storage, [row[0] for row in rows])
    if stream_id and rows:
        size = sum(row[1] for row in rows)
        key = next((group.key for group in storage.groups.scan() if group.id == group_id), "")
        storage.adjust_stored(group_id, key, -size)
    more = len(rows) == ROWS_AT_ONCE
    if not more:
        more = not stream_id and await _sweep_streams(storage, group_id)
        if not more:
            store.execute(
                "DELETE FROM log_garbage WHERE group_id = ? AND stream_id = ?", (group_id, stream_id)
            )
    await store.commit()
    return len(rows), more


async def _sweep_streams(storage: Storage, group_id: int) -> bool:
    """Remove some of a deleted group's streams; whether some may be left."""
    sql = "SELECT id FROM log_streams WHERE group_id = ? LIMIT ?"
    rows = await storage.store.query(sql, (group_id, ROWS_AT_ONCE * 10))
    storage.store.execute(
        "DELETE FROM log_streams WHERE id IN (SELECT id FROM log_streams WHERE group_id = ? LIMIT ?)",
        (group_id, ROWS_AT_ONCE * 10),
    )
    return len(rows) == ROWS_AT_ONCE * 10


def _remove(storage: Storage, ids: list[int]) -> None:
    for chunk_id in ids:
        storage.store.execute("DELETE FROM log_chunks WHERE id = ?", (chunk_id,))


async def compact(storage: Storage) -> int:
    """Merge the small chunks of streams that have many; how many streams were done."""
    done = 0
    for _ in range(PASSES_MAX):
        sql = "SELECT id, group_id FROM log_streams WHERE small >= 32 LIMIT ?"
        streams = await storage.store.query(sql, (COMPACT_STREAMS_AT_ONCE,))
        for stream_id, group_id in streams:
            if not await _compact_stream(storage, stream_id, group_id):
                return done
            done += 1
        if len(streams) < COMPACT_STREAMS_AT_ONCE:
            break
    return done


async def _compact_stream(storage: Storage, stream_id: int, group_id: int) -> bool:
    """Replace the newest small chunks by fewer; False when a reader or a deletion is in the way."""
    epoch = storage.epoch
    sql = "SELECT id, data FROM log_chunks WHERE stream_id = ? AND bytes < ? ORDER BY first_ms DESC LIMIT ?"
    rows = await storage.store.query(sql, (stream_id, SMALL_CHUNK_BYTES, COMPACT_CHUNKS_MAX))
    merged = await asyncio.to_thread(chunks.merge, [row[1] for row in rows])
    if storage.readers or storage.epoch != epoch:
        return False
    _remove(storage, [row[0] for row in rows])
    for c in merged:
        storage.store.execute(
            "INSERT INTO log_chunks (group_id, stream_id, seq, first_ms, last_ms, ingestion_ms, count, bytes, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (group_id, stream_id, c.seq, c.first_ms, c.last_ms, c.ingestion_ms, c.events, c.size, c.data),
        )
    storage.store.execute("UPDATE log_streams SET small = 0 WHERE id = ?", (stream_id,))
    await storage.store.commit()
    return True
