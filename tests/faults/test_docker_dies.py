"""A Docker daemon that is killed in the middle of a verb: afterwards nothing has leaked and states are true."""

import asyncio
import contextlib
import json
import time
import urllib.parse
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks import dockerd as daemons
from tests.engines.images import BUSYBOX, PLAIN, write_test_images
from tests.support import until

from cumulo.engines.docker.building import open_docker
from cumulo.engines.docker.engine import DockerEngine
from cumulo.engines.engine import (
    ContainerSpec,
    ContainerState,
    EngineError,
    Exit,
    Mount,
    MountKind,
    NoSuchPod,
    PodSpec,
)

pytestmark = pytest.mark.skipif(
    bool(daemons.why_not()) or not BUSYBOX, reason=daemons.why_not() or "no static busybox"
)
GIVES_UP_SECONDS = 10.0


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemons.Daemon]:
    with daemons.dockerd(tmp_path_factory.mktemp("docker")) as made:
        yield made


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_test_images(tmp_path_factory.mktemp("images"))[0]


@contextlib.asynccontextmanager
async def opened(daemon: daemons.Daemon, archive: Path) -> AsyncIterator[tuple[DockerEngine, str, str]]:
    """An engine, the id of an image, and the instance; at the end nothing of the instance is left."""
    instance = f"t{uuid.uuid4().hex[:6]}"
    engine = await open_docker(instance, daemon.address, answer_seconds=GIVES_UP_SECONDS)
    try:
        image = await engine.images.get(PLAIN) or (await engine.images.load(archive))[0]
        yield engine, image.id, instance
        for pod in await engine.pods():
            await engine.remove(pod.name)
        assert await leftovers(daemon, instance) == []
        left = await asyncio.to_thread(ended, daemon)
        assert left == []
    finally:
        await engine.close()


def ended(daemon: daemons.Daemon) -> list[str]:
    """Wait for the end of what is ending; what lives on."""
    with contextlib.suppress(AssertionError):
        until(lambda: not processes(daemon), "no process of a container is left", 5)
    return processes(daemon)


