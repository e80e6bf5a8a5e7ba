"""Finds the daemon, and builds the engine on it."""

import asyncio
from typing import Any

from cumulo.engines.docker import nearby, pause
from cumulo.engines.docker.api import Api
from cumulo.engines.docker.engine import DockerEngine
from cumulo.engines.docker.images import DockerImages
from cumulo.engines.docker.making import Maker
from cumulo.engines.docker.sockets import usual_sockets
from cumulo.engines.docker.streams import kill_leftover_execs
from cumulo.engines.engine import ContainerState, EngineError
from cumulo.engines.images import Platform

PROBE_SECONDS = 5.0
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "amd64": "amd64"}


async def open_docker(instance: str, address: str = "") -> DockerEngine:
    """The engine on the daemon at `address`, or at the first usual socket.  EngineError when there is none."""
    if not address:
        there = await asyncio.to_thread(lambda: [p for p in usual_sockets() if p.is_socket()])
        if not there:
            raise EngineError("no Docker daemon listens at a usual place, and DOCKER_HOST is not set")
        address = f"unix://{there[0]}"
    api = Api(address)
    try:
        return await _build(api, instance)
    except BaseException:
        await api.close()
        raise


async def _build(api: Api, instance: str) -> DockerEngine:
    info: dict[str, Any] = await api.call("GET", "/info", seconds=PROBE_SECONDS)
    if info.get("OSType", "linux") != "linux":
        raise EngineError(
            f"the daemon at {api.address} runs {info['OSType']} containers; Linux ones are needed"
        )
    architecture = _ARCHITECTURES.get(str(info.get("Architecture")), "")
    if architecture not in pause.architectures():
        raise EngineError(
            f"the daemon at {api.address} runs on {info.get('Architecture')}, which is not supported"
        )
    near = await nearby.is_near(api, info)
    drivers = (info.get("Plugins") or {}).get("Log") or ()
    # `local` keeps bytes as they are; json-file makes text of them.
    log_driver = "local" if "local" in drivers else "json-file"
    maker = Maker(api, instance, log_driver=log_driver, architecture=architecture)
    await maker.sweep()
    images = DockerImages(api, Platform(architecture=architecture))
    engine = DockerEngine(api, maker, images, instance, near=near)
    if near:
        await _kill_leftovers(api, engine)
    return engine


async def _kill_leftovers(api: Api, engine: DockerEngine) -> None:
    for pod in await engine.pods():
        for container in pod.containers.values():
            if container.state is ContainerState.RUNNING:
                await kill_leftover_execs(api, container.id)
