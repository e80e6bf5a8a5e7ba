"""Builds the local engine with all that it needs: images, layers, networks, programs."""

import asyncio
from pathlib import Path

from cumulo.base.clock import SystemClock
from cumulo.base.log import Log
from cumulo.engines.engine import EngineError
from cumulo.engines.local import probe
from cumulo.engines.local.engine import LocalEngine
from cumulo.engines.local.network import LocalNetwork
from cumulo.engines.local.network_records import Records
from cumulo.engines.local.opening import RUN, instance_of, open_engine
from cumulo.engines.oci.store import ImageStore

NETWORKS = Path("/run/cumulo/nets")  # emptied by a reboot, which takes the networks themselves
_log = Log("pods")


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
        in_use=lambda image: any(image in engine.images_in_use() for engine in opened),
    )
    network = LocalNetwork(instance, NETWORKS / instance, seen.nft, data=data)
    engine = await open_engine(
        data=data, images=images, layers=images, network=network, clock=clock, tools=seen.tools
    )
    opened.append(engine)
    try:
        await end_forsaken(NETWORKS, RUN, seen.nft)
        await images.start()
    except BaseException:
        await engine.close()
        raise
    return engine


async def end_forsaken(networks: Path, run: Path, nft: str) -> list[str]:
    """Remove networks of pods whose data were deleted; their instances.

    Opening an engine has ended such pods (forsaken.py).  Those whose folder below `run` is still there have a server.
    """
    ended = []
    for folder in sorted(await asyncio.to_thread(lambda: list(networks.glob("*/")))):
        data = Records(folder).data()
        if data is None or data.exists() or (run / instance_of(data)).exists():
            continue
        try:
            await LocalNetwork(folder.name, folder, nft).end()
            ended.append(folder.name)
        except (EngineError, OSError) as error:
            _log.warning("networks of deleted pods stay", instance=folder.name, error=str(error))
    return ended


def _told(seen: probe.Seen) -> list[str]:
    return [
        f"{finding.detail}{f' ({finding.fix})' if finding.fix else ''}"
        for finding in seen.probe.findings
        if not finding.ok
    ]
