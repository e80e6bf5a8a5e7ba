"""Addresses of the machine's own that nobody has any more, because a kill came between."""

import asyncio
from pathlib import Path

from tests.containers_kit import a_cloud, needs_local
from tests.leftovers import leftovers
from tests.support import until

from cumulo.base.folders import instance_of
from cumulo.engines.local.building import NETWORKS
from cumulo.engines.opening import open_engine

pytestmark = needs_local
GONE = "elb-0123456789abcdef"


def test_the_address_of_a_load_balancer_that_is_gone_is_given_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()

    async def given() -> None:
        """As a cloud leaves it that was killed after it had forgotten the load balancer."""
        engine = await open_engine("local", data=data / "engine", instance=instance_of(data))
        await engine.host_address(GONE)
        await engine.close()

    asyncio.run(given())
    assert leftovers(data)
    (data / "compute").touch()  # load balancing was used before
    record = NETWORKS / instance_of(data) / "hosts"
    with a_cloud(data):  # at its end nothing is left
        until(lambda: not record.exists() or GONE not in record.read_text(), "the address is given back", 20)
