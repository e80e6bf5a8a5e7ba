"""Which engine, and why."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cumulo.engines.engine import Engine, EngineError, Finding
from cumulo.engines.none import NoEngine

KINDS = ("auto", "local", "docker", "none")
_LOCAL = "the local engine"
_DOCKER = "Docker"


class Opened(msgspec.Struct, frozen=True):
    """An engine, and what was found on the way to it: for `cumulo doctor` and the log."""

    engine: Engine
    findings: Sequence[Finding]


async def open_engine(kind: str, *, data: Path, instance: str, docker_host: str = "") -> Engine:
    """The engine of that kind; `auto` takes the first that works.  See `open_and_explain`."""
    return (await open_and_explain(kind, data=data, instance=instance, docker_host=docker_host)).engine


async def open_and_explain(kind: str, *, data: Path, instance: str, docker_host: str = "") -> Opened:
    """Open an engine: `auto` prefers local, then docker, then none.  EngineError when a kind that was named cannot run.

    data         the folder that the engine may keep its files in
    instance     whose pods these are; engines of different instances see nothing of each other
    docker_host  unix:///path or tcp://host:port; empty: $DOCKER_HOST, or the usual sockets
    """
    if kind not in KINDS:
        raise EngineError(f"there is no engine {kind!r}; there are {', '.join(KINDS)}")
    findings: list[Finding] = []
    if kind in {"auto", "local"}:
        engine = await _local(data, instance, findings)
        if engine is not None:
            return Opened(engine, findings)
    if kind in {"auto", "docker"}:
        engine = await _docker(instance, docker_host, findings)
        if engine is not None:
            return Opened(engine, findings)
    if kind in {"local", "docker"}:
        raise EngineError("; ".join(f"{f.detail}{f' ({f.fix})' if f.fix else ''}" for f in findings))
    return Opened(NoEngine(findings), findings)


async def _local(data: Path, instance: str, findings: list[Finding]) -> Engine | None:
    from cumulo.engines.local.building import Unusable, open_local

    try:
        engine = await open_local(data, instance)
    except Unusable as error:
        findings.extend(error.findings)
        return None
    except EngineError as error:
        findings.append(Finding(_LOCAL, ok=False, detail=str(error)))
        return None
    findings.append(
        Finding(_LOCAL, ok=True, detail="containers run on this machine's kernel, without a daemon")
    )
    return engine


async def _docker(instance: str, host: str, findings: list[Finding]) -> Engine | None:
    from cumulo.engines.docker.building import open_docker

    address = host or os.environ.get("DOCKER_HOST", "")
    try:
        engine = await open_docker(instance, address)
    except EngineError as error:
        fix = "install and start Docker (apt-get install docker.io), or set DOCKER_HOST"
        findings.append(Finding(_DOCKER, ok=False, detail=str(error), fix=fix))
        return None
    findings.append(Finding(_DOCKER, ok=True, detail="containers run in the Docker daemon"))
    return engine
