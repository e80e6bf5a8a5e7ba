"""Work that many want at once is done once, for as long as somebody wants it."""

import asyncio

import pytest

from cumulo.engines.oci.flights import Flights


def test_many_share_one_outcome_and_later_ones_do_not():
    async def main():
        flights: Flights[int] = Flights()
        begun = 0
        gate = asyncio.Event()

        async def work() -> int:
            nonlocal begun
            begun += 1
            await gate.wait()
            return begun

        several = [asyncio.ensure_future(flights.join("key", work)) for _ in range(20)]
        other = asyncio.ensure_future(flights.join("other", work))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        several[0].cancel()  # one leaves: the others do not notice
        gate.set()
        outcomes = await asyncio.gather(*several, other, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert outcomes[1:] == [2] * 20
        assert await flights.join("key", work) == 3
        assert not flights.has("key")

    asyncio.run(main())


def test_a_failure_is_everybodys_and_is_not_kept():
    async def main():
        flights: Flights[int] = Flights()

        async def fails() -> int:
            await asyncio.sleep(0)
            raise ValueError("no")

        async def works() -> int:
            return 1

        outcomes = await asyncio.gather(
            *(flights.join("key", fails) for _ in range(3)), return_exceptions=True
        )
        assert [type(one) for one in outcomes] == [ValueError] * 3
        assert await flights.join("key", works) == 1

    asyncio.run(main())


def test_what_nobody_waits_for_is_given_up_and_cleans_up_before_the_close():
    async def main():
        flights: Flights[None] = Flights()
        told = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                told.append("cleaned up")

        waiting = [asyncio.ensure_future(flights.join("key", work)) for _ in range(2)]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        for one in waiting:
            with pytest.raises(asyncio.CancelledError):
                await one
        assert not flights.has("key")
        await flights.close()
        assert told == ["cleaned up"]

    asyncio.run(main())
