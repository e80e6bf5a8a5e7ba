"""Events leave the outbox side by side, and in order where they are about the same."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.state.outbox import LANES_AT_ONCE, Outbox
from cumulo.state.store import Store


class Bus:
    """Holds every event until `may` is set; `down` is what it refuses for now."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.at_once = 0
        self.most = 0
        self.heard: list[tuple[str, int]] = []
        self.down: set[str] = set()

    async def listens(self, account: str, region: str) -> bool:
        return True

    async def put(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
        *,
        at: float | None = None,
    ) -> None:
        assert (account, region, source, detail_type) == ("1", "eu-west-1", "aws.test", "Said")
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.may.wait()
        self.at_once -= 1
        if detail["about"] in self.down:
            raise AwsError("InternalFailure", "later", status=500)
        self.heard.append((detail["about"], detail["n"]))


def an_outbox(folder: Path, bus: Bus) -> tuple[Outbox, Store]:
    store = Store(folder / "db", synchronous="OFF")
    return Outbox(store, VirtualClock(), bus, source="aws.test", table="test_outbox"), store


def say(outbox: Outbox, about: str, n: int) -> None:
    outbox.send(("1", "eu-west-1"), "Said", {"about": about, "n": n}, lane=about)


def test_many_things_are_told_side_by_side_each_in_order(tmp_path: Path) -> None:
    async def story() -> None:
        bus = Bus()
        outbox, store = an_outbox(tmp_path, bus)
        for n in range(3):
            for about in range(100):
                say(outbox, str(about), n)
        delivering = asyncio.create_task(outbox.deliver())
        while bus.at_once < LANES_AT_ONCE:  # noqa: ASYNC110 - the next turn of the loop
            await asyncio.sleep(0)
        bus.may.set()
        assert await delivering
        assert bus.most == LANES_AT_ONCE
        assert len(bus.heard) == 300
        for about in range(100):
            assert [n for said, n in bus.heard if said == str(about)] == [0, 1, 2]
        await store.close()

    asyncio.run(story())


def test_what_cannot_be_told_holds_up_only_its_own_and_is_there_after_a_kill(tmp_path: Path) -> None:
    async def story() -> None:
        bus = Bus()
        bus.may.set()
        bus.down = {"b"}
        outbox, store = an_outbox(tmp_path, bus)
        for n in range(2):
            for about in "abc":
                say(outbox, about, n)
        assert not await outbox.deliver()
        assert sorted(bus.heard) == [("a", 0), ("a", 1), ("c", 0), ("c", 1)]
        await store.close()
        bus.down, bus.heard = set(), []
        outbox, store = an_outbox(tmp_path, bus)
        assert len(outbox) == 2
        assert await outbox.deliver()
        assert bus.heard == [("b", 0), ("b", 1)]
        await store.close()

    asyncio.run(story())
