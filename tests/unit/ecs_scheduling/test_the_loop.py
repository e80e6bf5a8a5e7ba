"""The loop by itself: it wakes for changes and for moments, and looks at nothing else."""

import asyncio
import contextlib

from scheduling_kit import World

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.services.ecs.scheduling.facts import Pace
from cumulo.services.ecs.scheduling.wakes import Wakes


async def until(shelf, condition):
    """Wait for a condition that changes of a shelf bring about."""
    changed = asyncio.Event()
    shelf.listeners.append(lambda before, after: changed.set())
    while not condition():
        changed.clear()
        await asyncio.wait_for(changed.wait(), 10)


def test_the_running_loop_brings_a_service_to_its_steady_state_and_back_after_a_crash(tmp_path):
    async def body():
        it = World(tmp_path, pace=Pace(settle_seconds=0.01))
        await it.store.close()
        it.clock = SystemClock()
        it.open()
        loop = asyncio.ensure_future(it.scheduler.run())
        try:
            await it.create(desiredCount=2)
            await until(it.records.tasks, lambda: len(it.coming()) == 2)
            for task in it.coming():
                it.begin(task)
            primary = it.book.primary(it.records.services.all()[0].arn)
            await until(
                it.book.deployments, lambda: it.book.find(primary.service_arn, primary.id).completed_at > 0
            )
            it.crash(it.running()[0])
            await until(it.records.tasks, lambda: len(it.coming()) == 1)
            await it.delete(force=True)
            await until(it.records.tasks, lambda: not it.wanted())
        finally:
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop
            await it.store.close()

    asyncio.run(body())


def test_a_steady_service_is_not_looked_at_again(tmp_path):
    async def body():
        it = World(tmp_path)
        try:
            await it.steady()
            assert await it.work() == 0
            assert await it.work(3600) == 0
            assert await it.work(6 * 3600) == 1  # to say again that it is steady
        finally:
            await it.store.close()

    asyncio.run(body())


def test_a_deleted_service_is_shown_for_an_hour(tmp_path):
    async def body():
        it = World(tmp_path)
        try:
            await it.steady()
            await it.delete(force=True)
            await it.flow(rounds=1)
            await it.work(3000)
            assert (await it.describe())["status"] == "INACTIVE"
            await it.reopen()
            await it.work(700)
            assert (len(it.records.services), len(it.book.deployments), len(it.book.events)) == (0, 0, 0)
        finally:
            await it.store.close()

    asyncio.run(body())


def test_a_key_waits_once_and_is_in_work_once():
    async def body():
        wakes = Wakes(VirtualClock())
        wakes.wake("a")
        wakes.wake("a")
        wakes.wake("b")
        assert [wakes.due(), wakes.due(), wakes.due()] == ["a", "b", None]
        wakes.wake("a")
        assert wakes.due() is None  # it is in work
        wakes.done("a", float("inf"))
        assert wakes.due() == "a"

    asyncio.run(body())


def test_an_alarm_rings_once_at_the_latest_moment_that_was_set():
    async def body():
        clock = VirtualClock()
        wakes = Wakes(clock)
        for seconds in (5, 20):
            wakes.wake("a")
            assert wakes.due() == "a"
            wakes.done("a", clock.now() + seconds)
        clock.advance(10)
        assert wakes.due() is None
        clock.advance(10)
        assert wakes.due() == "a"
        wakes.forget("a")
        wakes.done("a", float("inf"))
        assert wakes.due() is None
        assert wakes.next_alarm() is None

    asyncio.run(body())


def test_alarms_that_were_set_anew_do_not_pile_up():
    async def body():
        clock = VirtualClock()
        wakes = Wakes(clock)
        for number in range(1000):
            wakes.wake("a")
            assert wakes.due() == "a"
            wakes.done("a", clock.now() + 10_000 + number)
        assert len(wakes._heap) < 100
        clock.advance(10_998)
        assert wakes.due() is None
        clock.advance(1)
        assert wakes.due() == "a"

    asyncio.run(body())
