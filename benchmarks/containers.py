"""Starting a container on the local engine, against `runc run` of the same bundle and against `docker run`.

Rounds take turns, so that all three see the same machine.
"""

import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks import bundles, dockerd
from cumulo.engines.engine import ContainerSpec, Engine, ExecSpec, Limits, NetworkMode, PodSpec
from cumulo.engines.opening import open_engine

ROUNDS = 21
REFERENCE = "bench.example/busybox:1"
TRUE = ("/bin/busybox", "true")
SLEEP = ("/bin/busybox", "sleep", "600")
_LIMITS = Limits(vcpus=1, memory_mib=256, pids_max=64)
Took = dict[str, list[float]]


class Docker:
    """`docker run` with the same image, limits, and a bridge."""

    def __init__(self, daemon: dockerd.Daemon, archive: Path) -> None:
        self._command = ["docker", "--host", daemon.address]
        self._run("load", "--input", str(archive))
        self._run("network", "create", "bench")

    def seconds(self) -> float:
        limits = ("--cpus", "1", "--memory", "256m", "--memory-swap", "256m", "--pids-limit", "64")
        began = time.perf_counter()
        self._run("run", "--name", "bench", "--network", "bench", *limits, REFERENCE, *TRUE)
        took = time.perf_counter() - began
        self._run("rm", "bench")
        return took

    def close(self) -> None:
        self._run("network", "rm", "bench")

    def _run(self, *words: str) -> None:
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def compare() -> tuple[Took, str]:
    """Seconds by what was measured; and why Docker was not."""
    import uvloop

    with tempfile.TemporaryDirectory(prefix="cumulo-bench-") as place:
        folder = Path(place)
        root = bundles.busybox_root(folder / "root")
        archive = bundles.archive(root, REFERENCE, folder / "image.tar")
        why_not = dockerd.why_not()
        if why_not:
            return uvloop.run(_rounds(folder, root, archive, None)), why_not
        with dockerd.dockerd(folder) as daemon:
            docker = Docker(daemon, archive)
            try:
                return uvloop.run(_rounds(folder, root, archive, docker)), ""
            finally:
                docker.close()


async def _rounds(folder: Path, root: Path, archive: Path, docker: Docker | None) -> Took:
    took: Took = defaultdict(list)
    engine = await open_engine("local", data=folder / "engine", instance=f"bench{uuid.uuid4().hex[:8]}")
    runc: bundles.Runc | None = None
    try:
        (image,) = await engine.images.load(archive)
        for number in range(ROUNDS):
            pod = f"p{number}"
            await _ours(engine, pod, image.id, took)
            if runc is None:
                config = folder / "engine" / "pods" / pod / "containers" / "c" / "config.json"
                runc = bundles.Runc(folder / "runc", root, config)
            await _gone(engine, pod, took)
            took["runc, running"].append(runc.seconds(*SLEEP, detach=True))
            took["runc, ended"].append(runc.seconds(*TRUE))
            if docker is not None:
                took["docker, ended"].append(docker.seconds())
    finally:
        await engine.close()
        if runc is not None:
            runc.close()
    return took


async def _ours(engine: Engine, pod: str, image: str, took: Took) -> None:
    """One that stays, and one that ends at once."""
    began = time.perf_counter()
    await engine.create(_pod(pod, image, SLEEP))
    await engine.start(pod, "c")
    took["running"].append(time.perf_counter() - began)
    short = f"{pod}-short"
    began = time.perf_counter()
    await engine.create(_pod(short, image, TRUE))
    await engine.start(short, "c")
    await engine.wait(short, "c")
    took["ended"].append(time.perf_counter() - began)
    began = time.perf_counter()
    await engine.remove(short)
    took["removed"].append(time.perf_counter() - began)


async def _gone(engine: Engine, pod: str, took: Took) -> None:
    began = time.perf_counter()
    session = await engine.exec(pod, "c", ExecSpec(argv=TRUE))
    await session.wait()
    took["exec"].append(time.perf_counter() - began)
    await session.close()
    began = time.perf_counter()
    await engine.remove(pod)
    took["killed and removed"].append(time.perf_counter() - began)


def _pod(name: str, image: str, command: tuple[str, ...]) -> PodSpec:
    container = ContainerSpec(name="c", image=image, command=command, limits=_LIMITS)
    return PodSpec(name=name, owner="bench", containers=(container,), network=NetworkMode.BRIDGE)


def rows() -> Iterator[tuple[str, str, str, float, float, bool]]:
    """What `Table.row` takes: what, ours, theirs, ratio, budget, whether at least.  Nothing where it cannot be measured."""
    if why_not := bundles.missing():
        print(f"containers: not measured, {why_not}")
        return
    took, without_docker = compare()
    ms = {name: statistics.median(times) * 1000 for name, times in took.items()}
    for what, name in (
        ("container start, until it runs", "running"),
        ("container start, until it ended", "ended"),
    ):
        floor = ms[f"runc, {name}"]
        yield what, f"{ms[name]:.1f} ms", f"runc run {floor:.1f} ms", ms[name] / floor, 2, False
    if without_docker:
        print(f"docker run: not measured, {without_docker}")
    else:
        docker = ms["docker, ended"]
        yield (
            "  the same against Docker",
            f"{ms['ended']:.1f} ms",
            f"docker run {docker:.0f} ms",
            docker / ms["ended"],
            5,
            True,
        )
    for name in ("exec", "removed", "killed and removed"):
        print(f"  {name:<32} {ms[name]:>13.1f} ms  (no budget)")


if __name__ == "__main__":
    for row in rows():
        print(*row)
    sys.exit()
