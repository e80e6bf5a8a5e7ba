"""A cluster's capacity and nothing else."""

import asyncio

import pytest
from capacity_kit import World


@pytest.fixture
def run(tmp_path):
    """Run an async test with a world of its own, in which there is a cluster `web`."""

    def go(test, world=World):
        async def whole():
            made = world(tmp_path)
            made.cluster()
            await made.store.commit()
            try:
                await test(made)
            finally:
                await made.store.close()

        asyncio.run(whole())

    return go
