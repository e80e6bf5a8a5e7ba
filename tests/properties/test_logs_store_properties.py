"""The store of events against a plain list, through random appends, folds, restarts, compaction and pages."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.base.ports import LogEvent
from cumulo.services.logs import upkeep
from cumulo.services.logs.model import Event
from cumulo.services.logs.reading import Query, read_page
from cumulo.services.logs.service import Logs
from cumulo.state.journal import Journal
from cumulo.state.store import Store

T = 1_800_000_000_000


class NoMeter:
    def record(self, *records):
        pass


class World:
    def __init__(self, folder):
        self.folder = folder
        self.store = Store(folder / "db", synchronous="OFF")
        self.journal = Journal(folder / "journal", self.store)
        self.logs = Logs(self.store, self.journal, NoMeter(), VirtualClock(T / 1000), Ids())
        self.journal.replay()

    async def close(self):
        await self.journal.close()
        await self.store.close()


times = st.integers(0, 40).map(lambda i: T + i * 400_000)  # beyond a chunk's span, with many equal ones
appends = st.tuples(st.just("append"), st.sampled_from("pqr"), st.lists(times, min_size=1, max_size=6))
steps = st.one_of(
    appends,
    appends,
    appends,
    st.tuples(st.sampled_from(["fold", "kill", "compact", "restart"])),
    st.tuples(st.just("delete"), st.sampled_from("pqr")),
    st.tuples(
        st.just("read"),
        st.integers(1, 7),
        st.booleans(),
        st.sampled_from([None, ("p",), ("q", "r"), "p"]),
        st.one_of(st.none(), st.tuples(times, times)),
        st.sampled_from([0, 1 << 40]),
    ),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, max_size=25))
def test_reading_gives_what_a_sorted_list_gives(actions):
    root = Path(tempfile.mkdtemp())
    try:
        asyncio.run(play(root, actions))
    finally:
        shutil.rmtree(root)


async def play(root, actions):
    (root / "0").mkdir()
    world, model, number = World(root / "0"), [], 1
    actions = [*actions, ("read", 3, True, None, None, 1 << 40), ("read", 3, False, None, None, 0)]
    for step, (action, *rest) in enumerate(actions, 1):
        if action == "append":
            stream, moments = rest
            world.logs.append("1", "r", "g", stream, [LogEvent(t, f"{step}") for t in moments])
            world.journal.flush()
            model += [(Event(t, number + i, T, f"{step}"), stream) for i, t in enumerate(moments)]
            number += len(moments)
        elif action == "fold":
            await world.journal.fold()
        elif action == "kill":
            shutil.copytree(world.folder, root / str(step))
            await world.close()
            world = World(root / str(step))
        elif action == "restart":
            await world.close()
            world = World(world.folder)
        elif action == "compact":
            world.store.execute("UPDATE log_streams SET small = 40")
            await world.store.commit()
            await upkeep.compact(world.logs.storage)
        elif action == "delete" and world.logs.storage.groups.scan():
            (group,) = world.logs.storage.groups.scan()
            world.logs.storage.drop_stream(group, rest[0])
            await world.store.commit()
            world.journal.flush()
            model = [row for row in model if row[1] != rest[0]]
            await upkeep.sweep(world.logs.storage)
        elif action == "read" and world.logs.storage.groups.scan():
            await compare(world, model, *rest)
    await world.close()


async def compare(world, model, limit, forward, which, window, scan_bytes_max):
    (group,) = world.logs.storage.groups.scan()
    low, high = sorted(window) if window else (0, 1 << 50)
    query = Query(
        group=group,
        limit=limit,
        forward=forward,
        streams=which if isinstance(which, tuple) else None,
        prefix=which if isinstance(which, str) else "",
        start_ms=low,
        end_ms=high,
        scan_bytes_max=scan_bytes_max,
    )
    wanted = [row for row in model if low <= row[0].time_ms <= high and (which is None or row[1] in which)]
    found, after = [], None
    for _ in range(1000):
        import msgspec

        page = await read_page(world.logs.storage, msgspec.structs.replace(query, after=after))
        assert len(page.found) <= limit
        found += page.found
        after = page.resume
        if after is None:
            break
    assert found == sorted(wanted, reverse=not forward)
