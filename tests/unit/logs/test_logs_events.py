"""Events: put, get, filter; through folds, kills, retention and compaction."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from cumulo.base.errors import AwsError

DAY = 24 * 3600 * 1000
G = {"logGroupName": "g"}
S = {"logGroupName": "g", "logStreamName": "s"}


def messages(answer):
    return [event["message"] for event in answer["events"]]


async def everything(world, **values):
    found, token = [], {}
    while True:
        answer = await world("FilterLogEvents", logGroupName="g", **values, **token)
        found += answer["events"]
        if "nextToken" not in answer:
            return found
        token = {"nextToken": answer["nextToken"]}


def test_an_event_is_seen_at_once_and_after_the_fold_and_after_a_restart(in_world):
    async def main(world):
        world.put("g", "s", (world.now_ms, "hello"))
        before = await everything(world)
        await world.journal.fold()
        after = await everything(world)
        again = await world.killed()
        restarted = await everything(again)
        await again.close()
        assert before == after == restarted
        assert before[0]["message"] == "hello"
        assert len(before[0]["eventId"]) == 56

    in_world(main)


def test_put_log_events_checks_order_size_and_span(in_world):
    async def main(world):
        await world("CreateLogGroup", **G)
        await world("CreateLogStream", **S)
        t = world.now_ms

        async def put(*events):
            rows = [{"timestamp": at, "message": text} for at, text in events]
            return await world("PutLogEvents", **S, logEvents=rows, sequenceToken="ignored")

        answer = await put((t - 5, "a"), (t, "b"))
        assert answer.keys() == {"nextSequenceToken"}
        with pytest.raises(AwsError, match=r"must be in chronological order"):
            await put((t, "b"), (t - 1, "a"))
        with pytest.raises(AwsError, match=r"Upload too large: 1200052 bytes exceeds limit of 1048576"):
            await put((t, "x" * 600_000), (t, "y" * 600_000))
        with pytest.raises(AwsError, match=r"Log event too large"):
            await put((t, "é" * 600_000))
        with pytest.raises(AwsError, match=r"cannot span more than 24 hours"):
            await put((t - DAY - 1, "a"), (t, "b"))
        assert messages(await world("GetLogEvents", **S)) == ["a", "b"]

    in_world(main)


def test_events_out_of_the_time_window_are_rejected_and_the_rest_is_kept(in_world):
    async def main(world):
        await world("CreateLogGroup", **G)
        await world("CreateLogStream", **S)
        t = world.now_ms
        rows = [(t - 15 * DAY, "old"), (t - 3600_000, "good"), (t + 3 * 3600_000, "new")]
        events = [{"timestamp": at, "message": text} for at, text in rows]
        info = (await world("PutLogEvents", **S, logEvents=events))["rejectedLogEventsInfo"]
        assert info == {"tooNewLogEventStartIndex": 2, "tooOldLogEventEndIndex": 1}
        await world("PutRetentionPolicy", **G, retentionInDays=1)
        rows = [(t - 15 * DAY, "old"), (t - 2 * DAY, "expired"), (t, "good too")]
        events = [{"timestamp": at, "message": text} for at, text in rows]
        info = (await world("PutLogEvents", **S, logEvents=events))["rejectedLogEventsInfo"]
        assert info == {"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 2}
        assert messages(await world("GetLogEvents", **S)) == ["good", "good too"]

    in_world(main)


def test_get_log_events_walks_both_ways_and_stays_at_the_ends(in_world):
    async def main(world):
        t = world.now_ms
        for i in range(10):
            world.put("g", "s", (t + i, str(i)))
            if i % 3 == 0:
                await world.journal.fold()
        latest = await world("GetLogEvents", **S, limit=4)
        assert messages(latest) == ["6", "7", "8", "9"]
        back = await world("GetLogEvents", **S, limit=4, nextToken=latest["nextBackwardToken"])
        assert messages(back) == ["2", "3", "4", "5"]
        back = await world("GetLogEvents", **S, limit=4, nextToken=back["nextBackwardToken"])
        assert messages(back) == ["0", "1"]
        end = await world("GetLogEvents", **S, limit=4, nextToken=back["nextBackwardToken"])
        assert messages(end) == []
        assert end["nextBackwardToken"] == back["nextBackwardToken"]
        forth = await world("GetLogEvents", **S, nextToken=end["nextForwardToken"], startFromHead=True)
        assert messages(forth) == [str(i) for i in range(10)]
        end = await world("GetLogEvents", **S, nextToken=forth["nextForwardToken"], startFromHead=True)
        assert messages(end) == []
        assert end["nextForwardToken"] == forth["nextForwardToken"]
        world.put("g", "s", (t + 11, "new"))
        more = await world("GetLogEvents", **S, nextToken=end["nextForwardToken"], startFromHead=True)
        assert messages(more) == ["new"]
        window = await world("GetLogEvents", **S, startTime=t + 2, endTime=t + 5, startFromHead=True)
        assert messages(window) == ["2", "3", "4"]
        for bad in ("x/1/s", "f/12/s", "f", "f/" + "9" * 56 + "/s"):
            with pytest.raises(AwsError, match=r"The specified nextToken is invalid."):
                await world("GetLogEvents", **S, nextToken=bad)

    in_world(main)


def test_filter_merges_streams_by_time_and_knows_names_prefixes_patterns_and_bounds(in_world):
    async def main(world):
        t = world.now_ms
        for i in range(30):
            world.put("g", f"s{i % 3}", (t + i, f"line {i} {'odd' if i % 2 else 'even'}"))
            if i == 15:
                await world.journal.fold()
        times = [e["timestamp"] for e in await everything(world, limit=7)]
        assert times == [t + i for i in range(30)]
        newest_first = await everything(world, limit=7, startFromHead=False, startTime=t)
        assert [e["timestamp"] for e in newest_first] == times[::-1]
        named = await everything(world, logStreamNames=["s0", "s2"], limit=3)
        assert [e["timestamp"] - t for e in named] == [i for i in range(30) if i % 3 != 1]
        assert len(await everything(world, logStreamNamePrefix="s1")) == 10
        assert await everything(world, logStreamNamePrefix="zzz") == []
        assert len(await everything(world, filterPattern="odd")) == 15
        bounded = await everything(world, startTime=t + 3, endTime=t + 6)
        assert [e["timestamp"] - t for e in bounded] == [3, 4, 5, 6]
        assert len({e["eventId"] for e in await everything(world)}) == 30
        answer = await world("FilterLogEvents", **G)
        assert answer["searchedLogStreams"] == []
        with pytest.raises(AwsError, match=r"Invalid filter pattern"):
            await everything(world, filterPattern="a@b")
        with pytest.raises(AwsError, match=r"InvalidParameterException"):
            await everything(world, logStreamNames=["s0"], logStreamNamePrefix="s")
        with pytest.raises(AwsError, match=r"The specified nextToken is invalid."):
            await everything(world, nextToken="rubbish")

    in_world(main)


def test_a_page_is_at_most_a_megabyte_and_a_large_event_is_read_alone(in_world):
    async def main(world):
        t = world.now_ms
        world.put("g", "s", *[(t + i, str(i) * 400_000) for i in range(5)])
        world.put("g", "s", (t + 9, "z" * 1_500_000))
        await world.journal.fold()
        sizes, token = [], {}
        while True:
            answer = await world("FilterLogEvents", **G, **token)
            sizes.append([len(m) for m in messages(answer)])
            if "nextToken" not in answer:
                break
            token = {"nextToken": answer["nextToken"]}
        assert sizes == [[400_000] * 2, [400_000] * 2, [400_000], [1_500_000]]

    in_world(main)


def test_a_search_that_finds_nothing_ends_its_page_in_time(in_world):
    async def main(world):
        t = world.now_ms
        for i in range(40):
            world.put("g", "s", *[(t + i * 1000 + k, "x" * 100_000) for k in range(10)])
            await world.journal.fold()
        world.put("g", "s", (t + 50_000, "needle"))
        pages, token, found = 0, {}, []
        while True:
            answer = await world("FilterLogEvents", **G, filterPattern="needle", **token)
            pages += 1
            found += messages(answer)
            if "nextToken" not in answer:
                break
            token = {"nextToken": answer["nextToken"]}
        assert found == ["needle"]
        assert pages > 1

    in_world(main)


def test_expired_events_are_hidden_at_once_and_removed_in_time(in_world):
    async def main(world):
        world.put("g", "s", (world.now_ms, "old"))
        await world.journal.fold()
        world.clock.advance(2 * 24 * 3600)
        world.put("g", "s", (world.now_ms, "new"))
        await world.journal.fold()
        assert len(await everything(world)) == 2
        await world("PutRetentionPolicy", **G, retentionInDays=1)
        assert [e["message"] for e in await everything(world)] == ["new"]
        await world.logs.keep_up()
        assert await world.store.query("SELECT count(*) FROM log_chunks") == [(1,)]
        await world("DeleteRetentionPolicy", **G)
        assert [e["message"] for e in await everything(world)] == ["new"]
        assert (await world("DescribeLogGroups"))["logGroups"][0]["storedBytes"] == 29

    in_world(main)


def test_many_small_chunks_become_few_and_hold_the_same(in_world):
    async def main(world):
        t = world.now_ms
        for i in range(70):
            world.put("g", "s", (t + i * 7 % 50, f"line {i}"))
            await world.journal.fold()
        before = await everything(world)
        await world.logs.keep_up()
        assert await world.store.query("SELECT count(*) FROM log_chunks") == [(1,)]
        assert await everything(world) == before

    in_world(main)


def test_compaction_waits_for_readers(in_world):
    async def main(world):
        for i in range(40):
            world.put("g", "s", (world.now_ms + i, "x"))
            await world.journal.fold()
        with world.logs.storage.reading():
            await world.logs.keep_up()
            assert await world.store.query("SELECT count(*) FROM log_chunks") == [(40,)]
        await world.logs.keep_up()
        assert await world.store.query("SELECT count(*) FROM log_chunks") == [(1,)]

    in_world(main)


def test_a_replay_does_not_bring_back_what_was_deleted(in_world):
    async def main(world):
        world.put("g", "s", (1, "deleted with the group"))
        world.put("h", "s", (1, "deleted with the stream"))
        world.put("h", "kept", (1, "kept"))
        world.put("i", "s", (1, "deleted before the group was made again"))
        await world("DeleteLogGroup", logGroupName="g")
        await world("DeleteLogStream", logGroupName="h", logStreamName="s")
        await world("DeleteLogGroup", logGroupName="i")
        await world("CreateLogGroup", logGroupName="i", tags={"new": "yes"})
        world.put("i", "s", (2, "new"))
        world.journal.flush()
        again = await world.killed()
        assert again.replayed > 0
        names = [g["logGroupName"] for g in (await again("DescribeLogGroups"))["logGroups"]]
        assert names == ["h", "i"]
        assert messages(await again("FilterLogEvents", logGroupName="h")) == ["kept"]
        assert messages(await again("FilterLogEvents", logGroupName="i")) == ["new"]
        assert (await again("ListTagsLogGroup", logGroupName="i"))["tags"] == {"new": "yes"}
        await again.close()

    in_world(main)


def test_each_byte_is_metered_once_whatever_is_killed_when(in_world):
    async def main(world):
        records = []
        for round_ in range(12):
            world.put("g", "s", (world.now_ms, "x" * 74))
            if round_ % 2:
                await world.journal.fold()
            if round_ % 3 == 0:
                world.logs.meter()
            world.journal.flush()
            if round_ % 4 == 3:
                records += world.meter.records
                world = await world.killed()
        await world.journal.fold()
        world.logs.meter()
        records += world.meter.records
        assert round(sum(r.quantity for r in records) * 2**30) == 12 * 100
        await world.close()

    in_world(main)


def test_text_that_is_no_unicode_is_kept_as_far_as_it_goes(in_world):
    async def main(world):
        world.put("g", "s", (world.now_ms, "half \ud83d of a pair"))
        await world.journal.fold()
        assert [e["message"] for e in await everything(world)] == ["half ? of a pair"]

    in_world(main)


CHILD = """
    import asyncio, sys
    from pathlib import Path
    from cumulo.base.clock import SystemClock
    from cumulo.base.ids import Ids
    from cumulo.base.ports import LogEvent
    from cumulo.services.logs.service import Logs
    from cumulo.state.journal import Journal
    from cumulo.state.store import Store

    class Meter:
        def record(self, *records): ...

    async def main():
        folder = Path(sys.argv[1])
        store = Store(folder / "db")
        journal = Journal(folder / "journal", store)
        logs = Logs(store, journal, Meter(), SystemClock(), Ids())
        journal.replay()
        folding = asyncio.create_task(journal.run())
        round_, number = sys.argv[2], 0
        while True:
            for _ in range(50):
                logs.append("0", "us-east-1", "g", f"s{number % 7}", [LogEvent(number, f"{round_} {number} {k}") for k in range(3)])
                journal.flush()
                number += 1
            print(number, flush=True)
            await asyncio.sleep(0.001)

    asyncio.run(main())
