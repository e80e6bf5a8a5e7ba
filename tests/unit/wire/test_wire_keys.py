"""Keys: lasting ones survive a restart, sessions are bounded."""

import asyncio
import random

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.state.store import Store
from cumulo.wire import keys as keys_room
from cumulo.wire.keys import Keys


def make(store, clock=None):
    return Keys(store=store, clock=clock or VirtualClock(), ids=Ids())


def test_a_lasting_key_survives_a_restart(tmp_path):
    async def main():
        store = Store(tmp_path / "s.db", synchronous="OFF")
        keys = make(store)
        key = await keys.create("111122223333", "laptop")
        other = await keys.create("444455556666", "ci")
        await store.close()
        store = Store(tmp_path / "s.db", synchronous="OFF")
        keys = make(store)
        assert keys.find(key.access_key) == key
        assert len(key.secret_key) == 40
        assert key.access_key.startswith("AKIA")
        assert len(key.access_key) == 20
        assert keys.list("111122223333") == [key]
        assert sorted(keys.list(), key=str) == sorted([key, other], key=str)
        assert await keys.delete(key.access_key) is True
        assert await keys.delete(key.access_key) is False
        assert keys.find(key.access_key) is None
        await store.close()

    asyncio.run(main())


def test_sessions_that_have_expired_are_dropped(tmp_path):
    async def main():
        store = Store(tmp_path / "s.db", synchronous="OFF")
        clock = VirtualClock()
        keys = make(store, clock)
        first = keys.issue("111122223333", "arn:aws:iam::111122223333:role/r", "one")
        assert first.access_key.startswith("ASIA")
        assert keys.find(first.access_key).role_arn == "arn:aws:iam::111122223333:role/r"
        clock.advance(keys_room.SESSION_SECONDS)
        keys.issue("111122223333", "arn:aws:iam::111122223333:role/r", "two")
        assert keys.find(first.access_key) is None
        await store.close()

    asyncio.run(main())


def test_the_table_of_sessions_is_bounded(tmp_path):
    async def main():
        store = Store(tmp_path / "s.db", synchronous="OFF")
        keys = Keys(store=store, clock=VirtualClock(), ids=Ids(random.Random(1)), sessions_max=3)
        issued = [keys.issue("111122223333", "r", str(number)) for number in range(5)]
        assert [keys.find(one.access_key) is not None for one in issued] == [False, False, True, True, True]
        await store.close()

    asyncio.run(main())
