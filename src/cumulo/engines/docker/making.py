"""Pods made whole or not at all, and taken away: a sequence of Docker's steps that may break off at any of them.

    create:  volumes, infra container, containers, start of infra (from here on the pod is whole)
    clear:   containers, infra container, the pod's own folders

What broke off is no pod: nobody is shown it, and it is swept away by the next create of that name, by the next verb
after the daemon is back, and when an engine opens.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from cumulo.engines.docker import answers, names, pause, requests
from cumulo.engines.docker.api import Api, DockerError, Unreachable
from cumulo.engines.engine import EngineError, NetworkMode, NoSuchPod, PodSpec, PodStatus, StartFailed
from cumulo.engines.images import Config
from cumulo.engines.manifests import config_of

_REMOVAL_SECONDS = 60.0


class Maker:
    """Makes and clears pods of one instance."""

    def __init__(self, api: Api, instance: str, *, log_driver: str, architecture: str) -> None:
        self._api = api
        self._instance = instance
        self._log_driver = log_driver
        self._architecture = architecture
        self._prepared = False
        self._preparing = asyncio.Lock()
        self._doubtful: set[str] = set()  # pods that broke off and could not be cleared

    async def find(self, pod: str) -> PodStatus:
        """A whole pod.  NoSuchPod also for what is not whole."""
        infra = await self.inspect(names.infra(self._instance, pod))
        spec = answers.spec_of(infra) if infra is not None else None
        if infra is None or spec is None or not answers.is_whole(infra, spec):
            raise NoSuchPod(f"there is no pod {pod}")
        found = await asyncio.gather(
            *(self.inspect(names.container(self._instance, pod, c.name)) for c in spec.containers)
        )
        statuses = {}
        for container, said in zip(spec.containers, found, strict=True):
            if said is None:
                raise NoSuchPod(f"there is no whole pod {pod}: its container {container.name} is gone")
            statuses[container.name] = answers.container_status(container.name, said)
        return answers.pod_status(self._instance, infra, spec, statuses)

    async def inspect(self, container: str) -> dict[str, Any] | None:
        """A container by its name or id; None when there is none."""
        try:
            found: dict[str, Any] = await self._api.call("GET", f"/containers/{container}/json")
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        return found

    async def names(self) -> list[str]:
        """The names of all pods, also of those that are not whole."""
        rows = await self._rows(names.filters(self._instance, names.SPEC))
        return sorted({row["Labels"][names.POD] for row in rows})

    async def _rows(self, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._api.call(
            "GET", "/containers/json", all=True, filters=filters
        )
        return found

    async def create(self, spec: PodSpec) -> PodStatus:
        """Make it, or leave nothing."""
        requests.check(spec)
        await self.prepare()
        await self.clear(spec.name)
        configs = await asyncio.gather(*(self._config(c.image) for c in spec.containers))
        try:
            for body in requests.volumes(self._instance, spec):
                await self._api.call("POST", "/volumes/create", body)
            await self._create_containers(spec, configs)
            if spec.network is not NetworkMode.HOST:
                await self.start(names.infra(self._instance, spec.name))
            return await self.find(spec.name)
        except BaseException as error:
            self._doubtful.add(spec.name)  # what was asked for may still be on its way
            with contextlib.suppress(EngineError):
                await self.clear(spec.name)
                if isinstance(error, DockerError | StartFailed):
                    self._doubtful.discard(spec.name)
            raise

    async def _create_containers(self, spec: PodSpec, configs: Iterable[Config]) -> None:
        infra = requests.infra_body(self._instance, spec, pause.REFERENCE)
        await self._create(names.infra(self._instance, spec.name), infra)
        for container, config in zip(spec.containers, configs, strict=True):
            body = requests.container_body(
                self._instance, spec, container, config, log_driver=self._log_driver
            )
            await self._create(names.container(self._instance, spec.name, container.name), body)

    async def _create(self, name: str, body: dict[str, Any]) -> None:
        try:
            await self._api.call("POST", "/containers/create", body, name=name)
        except DockerError as error:
            if answers.fault_of(error.said) == "mount":
                raise answers.start_failed(error) from error
            raise

    async def start(self, container: str) -> None:
        """Start one; StartFailed."""
        try:
            await self._api.call("POST", f"/containers/{container}/start")
        except DockerError as error:
            if error.status == 404 and "No such container" in error.said:
                raise NoSuchPod(f"there is no container {container}") from error
            raise answers.start_failed(error) from error

    async def _config(self, image: str) -> Config:
        try:
            said = await self._api.call("GET", f"/images/{image}/json")
        except DockerError as error:
            if error.status == 404:
                raise EngineError(f"there is no image {image}; pull or load it first") from error
            raise
        return config_of(said.get("Config") or {})

    async def prepare(self) -> None:
        """The network of the instance and the image of its infra containers, once; again when somebody took them."""
        async with self._preparing:
            if self._doubtful:
                await self._sweep_doubtful()
            if self._prepared:
                return
            try:
                await self._api.call("GET", f"/images/{pause.REFERENCE}/json")
            except DockerError as error:
                if error.status != 404:
                    raise
                await self._api.call("POST", "/images/load", pause.archive(self._architecture), quiet=True)
            network = names.network(self._instance)
            try:
                await self._api.call("GET", f"/networks/{network}")
            except DockerError as error:
                if error.status != 404:
                    raise
                body = {
                    "Name": network,
                    "CheckDuplicate": True,
                    "Labels": {names.INSTANCE: self._instance},
                }
                await self._api.call("POST", "/networks/create", body)
            self._prepared = True

    def forget_preparations(self) -> None:
        """Look again before the next create: something that was there is not."""
        self._prepared = False

    async def _sweep_doubtful(self) -> None:
        for pod in tuple(self._doubtful):
            try:
                await self.find(pod)
            except NoSuchPod:
                await self.clear(pod)
            self._doubtful.discard(pod)

    async def clear(self, pod: str) -> None:
        """Take away all there is of a pod, whole or not.  Harmless when there is nothing."""
        label = f"{names.POD}={pod}"
        rows = await self._rows(names.filters(self._instance, label))
        infras = [row["Id"] for row in rows if names.SPEC in row["Labels"]]
        others = [row["Id"] for row in rows if names.SPEC not in row["Labels"]]
        await asyncio.gather(*(self._remove(id_) for id_ in others))
        await asyncio.gather(*(self._remove(id_) for id_ in infras))
        await self._remove_folders(names.filters(self._instance, label))
        self._doubtful.discard(pod)

    async def _remove(self, container: str) -> None:
        """Kill and remove one, with the volumes that its image made.  Waits for a removal that is under way."""
        deadline = asyncio.get_running_loop().time() + _REMOVAL_SECONDS
        while True:
            try:
                await self._api.call("DELETE", f"/containers/{container}", force=True, v=True)
                return
            except DockerError as error:
                if error.status == 404:
                    return
                late = asyncio.get_running_loop().time() > deadline
                if late or (error.status != 409 and "in progress" not in error.said):
                    raise
            await asyncio.sleep(0.05)

    async def _remove_folders(self, filters: dict[str, list[str]]) -> None:
        said = await self._api.call("GET", "/volumes", filters=filters)
        for volume in said.get("Volumes") or ():
            try:
                await self._api.call("DELETE", f"/volumes/{volume['Name']}", force=True)
            except DockerError as error:
                if error.status != 404:
                    raise

    async def sweep(self) -> None:
        """When an engine opens: away with what is not whole, whoever left it."""
        rows = await self._rows(names.filters(self._instance, names.POD))
        said = await self._api.call("GET", "/volumes", filters=names.filters(self._instance, names.POD))
        found = {row["Labels"][names.POD] for row in rows}
        found |= {volume["Labels"][names.POD] for volume in said.get("Volumes") or ()}
        for pod in sorted(found):
            try:
                await self.find(pod)
            except NoSuchPod:
                await self.clear(pod)

    async def leave(self) -> None:
        """Give the network back when nothing is on it."""
        with contextlib.suppress(DockerError, Unreachable):
            if not await self._rows(names.filters(self._instance, names.POD)):
                await self._api.call("DELETE", f"/networks/{names.network(self._instance)}", seconds=5.0)
