"""Builds the local engine with all that it needs: images, layers, networks, programs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from cumulo.base.clock import SystemClock
from cumulo.base.log import Log
from cumulo.engines.engine import EngineError, Finding
from cumulo.engines.local import probe
from cumulo.engines.local.engine import LocalEngine
from cumulo.engines.local.network import LocalNetwork
from cumulo.engines.local.network_records import Records
from cumulo.engines.local.opening import RUN, open_engine
from cumulo.engines.oci.credentials import find_login
from cumulo.engines.oci.registry import Registry
from cumulo.engines.oci.store import ImageStore

NETWORKS = Path("/run/cumulo/nets")  # emptied by a reboot, which takes the networks themselves
_log = Log("pods")


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
    network = LocalNetwork(instance, NETWORKS / instance, seen.nft, data=data)
    engine = await open_engine(
        data=data,
        images=images,
        layers=images,
        network=network,
        clock=clock,
        tools=seen.tools,
        instance=instance,
        closing=images.close,
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
        if data is None or data.exists() or (run / folder.name).exists():
            continue
        try:
            await LocalNetwork(folder.name, folder, nft).end()
            ended.append(folder.name)
        except (EngineError, OSError) as error:
            _log.warning("networks of deleted pods stay", instance=folder.name, error=str(error))
    return ended
