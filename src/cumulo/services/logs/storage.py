"""Where events are kept: the journal and the tail at first, chunks in SQLite from the next fold on.

    append -> journal record + tail (memory)          every call
    fold   -> one chunk per stream with events        every FOLD_SECONDS, in the journal's transaction
    read   -> chunks up to `tail_start` + the tail    (reading.py)

Every event has a number that rises with arrival.  The tail holds the numbers from `tail_start` on, and a reader
takes from chunks only what lies below the `tail_start` that it saw: so a fold in the middle of a read neither
hides an event nor shows it twice.  Nothing is kept in memory for a stream once its tail is folded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from cumulo.base.clock import Clock, millis
from cumulo.base.ports import LogEvent
from cumulo.services.logs import chunks
from cumulo.services.logs.model import TIME_MS_MAX, Event, Group, message_bytes
from cumulo.state.journal import Journal
from cumulo.state.store import Store, join_key

JOURNAL_KIND = 1
TAIL_BYTES_MAX = 256 * 1024 * 1024  # beyond it (the disk stands still) new events are refused
SMALL_CHUNK_BYTES = 32 * 1024  # smaller ones are compacted when a stream has many
KNOWN_STREAMS_MAX = 4096
_APPEND, _DROP, _METERED, _RESET = range(4)

_ADD_STREAM = """
INSERT INTO log_streams (group_id, name, created_ms, first_ms, last_ms, ingested_ms, small)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (group_id, name) DO UPDATE SET
    first_ms = min(coalesce(first_ms, excluded.first_ms), excluded.first_ms),
    last_ms = max(coalesce(last_ms, excluded.last_ms), excluded.last_ms),
    ingested_ms = excluded.ingested_ms,
    small = small + excluded.small"""
_ADD_CHUNK = """
INSERT INTO log_chunks (group_id, stream_id, seq, first_ms, last_ms, ingestion_ms, count, bytes, data)
SELECT group_id, id, ?, ?, ?, ?, ?, ?, ? FROM log_streams WHERE group_id = ? AND name = ?"""

GroupKey = tuple[str, str, str]  # account, region, name
Entry = tuple[
    int, int, Sequence[tuple[int, str]]
]  # number of the first event, ingestion time, (time, message)s
Listener = Callable[[GroupKey, str, Entry], None]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class Meta(msgspec.Struct, frozen=True):
    """What must be remembered beside groups: written with every fold."""

    next_number: int = 1
    next_group: int = 1
    unmetered: dict[str, int] = {}
    unmetered_since_ms: int = 0


class Storage:
    """Groups, streams and events; the only writer of the log tables."""

    def __init__(self, store: Store, journal: Journal, clock: Clock) -> None:
        self.store = store
        self.journal = journal
        self.clock = clock
        self.groups = store.table("log_groups", Group)
        self.listeners: list[Listener] = []
        self.epoch = 0  # rises with every deletion
        self.readers = 0
        self.events_refused = 0
        self._meta = store.table("log_meta", Meta)
        meta = self._meta.get("meta") or Meta()
        self._next_number = meta.next_number
        self._next_group = meta.next_group
        self._unmetered = dict(meta.unmetered)
        self._unmetered_since_ms = meta.unmetered_since_ms
        self._metered_upto = 0
        self.tail_start = self._next_number
        self._tails: dict[GroupKey, dict[str, list[Entry]]] = {}
        self._tail_bytes = 0
        self._known: dict[tuple[int, str], None] = {}
        self._made_by_replay: set[str] = set()
        journal.register(JOURNAL_KIND, replay=self._replay, fold=self._fold)

    # -- groups ------------------------------------------------------------------------------------------

    def make_group(self, account: str, region: str, name: str, **details: Any) -> Group:
        """Write a new group; durable after the next commit."""
        group = Group(
            id=self._next_group,
            name=name,
            account=account,
            region=region,
            created_ms=millis(self.clock),
            **details,
        )
        self._next_group += 1
        self._put_meta()
        self.groups.put(group.key, group)
        return group

    def drop_group(self, group: Group) -> None:
        """Forget a group with all it holds; its rows are swept later."""
        self._tails.pop((group.account, group.region, group.name), None)
        self.journal.append(JOURNAL_KIND, _encode((_DROP, group.account, group.region, group.name, "")))
        self.groups.delete(group.key)
        self.store.execute("INSERT OR IGNORE INTO log_garbage VALUES (?, 0)", (group.id,))
        self._known.clear()
        self.epoch += 1

    def adjust_stored(self, group_id: int, key: str, change: int) -> None:
        """Add to a group's stored bytes, if it is still the same group."""
        group = self.groups.get(key)
        if group is not None and group.id == group_id:
            size = max(0, group.stored_bytes + change)
            self.groups.put(key, msgspec.structs.replace(group, stored_bytes=size))

    # -- streams -----------------------------------------------------------------------------------------

    async def has_stream(self, group: Group, stream: str) -> bool:
        """Whether the stream is there."""
        if (group.id, stream) in self._known:
            return True
        if stream in self._tails.get((group.account, group.region, group.name), {}):
            return True
        await self.store.commit()
        sql = "SELECT 1 FROM log_streams WHERE group_id = ? AND name = ?"
        epoch = self.epoch
        if not await self.store.query(sql, (group.id, stream)) or self.epoch != epoch:
            return False
        self._know(group.id, stream)
        return True

    def make_stream(self, group: Group, stream: str) -> None:
        """Write a new, empty stream; durable after the next commit."""
        sql = "INSERT OR IGNORE INTO log_streams (group_id, name, created_ms) VALUES (?, ?, ?)"
        self.store.execute(sql, (group.id, stream, millis(self.clock)))
        self._know(group.id, stream)

    def drop_stream(self, group: Group, stream: str) -> None:
        """Forget a stream; its rows are swept later."""
        self._tails.get((group.account, group.region, group.name), {}).pop(stream, None)
        self.journal.append(JOURNAL_KIND, _encode((_DROP, group.account, group.region, group.name, stream)))
        where = "FROM log_streams WHERE group_id = ? AND name = ?"
        self.store.execute(
            f"INSERT OR IGNORE INTO log_garbage SELECT group_id, id {where}", (group.id, stream)
        )
        self.store.execute(f"DELETE {where}", (group.id, stream))
        self._known.pop((group.id, stream), None)
        self.epoch += 1

    def _know(self, group_id: int, stream: str) -> None:
        if len(self._known) >= KNOWN_STREAMS_MAX:
            self._known.clear()
        self._known[group_id, stream] = None

    # -- events ------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether the tail has no room, because the disk has not taken a fold for long."""
        return self._tail_bytes > TAIL_BYTES_MAX

    def append(self, account: str, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        """Add events; group and stream come into being.  Kill-safe after `journal.flush()`."""
        if not events:
            return
        if self._tail_bytes > TAIL_BYTES_MAX:
            self.events_refused += len(events)
            return
        number = self._next_number
        now_ms = int(self.clock.now() * 1000)
        taken: Sequence[tuple[int, str]] = tuple(events)
        try:
            payload = _encode((_APPEND, account, region, group, stream, number, now_ms, taken))
        except UnicodeEncodeError:  # half of a surrogate pair
            taken = tuple((at, text.encode(errors="replace").decode()) for at, text in taken)
            payload = _encode((_APPEND, account, region, group, stream, number, now_ms, taken))
        self._next_number = number + len(taken)
        self._tail_bytes += len(payload)
        key = (account, region, group)
        try:
            self._tails[key][stream].append((number, now_ms, taken))
        except KeyError:
            self._open_tail(key, stream).append((number, now_ms, taken))
        self.journal.append(JOURNAL_KIND, payload)
        if self.listeners:
            for listener in self.listeners:
                listener(key, stream, (number, now_ms, taken))

    def tail(self, key: GroupKey) -> Mapping[str, Sequence[Entry]]:
        """What of a group is not folded yet, by stream; it must be used before the next await."""
        return self._tails.get(key, {})

    def _open_tail(self, key: GroupKey, stream: str) -> list[Entry]:
        if self.groups.get(join_key(*key)) is None:
            self.make_group(*key)
        return self._tails.setdefault(key, {}).setdefault(stream, [])

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While it lasts no chunk is replaced by another."""
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1

    # -- metering ----------------------------------------------------------------------------------------

    def take_unmetered(self) -> tuple[dict[str, int], int]:
        """Bytes ingested by group key since the last call, and since when; the caller records them at once.

        The mark goes to the journal beside the caller's usage records: a crash keeps both or neither.
        """
        taken, self._unmetered = self._unmetered, {}
        since_ms, self._unmetered_since_ms = self._unmetered_since_ms, 0
        if taken:
            self.journal.append(JOURNAL_KIND, _encode((_METERED, self.tail_start)))
        return taken, since_ms

    # -- the journal's callbacks -------------------------------------------------------------------------

    def _fold(self) -> None:
        tails, self._tails = self._tails, {}
        self._tail_bytes = 0
        self.tail_start = self._next_number
        for key, streams in tails.items():
            group = self.groups.get(join_key(*key))
            assert group is not None, "a dropped group takes its tail along"
            size = sum(self._fold_stream(group, stream, entries) for stream, entries in streams.items())
            self.groups.put(group.key, msgspec.structs.replace(group, stored_bytes=group.stored_bytes + size))
        self._made_by_replay.clear()
        self._put_meta()

    def _fold_stream(self, group: Group, stream: str, entries: Sequence[Entry]) -> int:
        columns = columns_of(entries)
        packed = chunks.pack_all(columns)
        size = sum(chunk.size for chunk in packed)
        self._count_unmetered(group.key, columns, size)
        small = sum(chunk.size < SMALL_CHUNK_BYTES for chunk in packed)
        first_ms, last_ms = columns.times[0], columns.times[-1]
        row = (group.id, stream, entries[0][1], first_ms, last_ms, entries[-1][1], small)
        self.store.execute(_ADD_STREAM, row)
        for chunk in packed:
            self.store.execute(_ADD_CHUNK, (*chunk, group.id, stream))
        return size

    def _count_unmetered(self, key: str, columns: chunks.Columns, size: int) -> None:
        if min(columns.numbers) < self._metered_upto:  # replayed, and partly metered before the crash
            new = zip(columns.numbers, columns.messages, strict=True)
            size = sum(message_bytes(text) for number, text in new if number >= self._metered_upto)
        if size:
            self._unmetered[key] = self._unmetered.get(key, 0) + size
            self._unmetered_since_ms = self._unmetered_since_ms or columns.ingested[0]

    def _put_meta(self) -> None:
        meta = Meta(self._next_number, self._next_group, dict(self._unmetered), self._unmetered_since_ms)
        self._meta.put("meta", meta)

    def _replay(self, payload: bytes) -> None:
        kind, *rest = _decode(payload)
        if kind == _APPEND:
            account, region, group, stream, number, now_ms, events = rest
            self._replay_append((account, region, group), stream, (number, now_ms, events))
        elif kind == _DROP:
            self._replay_drop(*rest)
        elif kind == _METERED:
            self._unmetered, self._unmetered_since_ms = {}, 0
            self._metered_upto = rest[0]
        elif kind == _RESET:
            self._tails.clear()
            self._unmetered = {}
            for key in self._made_by_replay:
                self.groups.delete(key)
            self._made_by_replay.clear()

    def _replay_append(self, key: GroupKey, stream: str, entry: Entry) -> None:
        if self.groups.get(join_key(*key)) is None:
            self._made_by_replay.add(join_key(*key))
        self._open_tail(key, stream).append(entry)
        self.tail_start = min(self.tail_start, entry[0])
        self._next_number = max(self._next_number, entry[0] + len(entry[2]))

    def _replay_drop(self, account: str, region: str, group: str, stream: str) -> None:
        key = (account, region, group)
        if stream:
            self._tails.get(key, {}).pop(stream, None)
            return
        self._tails.pop(key, None)
        if join_key(*key) in self._made_by_replay:  # it was gone already when the process died
            self._made_by_replay.discard(join_key(*key))
            self.groups.delete(join_key(*key))

    # -- the end of everything ---------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget every group, stream and event."""
        self._tails.clear()
        self._known.clear()
        self._unmetered, self._unmetered_since_ms = {}, 0
        self.groups.clear()
        self.store.execute("DELETE FROM log_streams")
        self.store.execute("DELETE FROM log_chunks")
        self.store.execute("DELETE FROM log_garbage")
        self.journal.append(JOURNAL_KIND, _encode((_RESET,)))
        self._put_meta()
        self.epoch += 1


def columns_of(entries: Sequence[Entry]) -> chunks.Columns:
    """The events of a stream's tail, sorted."""
    times: list[int] = []
    numbers: list[int] = []
    ingested: list[int] = []
    messages: list[str] = []
    for first, ingested_ms, taken in entries:
        count = len(taken)
        numbers += range(first, first + count)
        ingested += [ingested_ms] * count
        moments, texts = zip(*taken, strict=True)
        times += moments
        messages += texts
    columns = chunks.Columns(times, numbers, ingested, messages)
    if chunks.is_sorted(times) and times[0] >= 0 and times[-1] < TIME_MS_MAX:
        return columns
    rows = zip((min(max(at, 0), TIME_MS_MAX - 1) for at in times), *columns[1:], strict=True)
    return chunks.columns_of([Event(*row) for row in sorted(rows)])
