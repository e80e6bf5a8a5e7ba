"""The engine of a cloud, opened when it is first needed, and the containers that are the cloud's own business."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cumulo.base.caller import Caller
from cumulo.base.folders import instance_of
from cumulo.base.ids import Ids
from cumulo.base.log import Log
from cumulo.engines.engine import EngineError
from cumulo.engines.images import Image
from cumulo.engines.one_shot import OneShots
from cumulo.engines.opening import open_and_explain
from cumulo.engines.slot import EngineSlot, LateLauncher, plausible, why_implausible
from cumulo.services.ecr.house import EcrHouse
from cumulo.settings import Settings

CLOUD_PORT_INSIDE = 4566  # where a function in a container finds the cloud
_log = Log("engine")


class EngineRoom:
    """What a cloud has of engines.

    slot        the engine, once somebody needs it
    containers  runs functions in images on it
    shots       runs what `cumulo image run` asks for
    ecr         gives the registry, which is built later
    """

    def __init__(self, settings: Settings, data: Path, ids: Ids, ecr: Callable[[], EcrHouse]) -> None:
        self._settings = settings
        self._folder = data / "engine"
        self._ecr = ecr
        self.slot = EngineSlot(
            partial(open_and_explain, settings.engine, data=self._folder, instance=instance_of(data))
        )
        self.containers = LateLauncher(
            self.slot, folder=self._folder / "scratch", cloud_port=CLOUD_PORT_INSIDE
        )
        self.shots = OneShots(self.slot.get, self._pull, ids)

    async def open_if_named(self) -> None:
        """Open the engine that was asked for by name: who names one wants to hear now that it cannot run."""
        if self._settings.engine in ("local", "docker"):
            await self.slot.get()

    async def take_up(self) -> None:
        """Adopt the containers of an earlier process, and end those that should not have outlived it."""
        if not any(self._folder.glob("pods/*")) and not self.containers.left_something:
            return
        try:
            await self.containers.open()
            await self.shots.reap()
        except EngineError as error:
            _log.warning("containers of an earlier process are out of reach", error=str(error))

    def why_no_functions(self) -> str:
        """Why functions from images cannot run here; empty when they can."""
        if plausible(self._settings.engine):
            return self.slot.why_no_functions()
        return why_implausible(self._settings.engine)

    async def _pull(self, uri: str) -> Image:
        """The image that somebody at this machine names: `app` and `app:1` are ours when there is such a repository."""
        ecr = self._ecr()
        caller = Caller(account=self._settings.account, region=self._settings.region)
        found = await ecr.resolver.resolve(caller, ecr.spelled(caller, uri))
        engine = await self.slot.get()
        return await engine.images.pull(found.reference, source=found.source, only_missing=True)