"""


def test_kill_9_loses_nothing_that_was_flushed_and_doubles_nothing(tmp_path):
    acknowledged = set()
    for round_ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path), str(round_)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(100 + 37 * round_)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().split()
        child.wait()
        child.stdout.close()
        acknowledged |= {f"{round_} {n} {k}" for n in range(int(lines[-1])) for k in range(3)}
    found = read_all(tmp_path)
    assert len(found) == len(set(found)), "doubled"
    assert acknowledged <= set(found), "lost"


def read_all(folder):
    import asyncio

    from cumulo.base.clock import SystemClock
    from cumulo.services.logs.reading import Query, read_page
    from cumulo.services.logs.storage import Storage
    from cumulo.state.journal import Journal
    from cumulo.state.store import Store

    async def main():
        store = Store(folder / "db")
        journal = Journal(folder / "journal", store)
        storage = Storage(store, journal, SystemClock())
        journal.replay()
        (group,) = storage.groups.scan()
        found, query = [], Query(group=group)
        while True:
            page = await read_page(storage, query)
            found += [f.event.message for f in page.found]
            if page.resume is None:
                break
            query = Query(group=group, after=page.resume)
        await journal.close()
        await store.close()
        return found

    return asyncio.run(main())


def test_two_rounds_of_upkeep_at_once_double_nothing(in_world):
    async def main(world):
        for i in range(40):
            world.put("g", "s", (world.now_ms + i, str(i)))
            await world.journal.fold()
        await asyncio.gather(world.logs.keep_up(), world.logs.keep_up())
        assert [e["message"] for e in await everything(world)] == [str(i) for i in range(40)]

    in_world(main)
