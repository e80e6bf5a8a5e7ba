"""The store: records in memory, committed in groups to SQLite by one writer.

    put/delete/execute  ->  pending batch  ->  one transaction in the writer thread  ->  commit() returns

Reads come from memory.  A change is visible at once and durable when `await store.commit()` returns; an
operation answers after that.  All changes made without an `await` in between reach the disk in one
transaction or not at all.  What is too large for memory (log chunks, queued events) lives in tables of its
own, written with `execute` in the same batches and read with `query`.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
Statement = tuple[str, Sequence[Any]]

_PUT = (
    "INSERT INTO records (tbl, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
)
_DELETE = "DELETE FROM records WHERE tbl = ? AND key = ?"
_DISK = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
    }
)
SEPARATOR = "\x1f"  # joins the parts of a key; it sorts before every character that a name may have


def join_key(*parts: str) -> str:
    """One key of several parts, so that `scan(join_key(account, region, ""))` finds a region's records."""
    return SEPARATOR.join(parts)


class StoreError(Exception):
    """The disk refused; what was not acknowledged may be kept, or not."""


class StoreBroken(StoreError):
    """A statement can never be carried out: a bug.  Only a restart, from what is on disk, helps."""


class Table(Generic[T]):
    """Records of one struct type by string key."""

    def __init__(self, store: "Store", name: str, kind: type[T]) -> None:
        self.name = name
        self._store = store
        self._encode = msgspec.msgpack.Encoder().encode
        decode = msgspec.msgpack.Decoder(kind).decode
        self._rows: dict[str, T] = {key: decode(value) for key, value in store.load(name)}

    def get(self, key: str) -> T | None:
        """The record, or None."""
        return self._rows.get(key)

    def put(self, key: str, value: T) -> None:
        """Write a record; durable after the next `commit`."""
        self._store.execute(_PUT, (self.name, key, self._encode(value)))  # first: it may refuse the key
        self._rows[key] = value

    def delete(self, key: str) -> None:
        """Remove a record; nothing happens when there is none."""
        if self._rows.pop(key, None) is not None:
            self._store.execute(_DELETE, (self.name, key))

    def scan(self, prefix: str = "") -> list[T]:
        """The records whose key begins with `prefix`, sorted by key."""
        return [self._rows[key] for key in sorted(k for k in self._rows if k.startswith(prefix))]

    def items(self, prefix: str = "") -> list[tuple[str, T]]:
        """Key and record, sorted by key."""
        return [(key, self._rows[key]) for key in sorted(k for k in self._rows if k.startswith(prefix))]

    def clear(self) -> None:
        """Remove every record."""
        for key in list(self._rows):
            self.delete(key)

    def __len__(self) -> int:
        return len(self._rows)


