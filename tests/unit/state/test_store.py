"""The store, the journal and the blobs."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from cumulo.state.blobs import Blobs
from cumulo.state.journal import Journal
from cumulo.state.store import Store, join_key


class Noun(msgspec.Struct, frozen=True):
    name: str
    size: int = 0


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path):
    async def first():
        store = Store(tmp_path / "db")
        table = store.table("nouns", Noun)
        table.put(join_key("a", "x"), Noun("x", 1))
        table.put(join_key("a", "y"), Noun("y", 2))
        table.delete(join_key("a", "y"))
        await store.commit()
        await store.close()

    async def second():
        store = Store(tmp_path / "db")
        rows = store.table("nouns", Noun).scan(join_key("a", ""))
        await store.close()
        return rows

    asyncio.run(first())
    assert asyncio.run(second()) == [Noun("x", 1)]


def test_commits_of_one_turn_share_a_transaction(tmp_path: Path):
    async def main():
        store = Store(tmp_path / "db")
        table = store.table("nouns", Noun)

        async def write(i: int):
            table.put(str(i), Noun(str(i), i))
            await store.commit()

        await asyncio.gather(*(write(i) for i in range(500)))
        found = await store.query("SELECT count(*) FROM records")
        await store.close()
        return found

    assert asyncio.run(main()) == [(500,)]


def test_the_journal_replays_exactly_what_was_not_folded(tmp_path: Path):
    seen: list[bytes] = []

    async def first():
        store = Store(tmp_path / "db")
        journal = Journal(tmp_path / "journal", store)
        journal.register(1, replay=seen.append, fold=lambda: None)
        journal.append(1, b"folded")
        await journal.fold()
        journal.append(1, b"kept")
        journal.append(1, b"too")
        journal.flush()
        journal.append(1, b"never flushed")
        await store.close()

    async def second():
        store = Store(tmp_path / "db")
        journal = Journal(tmp_path / "journal", store)
        journal.register(1, replay=seen.append, fold=lambda: None)
        count = journal.replay()
        await journal.fold()
        await journal.close()
        await store.close()
        return count

    asyncio.run(first())
    assert asyncio.run(second()) == 2
    assert seen == [b"kept", b"too"]
    assert not list((tmp_path / "journal").glob("*.log"))


def test_a_torn_record_ends_the_replay(tmp_path: Path):
    seen: list[bytes] = []

    async def main(*, tear: bool):
        store = Store(tmp_path / "db")
        journal = Journal(tmp_path / "journal", store)
        journal.register(1, replay=seen.append, fold=lambda: None)
        journal.replay()
        journal.append(1, b"whole")
        journal.append(1, b"torn" * 100)
        journal.flush()
        await store.close()
        if tear:
            (path,) = (tmp_path / "journal").glob("*.log")
            path.write_bytes(path.read_bytes()[:-7])

    asyncio.run(main(tear=True))
    asyncio.run(main(tear=False))
    assert seen == [b"whole"]


def test_a_blob_is_found_by_its_digest(tmp_path: Path):
    blobs = Blobs(tmp_path)
    digest = blobs.put(b"hello")
    assert blobs.get(digest) == b"hello"
    assert blobs.digests() == [digest]
    blobs.delete(digest)
    with pytest.raises(FileNotFoundError):
        blobs.get(digest)
