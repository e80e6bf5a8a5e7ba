"""The store and the journal when the disk is full, a statement is wrong, or a task goes away in the middle."""

import asyncio
import errno
import os
import resource
import signal
import sqlite3
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from cumulo.base.lock import FolderLock, Locked
from cumulo.state.journal import BUFFER_BYTES_MAX, Journal
from cumulo.state.store import Store, StoreBroken, StoreError


class Noun(msgspec.Struct, frozen=True):
    name: str
    size: int = 0


@contextmanager
def no_file_grows():
    """The next bytes that a file would grow by are refused: what a full disk does, without a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def filled(table, count=2000):
    for i in range(count):
        table.put(f"{i}", Noun("x" * 500, i))


def test_a_refused_commit_says_so_and_is_carried_out_when_there_is_space(tmp_path: Path):
    async def main():
        store = Store(tmp_path / "db")
        table = store.table("nouns", Noun)
        await store.ready()
        with no_file_grows():
            filled(table)
            with pytest.raises(StoreError, match="could not commit"):
                await store.commit()
            with pytest.raises(StoreError):
                await store.ready()
        await store.ready()
        assert await store.query("SELECT count(*) FROM records") == [(2000,)]
        await store.close()

    asyncio.run(main())


def test_a_store_on_a_full_disk_can_be_closed_and_opened_again(tmp_path: Path):
    async def main():
        store = Store(tmp_path / "db")
        table = store.table("nouns", Noun)
        table.put("kept", Noun("kept"))
        await store.commit()
        with no_file_grows():
            filled(table)
            with pytest.raises(StoreError):
                await store.close()
        assert not store._writer.is_alive()
        again = Store(tmp_path / "db")
        assert [n.name for n in again.table("nouns", Noun).scan()] == ["kept"]
        await again.close()

    asyncio.run(main())


@pytest.mark.parametrize("value", [1 << 63, "half a pair \ud800"])
def test_what_sqlite_cannot_keep_is_refused_at_once_and_poisons_nothing(tmp_path: Path, value):
    async def main():
        store = Store(tmp_path / "db")
        table = store.table("nouns", Noun)
        with pytest.raises(ValueError, match=r"64 bits|surrogates"):
            store.execute("INSERT INTO lambda_events (id) VALUES (?)", (value,))
        with pytest.raises(ValueError, match="surrogates"):
            table.put("a\ud800", Noun("x"))
        with pytest.raises(ValueError, match="surrogates"):
            table.put("a", Noun("\ud800"))
        assert len(table) == 0
        table.put("good", Noun("good"))
        await store.commit()
        await store.close()

    asyncio.run(main())


def test_a_wrong_statement_breaks_the_store_loudly_and_never_hangs(tmp_path: Path):
    async def main():
        store = Store(tmp_path / "db")
        store.execute("INSERT INTO no_such_table VALUES (1)")
        with pytest.raises(StoreBroken):
            await store.commit()
        with pytest.raises(StoreBroken):
            await store.commit()
        journal = Journal(tmp_path / "journal", store)
        journal.append(1, b"x")
        with pytest.raises(StoreBroken):  # the loop ends, and with it the cloud: a restart helps
            await asyncio.wait_for(journal.run(), 5)
        with pytest.raises(StoreBroken):
            await store.close()

    asyncio.run(main())


def test_a_commit_whose_caller_goes_away_is_carried_out(tmp_path: Path):
    async def main():
        store = Store(tmp_path / "db")
        table = store.table("nouns", Noun)
        table.put("a", Noun("a"))
        task = asyncio.create_task(store.commit())
        await asyncio.sleep(0)
        task.cancel()
        table.put("b", Noun("b"))
        closing = asyncio.gather(store.commit(), store.close())  # in flight while it closes
        await closing

    asyncio.run(main())
    rows = sqlite3.connect(tmp_path / "db").execute("SELECT key FROM records ORDER BY 1").fetchall()
    assert rows == [("a",), ("b",)]


def test_a_loop_that_closes_in_the_middle_of_a_commit_leaves_the_writer_alive(tmp_path: Path):
    stores = []

    async def main():
        store = Store(tmp_path / "db")
        stores.append(store)
        filled(store.table("nouns", Noun), 20_000)
        task = asyncio.create_task(store.commit())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    store = stores[0]
    store._queue.put(None)
    store._writer.join(20)
    assert not store._writer.is_alive()
    assert store.query_now("SELECT count(*) FROM records") == [(20_000,)]
    store._reader.close()
    store._db.close()


def test_data_of_a_newer_version_is_left_alone(tmp_path: Path):
    db = sqlite3.connect(tmp_path / "db")
    db.execute("PRAGMA user_version = 9999")
    db.close()
    with pytest.raises(StoreError, match="newer Cumulo"):
        Store(tmp_path / "db")


def test_a_kill_in_the_middle_of_a_migration_leaves_the_schema_as_it_was(tmp_path: Path):
    asyncio.run(_open_and_close(tmp_path / "db"))
    db = sqlite3.connect(tmp_path / "db", isolation_level=None)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    pid = os.fork()
    if pid == 0:
        mine = sqlite3.connect(tmp_path / "db", isolation_level=None)
        mine.executescript(f"BEGIN; CREATE TABLE half (a); PRAGMA user_version = {version + 1};")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert db.execute("PRAGMA user_version").fetchone() == (version,)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    db.close()


async def _open_and_close(path: Path):
    await Store(path).close()


def test_a_folder_has_one_owner(tmp_path: Path):
    lock = FolderLock(tmp_path)
    with pytest.raises(Locked, match=f"another Cumulo is using {tmp_path}"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


class Counter:
    """An owner of a kind: counts what it was given, and writes it down when it folds."""

    def __init__(self, store: Store) -> None:
        self.store, self.replayed, self.open = store, 0, 0
        self.table = store.table("counts", Noun)

    def replay(self, payload: bytes) -> None:
        self.replayed += 1
        self.open += 1

    def fold(self) -> None:
        have = self.table.get("n")
        self.table.put("n", Noun("n" * 100, (have.size if have else 0) + self.open))
        self.open = 0

    @property
    def total(self) -> int:
        have = self.table.get("n")
        return have.size if have else 0


def opened(tmp_path: Path) -> tuple[Store, Journal, Counter]:
    store = Store(tmp_path / "db")
    journal = Journal(tmp_path / "journal", store)
    counter = Counter(store)
    journal.register(1, replay=counter.replay, fold=counter.fold)
    journal.replay()
    return store, journal, counter


def add(journal: Journal, counter: Counter, size: int = 100) -> bool:
    counter.open += 1
    journal.append(1, b"x" * size)
    return journal.flush()


def test_a_full_disk_makes_flush_say_no_and_nothing_counts_twice(tmp_path: Path):
    async def main():
        store, journal, counter = opened(tmp_path)
        await journal.fold()
        assert add(journal, counter)
        with no_file_grows():
            assert not add(journal, counter)
            assert journal.refuses
            assert not add(journal, counter)
            with pytest.raises((StoreError, OSError)):
                await journal.fold()
            before = sorted(path.name for path in (tmp_path / "journal").iterdir())
            pending = len(store._pending)
            for _ in range(5):
                with pytest.raises((StoreError, OSError)):
                    await journal.fold()
            assert sorted(path.name for path in (tmp_path / "journal").iterdir()) == before
            assert len(store._pending) == pending  # what cannot be kept does not pile up
        await journal.fold()
        assert not journal.refuses
        assert add(journal, counter)
        # The machine's process dies here: the last record is replayed, the folded ones are not.
        await store.commit()
        os.close(journal._fd)
        await store.close()
        store, journal, counter = opened(tmp_path)
        assert counter.replayed == 1
        await journal.fold()
        assert counter.total == 4
        await journal.close()
        await store.close()

    asyncio.run(main())


def test_what_waits_in_memory_is_bounded(tmp_path: Path):
    async def main():
        store, journal, counter = opened(tmp_path)
        with no_file_grows():
            for _ in range(BUFFER_BYTES_MAX // (8 << 20) + 4):
                assert not add(journal, counter, 8 << 20)
                assert sum(map(len, journal._buffer)) <= BUFFER_BYTES_MAX
        assert len(journal._buffer) % 2 == 0
        await journal.close()
        await store.close()

    asyncio.run(main())


def test_a_journal_that_cannot_fold_at_the_end_is_replayed_at_the_next_start(tmp_path: Path):
    async def main():
        store, journal, counter = opened(tmp_path)
        await journal.fold()
        assert add(journal, counter)
        with no_file_grows():
            with pytest.raises((StoreError, OSError)):
                await journal.close()
            with pytest.raises(StoreError):
                await store.close()
        store, journal, counter = opened(tmp_path)
        assert counter.replayed == 1
        await journal.close()
        await store.close()

    asyncio.run(main())


def test_a_second_kill_during_the_replay_changes_nothing(tmp_path: Path):
    async def main():
        store, journal, counter = opened(tmp_path)
        for _ in range(3):
            assert add(journal, counter)
        os.close(journal._fd)
        await store.close()
        for _ in range(4):  # each start replays and dies before it has folded
            store, journal, counter = opened(tmp_path)
            assert counter.replayed == 3
            os.close(journal._fd)
            await store.close()
        store, journal, counter = opened(tmp_path)
        await journal.fold()
        await journal.close()
        assert counter.total == 3
        await store.close()

    asyncio.run(main())


def test_a_fold_that_is_cancelled_counts_once(tmp_path: Path):
    async def main():
        store, journal, counter = opened(tmp_path)
        add(journal, counter)
        task = asyncio.create_task(journal.fold())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close()
        assert counter.total == 1
        assert not list((tmp_path / "journal").iterdir())
        await store.close()

    asyncio.run(main())


def test_a_stray_file_in_the_journal_is_left_alone(tmp_path: Path):
    async def main():
        store, journal, counter = opened(tmp_path)
        add(journal, counter)
        await journal.close()
        (tmp_path / "journal" / "notes.log").write_text("mine")
        await store.close()
        store, journal, counter = opened(tmp_path)
        await journal.close()
        await store.close()
        assert (tmp_path / "journal" / "notes.log").read_text() == "mine"

    asyncio.run(main())


def test_a_full_disk_leaves_no_half_blob(tmp_path: Path):
    from cumulo.state.blobs import Blobs

    blobs = Blobs(tmp_path)
    with no_file_grows(), pytest.raises(OSError, match=r"File too large|No space") as caught:
        blobs.put(b"x" * 1000)
    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
    assert blobs.digests() == []
    assert list((tmp_path / "incoming").iterdir()) == []
    assert blobs.get(blobs.put(b"x" * 1000)) == b"x" * 1000
