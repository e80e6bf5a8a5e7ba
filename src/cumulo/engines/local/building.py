"""Builds the local engine with all that it needs: images, layers, networks, programs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from cumulo.base.clock import SystemClock
from cumulo.engines.engine import EngineError, Finding
from cumulo.engines.local import probe
from cumulo.engines.local.engine import LocalEngine
from cumulo.engines.local.network import LocalNetwork
from cumulo.engines.local.opening import open_engine
from cumulo.engines.oci.credentials import find_login
from cumulo.engines.oci.registry import Registry
from cumulo.engines.oci.store import ImageStore

NETWORKS = Path("/run/cumulo/nets")  # emptied by a reboot, which takes the networks themselves


class Unusable(EngineError):
    """This machine lacks what the findings name."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{one.detail}{f' ({one.fix})' if one.fix else ''}" for one in findings))
        self.findings = findings


async def open_local(data: Path, instance: str) -> LocalEngine:
    """The engine of a data folder, which no other engine may have open.  Unusable, EngineError."""
    seen = await asyncio.to_thread(probe.look, data)
    if seen.tools is None:
        raise Unusable([finding for finding in seen.probe.findings if not finding.ok])
    clock = SystemClock()
    opened: list[LocalEngine] = []
    images = ImageStore(
        data / "images",
        clock=clock,
        registry=lambda login: Registry(login, clock=clock, find_login=find_login),
        in_use=lambda image: any(image in engine.images_in_use() for engine in opened),
    )
    engine = await open_engine(
        data=data,
        images=images,
        layers=images,
        network=LocalNetwork(instance, NETWORKS / instance, seen.nft),
        clock=clock,
        tools=seen.tools,
        instance=instance,
        closing=images.close,
    )
    opened.append(engine)
    try:
        await images.start()
    except BaseException:
        await engine.close()
        raise
    return engine
