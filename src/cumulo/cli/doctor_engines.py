"""What `cumulo doctor` says of containers: which engine would be taken, what is missing for a better one."""

import asyncio
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cumulo.cli.findings import Grade, Line

if TYPE_CHECKING:
    from cumulo.engines.engine import Finding, Probe

NO_ENGINE = "containers cannot run: no functions from images, and what needs a container is refused"


def engine_lines(data: Path) -> list[Line]:
    """Look at the engines.  A container that does nothing is run for it, in a folder beside the data."""
    from cumulo.engines.local import probe

    there = next(folder for folder in (data, *data.absolute().parents) if folder.is_dir())
    try:
        with tempfile.TemporaryDirectory(prefix="cumulo-doctor-", dir=there) as folder:
            local = probe.look(Path(folder)).probe
    except OSError as error:
        return [Line("engine", "containers", Grade.MISSING, f"{there} cannot hold containers: {error}")]
    return [*chosen(local, asyncio.run(_docker())), names_line(resolves=_resolves("a.localhost"))]


def chosen(local: "Probe", docker: "Finding") -> list[Line]:
    """Which engine `--engine auto` takes, and what it consists of."""
    if local.usable:
        said = "local: containers run on this machine's kernel, without a daemon"
        return [Line("engine", "containers", Grade.OK, said), *_parts(local.findings)]
    if docker.ok:
        said = f"docker: {docker.detail}; the local engine would be quicker"
        return [Line("engine", "containers", Grade.OK, said), *_parts(local.findings)]
    lines = [Line("engine", "containers", Grade.MISSING, NO_ENGINE), *_parts(local.findings)]
    return [*lines, Line("engine", "docker", Grade.MISSING, docker.detail, docker.fix)]


def names_line(*, resolves: bool) -> Line:
    """Whether the registries' host names lead here."""
    if resolves:
        return Line(
            "engine", "names", Grade.OK, "*.localhost leads to this machine, so repository URIs can be pulled"
        )
    said = (
        "*.localhost is not resolved here: use localhost:<port>/<repository> with docker, skopeo and the like"
    )
    return Line("engine", "names", Grade.WARN, said, "apt-get install libnss-myhostname")


def _parts(findings: "Iterable[Finding]") -> list[Line]:
    return [
        Line("engine", found.name, Grade.OK if found.ok else Grade.WARN, found.detail, found.fix)
        for found in findings
    ]


def _resolves(name: str) -> bool:
    try:
        return socket.gethostbyname(name).startswith("127.")
    except OSError:
        return False


async def _docker() -> "Finding":
    from cumulo.engines.docker.building import open_docker
    from cumulo.engines.engine import EngineError, Finding

    try:
        engine = await open_docker("doctor")
    except EngineError as error:
        fix = "apt-get install docker.io and start it, or set DOCKER_HOST"
        return Finding("docker", ok=False, detail=str(error), fix=fix)
    await engine.close()
    return Finding("docker", ok=True, detail="containers run in the Docker daemon")
