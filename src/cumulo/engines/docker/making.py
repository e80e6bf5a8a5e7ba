"""Pods made whole or not at all, and taken away: a sequence of Docker's steps that may break off at any of them.

    create:  volumes, infra container, containers, start of infra (from here on the pod is whole)
    clear:   containers, infra container, the pod's own folders

What broke off is no pod: nobody is shown it, and it is swept away by the next create of that name, by the next verb
after the daemon is back, and when an engine opens.
"""

import asyncio
import contextlib
import re
from collections.abc import Collection, Iterable
from typing import Any

from cumulo.engines.docker import answers, names, nearby, pause, requests
from cumulo.engines.docker.api import Api, DockerError, Unreachable
from cumulo.engines.engine import EngineError, NetworkMode, NoSuchPod, PodSpec, PodStatus, StartFailed
from cumulo.engines.images import Config
from cumulo.engines.oci.manifests import config_of

_REMOVAL_SECONDS = 60.0
_LEAVING_SECONDS = 5.0
_STRAY = re.compile(r"\btask\b.*already exists|id already in use|failed to start shim.*file exists")
_STRAY_SECONDS = (0.05, 0.3, 0.0)  # pauses between tries; 0 ends them


class _Stray(DockerError):
    """What is below the daemon holds on to a start that a daemon before it began."""


class Maker:
    """Makes and clears pods of one instance."""

    def __init__(self, api: Api, instance: str, *, log_driver: str, architecture: str, near: bool) -> None:
        self._near = near
        self._strays: set[str] = (
            set()
        )  # ids of containers that a dying daemon may have started without knowing it
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
            infra = await self._create_containers(spec, configs)
            if spec.network is not NetworkMode.HOST:
                await self.start(infra)
            return await self.find(spec.name)
        except BaseException as error:
            self._doubtful.add(spec.name)  # what was asked for may still be on its way
            with contextlib.suppress(EngineError):
                await self.clear(spec.name)
                if isinstance(error, DockerError | StartFailed):
                    self._doubtful.discard(spec.name)
            raise

    async def _create_containers(self, spec: PodSpec, configs: Iterable[Config]) -> str:
        """All of them, none started; the id of the infra container."""
        holder = requests.infra_body(self._instance, spec, pause.REFERENCE)
        infra = await self._create(names.infra(self._instance, spec.name), holder)
        for container, config in zip(spec.containers, configs, strict=True):
            body = requests.container_body(
                self._instance, spec, container, config, log_driver=self._log_driver
            )
            await self._create(names.container(self._instance, spec.name, container.name), body)
        return infra

    async def _create(self, name: str, body: dict[str, Any]) -> str:
        try:
            return str((await self._api.call("POST", "/containers/create", body, name=name))["Id"])
        except DockerError as error:
            if answers.fault_of(error.said) == "mount":
                raise answers.start_failed(error) from error
            raise

    async def start(self, container_id: str) -> None:
        """Start one; StartFailed."""
        try:
            await self._start(container_id)
        except _Stray as error:
            try:
                await self._start(await self._make_again(container_id))
            except DockerError:
                raise StartFailed("engine", str(error)) from error
        except Unreachable:
            self._strays.add(container_id)
            raise
        except DockerError as error:
            if error.status == 404 and "No such container" in error.said:
                raise NoSuchPod(f"there is no container {container_id}") from error
            raise answers.start_failed(error) from error

    async def _start(self, container_id: str) -> None:
        """Start one, and again when a daemon that died had begun to: its processes run, but it does not know them."""
        for patience in _STRAY_SECONDS:
            try:
                await self._api.call("POST", f"/containers/{container_id}/start")
                return
            except DockerError as error:
                if not _STRAY.search(error.said):
                    raise
                self._strays.add(container_id)
                if not (self._near and patience):
                    raise _Stray(error.status, error.said) from error
            await self._reap([container_id])
            await asyncio.sleep(patience)

    async def _make_again(self, container_id: str) -> str:
        """A container that never ran, in place of one that the daemon cannot start any more; its id."""
        old = await self.inspect(container_id)
        if old is None or not old["State"]["StartedAt"].startswith("0001-"):
            raise EngineError("the daemon died while it started the container, and cannot start it any more")
        labels = old["Config"]["Labels"]
        infra = await self.inspect(names.infra(self._instance, labels[names.POD]))
        if infra is None or names.CONTAINER not in labels:
            raise EngineError(
                "the daemon died while it started the pod's network, and cannot start it any more"
            )
        spec = answers.spec_of(infra)
        container = next(c for c in spec.containers if c.name == labels[names.CONTAINER])
        config = await self._config(container.image)
        await self._remove(container_id)
        await self._reap([container_id])
        body = requests.container_body(self._instance, spec, container, config, log_driver=self._log_driver)
        return await self._create(names.container(self._instance, spec.name, container.name), body)

    async def _reap(self, container_ids: Collection[str]) -> None:
        """End processes of containers that do not run as far as the daemon knows."""
        if self._near and container_ids:
            await asyncio.to_thread(nearby.kill_all, container_ids)

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
        await self.sweep_doubtful()
        async with self._preparing:
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

    async def sweep_doubtful(self) -> None:
        """Away with what broke off when the daemon went away, now that it is back."""
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
        strays = self._strays.intersection((*others, *infras))
        await self._reap(strays)
        self._strays -= strays
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
        await self._reap([row["Id"] for row in rows if row["State"] in {"created", "exited", "dead"}])
        found = {row["Labels"][names.POD] for row in rows}
        found |= {volume["Labels"][names.POD] for volume in said.get("Volumes") or ()}
        for pod in sorted(found):
            try:
                await self.find(pod)
            except NoSuchPod:
                await self.clear(pod)

    async def leave(self) -> None:
        """Give the network back when nothing is on it."""
        with contextlib.suppress(DockerError, Unreachable, TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS):
                await self._leave()

    async def _leave(self) -> None:
        if not await self._rows(names.filters(self._instance, names.POD)):
            await self._api.call("DELETE", f"/networks/{names.network(self._instance)}")
