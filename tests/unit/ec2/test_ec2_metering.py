"""What an instance has used is kept with the instance itself, so that a kill neither loses nor doubles any of it."""

import asyncio

from ec2_kit import World

from cumulo.meter.meter import Meter
from cumulo.meter.pricebook import PriceBooks
from cumulo.services.ec2.records import Records
from cumulo.state.journal import Journal
from cumulo.state.store import Store

KIND = "t3.micro"


class Metered(World):
    """With the real meter in the same store."""

    def open(self):
        self.used = self
        super().open()
        self.journal = Journal(self.path / "journal", self.store)
        self.meter = Meter(self.store, self.journal, self.clock, PriceBooks())

    def keep(self, *records):
        self.meter.keep(*records)


async def on_disk(path):
    """Seconds on the bill, and seconds up to which the instances say that they are: as a new process would find it."""
    store = Store(path / "store.db")
    try:
        (found,) = await store.query("SELECT COALESCE(SUM(quantity) / scale, 0) FROM usage")
        return found[0], sum(one.metered_at - one.started_at for one in Records(store).all())
    finally:
        await store.close()


def test_at_every_kill_the_bill_and_the_instance_agree(tmp_path):
    async def story():
        world = Metered(tmp_path)
        try:
            (id_,) = await world.run()
            world.clock.advance(1000)
            assert await on_disk(tmp_path) == (0, 0)
            charged = world.house._meter.charge(world.house._records.get(id_))
            world.house._records.put(charged)
            assert await on_disk(tmp_path) == (0, 0)  # killed before the commit
            await world.store.commit()
            assert await on_disk(tmp_path) == (1000, 1000)
            world.clock.advance(500)
            await world.house.close()
            assert await on_disk(tmp_path) == (1500, 1500)
            world.clock.advance(20)
            await world.change("TerminateInstances", id_, "terminated")
            assert await on_disk(tmp_path) == (1520, 0)  # the instance is forgotten
        finally:
            await world.journal.close()
            await world.store.close()

    asyncio.run(story())
