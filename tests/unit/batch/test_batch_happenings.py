"""What EventBridge is told of jobs."""

import asyncio
from typing import Any

import pytest
from tests.batch_run_kit import FakeRunner, House

from cumulo.base.clock import VirtualClock
from cumulo.services.batch.happenings import FEW, Happenings


class Bus:
    def __init__(self, *, listens: bool = True) -> None:
        self.told: list[tuple[str, str, str]] = []
        self._listens = listens

    async def put(
        self, _account: str, _region: str, source: str, kind: str, detail: Any, _resources: Any, *, at: float
    ) -> None:
        assert source == "aws.batch"
        assert at > 0
        self.told.append((kind, str(detail["jobId"]), str(detail["status"])))

    async def listens(self, _account: str, _region: str) -> bool:
        return self._listens


def told(
    tmp_path, bus: Bus, *jobs: dict[str, Any], expected: int = 0, known: bool = True
) -> list[tuple[str, str, str]]:
    """What the bus is told while these are submitted, to a cloud that has no room."""

    async def live() -> None:
        async with House(tmp_path, FakeRunner(), VirtualClock()) as it:
            it.room = (0.0, 0)
            happenings = Happenings(it.records, it.definitions, it.clock, bus, may_listen=lambda: known)
            it.desk.listeners.append(happenings.heard)
            task = asyncio.get_running_loop().create_task(happenings.run())
            for job in jobs:
                await it.submit(**job)
            async with asyncio.timeout(10):
                while len(bus.told) < expected:
                    await happenings.outbox.deliver()
                    await asyncio.sleep(0)
            await happenings.outbox.deliver()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(live())
    return bus.told


def test_a_coming_is_no_event_and_every_step_is_one(tmp_path) -> None:
    found = told(tmp_path, Bus(), {"name": "one"}, expected=1)
    assert found == [("Batch Job State Change", "one", "RUNNABLE")]


def test_nothing_is_written_where_nobody_can_listen(tmp_path) -> None:
    assert told(tmp_path, Bus(), {"name": "one"}, known=False) == []


@pytest.mark.parametrize("size", [3, FEW + 50])
def test_children_are_told_of_one_by_one_few_or_many(tmp_path, size: int) -> None:
    array = {"name": "p", "array_size": size, "counts": {"SUBMITTED": size}}
    found = told(tmp_path, Bus(), array, expected=2 * size)  # PENDING, too
    runnable = [job for _, job, status in found if status == "RUNNABLE"]
    assert runnable == [f"p:{number}" for number in range(size)]


def test_many_children_cost_nothing_while_nobody_listens(tmp_path) -> None:
    size = FEW + 50
    found = told(
        tmp_path, Bus(listens=False), {"name": "p", "array_size": size, "counts": {"SUBMITTED": size}}
    )
    assert found == []