def processes(daemon: daemons.Daemon) -> list[str]:
    """Those of this daemon's containers that live."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            ours = entry.name.isdigit() and daemon.cgroup in (entry / "cgroup").read_text()
            if ours and daemons.lives(int(entry.name)):
                stat, cgroup = (entry / "stat").read_text()[:40], (entry / "cgroup").read_text()
                found.append(f"{stat} {cgroup.splitlines()[0]}")
    return found


async def leftovers(daemon: daemons.Daemon, instance: str) -> list[str]:
    """Containers and volumes of the instance, by asking the daemon and not the engine."""
    filters = urllib.parse.quote(json.dumps({"label": [f"cumulo.instance={instance}"]}))
    containers = await ask(daemon, f"/containers/json?all=1&filters={filters}")
    volumes = await ask(daemon, f"/volumes?filters={filters}")
    return [name for c in containers for name in c["Names"]] + [v["Name"] for v in volumes["Volumes"] or ()]


async def ask(daemon: daemons.Daemon, path: str) -> Any:
    reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    raw = await reader.read()
    writer.close()
    await writer.wait_closed()
    return json.loads(raw.partition(b"\r\n\r\n")[2])


def pod(image: str) -> PodSpec:
    mounts = (Mount(target="/pod", kind=MountKind.POD, source="scratch"),)
    containers = tuple(
        ContainerSpec(
            name=name,
            image=image,
            command=("sleep", "600"),
            mounts=mounts,
            stop_signal="SIGKILL",  # what the daemon sends to those it finds alive when it is back
        )
        for name in ("one", "two")
    )
    return PodSpec(name=f"p{uuid.uuid4().hex[:6]}", owner="tests", containers=containers)


async def strike(daemon: daemons.Daemon, verb: Awaitable[Any], after: float) -> BaseException | None:
    """Begin a verb, kill the daemon soon after, start it again; what the verb raised."""
    task = asyncio.ensure_future(verb)
    await asyncio.wait([task], timeout=after)
    await asyncio.to_thread(daemon.kill)
    async with asyncio.timeout(40):
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(daemon.start)
    assert outcome is None or not isinstance(outcome, BaseException) or isinstance(outcome, EngineError), (
        outcome
    )
    return outcome if isinstance(outcome, BaseException) else None


def run(
    daemon: daemons.Daemon, archive: Path, test: Callable[[DockerEngine, str, str], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with asyncio.timeout(150), opened(daemon, archive) as (engine, image, instance):
            await test(engine, image, instance)

    asyncio.run(main())


@pytest.mark.parametrize("after", [0.03, 0.15, 0.3])
def test_killed_while_a_pod_is_made(daemon: daemons.Daemon, archive: Path, after: float) -> None:
    async def test(engine: DockerEngine, image: str, instance: str) -> None:
        spec = pod(image)
        error = await strike(daemon, engine.create(spec), after)
        found = await engine.pods()
        if error is not None and not found:
            assert await leftovers(daemon, instance) == []
            with pytest.raises(NoSuchPod):
                await engine.inspect(spec.name)
        made = await engine.create(spec)
        assert set(made.containers) == {"one", "two"}
        started = await engine.start(spec.name, "one")
        assert started.state is ContainerState.RUNNING
        assert (await engine.inspect(spec.name)).address

    run(daemon, archive, test)


@pytest.mark.parametrize("after", [0.0, 0.06, 0.12])
def test_killed_while_a_container_is_started(daemon: daemons.Daemon, archive: Path, after: float) -> None:
    async def test(engine: DockerEngine, image: str, instance: str) -> None:
        spec = pod(image)
        await engine.create(spec)
        await strike(daemon, engine.start(spec.name, "one"), after)
        status = (await engine.inspect(spec.name)).containers["one"]
        assert (status.state is ContainerState.RUNNING) == (status.pid > 0)
        assert not status.pid or daemons.lives(status.pid)
        again = await engine.start(spec.name, "one")
        assert again.state is ContainerState.RUNNING
        await engine.signal(spec.name, "one", "SIGKILL")
        assert (await engine.wait(spec.name, "one")).code == 137

    run(daemon, archive, test)


@pytest.mark.parametrize("after", [0.0, 0.03])
def test_killed_while_a_container_is_ended(daemon: daemons.Daemon, archive: Path, after: float) -> None:
    async def test(engine: DockerEngine, image: str, instance: str) -> None:
        spec = pod(image)
        await engine.create(spec)
        pid = (await engine.start(spec.name, "one")).pid
        waiting = asyncio.create_task(engine.wait(spec.name, "one"))
        await strike(daemon, engine.signal(spec.name, "one", "SIGKILL"), after)
        await engine.signal(spec.name, "one", "SIGKILL")
        ended = await waiting
        assert isinstance(ended, Exit)
        assert ended.code != 0
        assert not daemons.lives(pid)

    run(daemon, archive, test)


@pytest.mark.parametrize("after", [0.0, 0.1])
def test_killed_while_a_pod_is_removed(daemon: daemons.Daemon, archive: Path, after: float) -> None:
    async def test(engine: DockerEngine, image: str, instance: str) -> None:
        spec = pod(image)
        await engine.create(spec)
        await engine.start(spec.name, "one")
        await strike(daemon, engine.remove(spec.name), after)
        await engine.remove(spec.name)
        assert await leftovers(daemon, instance) == []

    run(daemon, archive, test)


def test_a_control_plane_that_dies_with_the_daemon_leaves_nothing_half_made(
    daemon: daemons.Daemon, archive: Path
) -> None:
    async def test(engine: DockerEngine, image: str, instance: str) -> None:
        spec = pod(image)
        await strike(daemon, engine.create(spec), 0.1)
        successor = await open_docker(instance, daemon.address)
        try:
            whole = {p.name for p in await successor.pods()}
            names = await leftovers(daemon, instance)
            assert bool(names) == bool(whole)
            await successor.remove(spec.name)
        finally:
            await successor.close()

    run(daemon, archive, test)


def test_a_daemon_that_is_away_is_an_error_that_says_so(daemon: daemons.Daemon, archive: Path) -> None:
    async def test(engine: DockerEngine, image: str, instance: str) -> None:
        spec = pod(image)
        await engine.create(spec)
        await asyncio.to_thread(daemon.kill)
        verbs: list[Callable[[], Awaitable[Any]]] = [
            engine.pods,
            lambda: engine.inspect(spec.name),
            lambda: engine.start(spec.name, "one"),
            lambda: engine.remove(spec.name),
            lambda: engine.create(pod(image)),
            lambda: engine.images.get(PLAIN),
        ]
        for verb in verbs:
            with pytest.raises(EngineError, match=r"docker.sock does not answer"):
                await verb()
        await asyncio.to_thread(daemon.start)
        assert [p.name for p in await engine.pods()] == [spec.name]

    run(daemon, archive, test)


def test_a_daemon_that_hangs_is_given_up_in_time(daemon: daemons.Daemon, archive: Path) -> None:
    async def test(_: DockerEngine, image: str, instance: str) -> None:
        hasty = await open_docker(instance, daemon.address, answer_seconds=1.0)
        daemon.hang()
        try:
            before = time.monotonic()
            with pytest.raises(EngineError, match="did not answer in time"):
                await hasty.pods()
            assert time.monotonic() - before < 5
        finally:
            daemon.go_on()
            await hasty.close()

    run(daemon, archive, test)


def test_containers_that_outlive_the_daemon_are_waited_for(
    tmp_path: Path, archive: Path, daemon: daemons.Daemon
) -> None:
    """With --live-restore the kernel's truth is the daemon's: the same process runs before and after."""
    daemon.stop()
    daemon.options = ("--live-restore",)
    daemon.start()

    async def test(engine: DockerEngine, image: str, instance: str) -> None:
        spec = pod(image)
        await engine.create(spec)
        pid = (await engine.start(spec.name, "one")).pid
        address = (await engine.inspect(spec.name)).address
        waiting = asyncio.create_task(engine.wait(spec.name, "one"))
        await asyncio.to_thread(daemon.kill)
        assert daemons.lives(pid)
        await asyncio.to_thread(daemon.start)
        status = await engine.inspect(spec.name)
        assert (status.containers["one"].pid, status.address) == (pid, address)
        await engine.signal(spec.name, "one", "SIGKILL")
        assert (await waiting).code == 137

    try:
        run(daemon, archive, test)
    finally:
        daemon.stop()
        daemon.options = ()
        daemon.start()