class Store:
    """SQLite in WAL mode behind one writer thread.  Made and used on the event loop's thread."""

    def __init__(self, path: Path, *, synchronous: str = "FULL") -> None:
        self._path = path
        path.touch(mode=0o600)  # it holds secrets; SQLite's other files take its mode
        self._db = _open(path, synchronous)
        migrate(self._db)
        self._tables: dict[str, Table[Any]] = {}
        self._pending: list[Statement] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._queue: queue.SimpleQueue[tuple[list[Statement], asyncio.AbstractEventLoop, Any] | None]
        self._queue = queue.SimpleQueue()
        self._in_flight = False
        self._behind = False
        self._broken: BaseException | None = None
        self._reader_lock = threading.Lock()
        self._reader = _open(path, synchronous)
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._writer.start()

    # -- records -----------------------------------------------------------------------------------------

    def table(self, name: str, kind: type[T]) -> Table[T]:
        """The table of that name; the same object for the same name."""
        if name not in self._tables:
            self._tables[name] = Table(self, name, kind)
        return self._tables[name]

    def load(self, name: str) -> Iterator[tuple[str, bytes]]:
        """Key and encoded record of a table, as they are on disk at start."""
        return iter(
            [(k, v) for k, v in self.query_now("SELECT key, value FROM records WHERE tbl = ?", (name,))]
        )

    # -- writing -----------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Add a statement to the pending batch; ValueError for what SQLite cannot keep, here and not for everybody."""
        for value in parameters:
            if isinstance(value, str):
                if not value.isascii():
                    value.encode()
            elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
                raise ValueError(f"{value} does not fit into 64 bits")
        self._pending.append((sql, parameters))

    async def ready(self) -> None:
        """StoreError while the disk still refuses what came before: ask it before changing what can wait.

        So nothing piles up in memory when the disk is full, and what is refused has changed nothing.
        """
        if self._behind:
            await self.commit()

    async def commit(self) -> None:
        """Return when everything written so far is on disk; StoreError when the disk refuses."""
        if self._broken is not None:
            raise StoreBroken(f"the store is broken: {self._broken!r}")
        if not self._pending and not self._in_flight:
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        if not self._in_flight:
            # Everybody who is ready to write in this turn of the loop shares one transaction.
            self._in_flight = True
            loop.call_soon(self._send_batch, loop)
        await waiter

    def _send_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._pending = self._pending, []
        waiters, self._waiters = self._waiters, []
        self._queue.put((batch, loop, waiters))

    def _write_loop(self) -> None:
        while (job := self._queue.get()) is not None:
            batch, loop, waiters = job
            error: BaseException | None = None
            try:
                _write(self._db, batch)
            except Exception as exc:  # noqa: BLE001 - whatever it is, somebody waits for the outcome
                error = exc
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._batch_done, batch, loop, waiters, error)

    def _batch_done(
        self,
        batch: list[Statement],
        loop: asyncio.AbstractEventLoop,
        waiters: list[asyncio.Future[None]],
        error: BaseException | None,
    ) -> None:
        self._behind = error is not None
        if error is not None:
            # Memory is ahead of the disk now.  Keep the batch, so that a later commit (space was made) writes
            # it first; its callers learn that nothing was acknowledged.
            self._pending[:0] = batch
            if not _is_the_disk(error):
                self._broken = error
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            elif self._broken is not None:
                waiter.set_exception(StoreBroken(f"the store is broken: {error!r}"))
            else:
                waiter.set_exception(StoreError(f"the store could not commit: {error}"))
        if self._waiters:
            self._send_batch(loop)
        else:
            self._in_flight = False

    # -- reading what is not in memory -------------------------------------------------------------------

    async def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a read-only statement, as committed so far, fetched outside the event loop."""
        return await asyncio.to_thread(self.query_now, sql, parameters)

    def query_now(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The same, in the caller's thread (at start, or for a handful of rows)."""
        with self._reader_lock:
            try:
                return self._reader.execute(sql, parameters).fetchall()
            except sqlite3.OperationalError as error:
                if _is_the_disk(error):
                    raise StoreError(f"the store could not read: {error}") from error
                raise

    async def close(self) -> None:
        """Commit what is pending and let go of the file, also when the disk refuses."""
        try:
            await self.commit()
        finally:
            self._queue.put(None)
            await asyncio.to_thread(self._writer.join)
            with self._reader_lock:
                self._reader.close()
            self._db.close()


def migrate(db: sqlite3.Connection) -> None:
    """Bring the schema to the newest numbered migration, each in one transaction."""
    (have,) = db.execute("PRAGMA user_version").fetchone()
    folder = resources.files("cumulo.state") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    newest = max(_migration(name) for name in names)
    if have > newest:
        raise StoreError(f"the data was written by a newer Cumulo (schema {have}; this one knows {newest})")
    for name in names:
        number = _migration(name)
        if number > have:
            sql = (folder / name).read_text()
            db.executescript(f"BEGIN; {sql}\nPRAGMA user_version = {number}; COMMIT;")


def _migration(name: str) -> int:
    return int(name.split("_", 1)[0])


def _is_the_disk(error: BaseException) -> bool:
    """Whether a fault may pass by itself: the disk is full or fails, as opposed to a statement that is wrong."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _DISK


def _open(path: Path, synchronous: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA cache_size = -2000")
    return db


def _write(db: sqlite3.Connection, batch: list[Statement]) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for sql, parameters in batch:
            db.execute(sql, parameters)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
