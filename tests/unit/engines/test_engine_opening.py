"""Which engine, and what is said when there is none."""

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from cumulo.engines.engine import ContainerSpec, EngineError, Finding, NoSuchPod, PodSpec, Unsupported
from cumulo.engines.local import probe
from cumulo.engines.local.building import Unusable
from cumulo.engines.none import NoEngine
from cumulo.engines.opening import open_and_explain, open_engine


def run(awaitable: Awaitable[Any]) -> Any:
    async def main() -> Any:
        return await awaitable

    return asyncio.run(main())


def test_a_kind_that_there_is_none_of(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="'podman'"):
        run(open_engine("podman", data=tmp_path, instance="t"))


def test_a_docker_that_is_not_there_is_said_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"nothing\.sock does not answer.*DOCKER_HOST"):
        run(open_engine("docker", data=tmp_path, instance="t", docker_host=f"unix://{tmp_path}/nothing.sock"))
    with pytest.raises(EngineError, match="no address of Docker"):
        run(open_engine("docker", data=tmp_path, instance="t", docker_host="ssh://host"))


def test_none_asks_nobody(tmp_path: Path) -> None:
    opened = run(open_and_explain("none", data=tmp_path, instance="t"))
    assert opened.engine.name == "none"
    assert opened.findings == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_machine_without_programs_is_told_which_packages_to_install(tmp_path: Path) -> None:
    seen = probe.look(tmp_path / "data", search=str(tmp_path))
    assert seen.tools is None
    why = Unusable([finding for finding in seen.probe.findings if not finding.ok])
    engine = NoEngine(why.findings)
    for package in ("conmon", "runc", "nftables"):
        assert f"apt-get install {package}" in str(why)
        with pytest.raises(Unsupported, match=f"apt-get install {package}"):
            run(engine.images.pull("alpine"))


def test_no_engine_refuses_and_says_what_would_help() -> None:
    engine = NoEngine([Finding("Docker", ok=False, detail="none", fix="install docker.io")])
    spec = PodSpec(name="p", owner="o", containers=(ContainerSpec(name="c", image="i"),))
    for refused in (engine.create(spec), engine.images.pull("alpine"), engine.images.load(Path("x.tar"))):
        with pytest.raises(Unsupported, match=r"install docker\.io"):
            run(refused)
    for missing in (engine.start("p", "c"), engine.inspect("p"), engine.wait("p", "c"), engine.usage("p")):
        with pytest.raises(NoSuchPod):
            run(missing)
    assert run(engine.pods()) == []
    assert run(engine.images.list()) == []
    assert run(engine.remove("p")) is None
