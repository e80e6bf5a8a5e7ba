"""Builds the local engine with all that it needs: images, layers, networks, programs."""

import asyncio
from pathlib import Path

from cumulo.base.clock import SystemClock
from cumulo.engines.engine import EngineError
from cumulo.engines.local import probe
from cumulo.engines.local.engine import LocalEngine
from cumulo.engines.local.network import LocalNetwork
from cumulo.engines.local.opening import open_engine
from cumulo.engines.oci.credentials import find_login
from cumulo.engines.oci.registry import Registry
from cumulo.engines.oci.store import ImageStore

NETWORKS = Path("/run/cumulo/nets")  # emptied by a reboot, which takes the networks themselves


async def open_local(data: Path, instance: str) -> LocalEngine:
    """The engine of a data folder, which no other engine may have open.  EngineError says what this machine lacks."""
    seen = await asyncio.to_thread(probe.look, data)
    if seen.tools is None:
        raise EngineError("; ".join(_told(seen)))
    clock = SystemClock()
    opened: list[LocalEngine] = []
    images = ImageStore(
        data / "images",
        clock=clock,
        registry=lambda login: Registry(login, clock=clock, find_login=find_login),
        in_use=lambda image: any(image in engine.images_in_use() for engine in opened),
    )
    network = LocalNetwork(instance, NETWORKS / instance, seen.nft)
    engine = await open_engine(
        data=data,
        images=images,
        layers=images,
        network=network,
        clock=clock,
        tools=seen.tools,
        instance=instance,
    )
    opened.append(engine)
    await images.start()
    return engine


def _told(seen: probe.Seen) -> list[str]:
    return [
        f"{finding.detail}{f' ({finding.fix})' if finding.fix else ''}"
        for finding in seen.probe.findings
        if not finding.ok
    ]
