"""A server that is killed right before or right after it lets a container run: the container runs once all the same."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulo.engines.engine import ContainerState
from tests.engines.local_kit import RUNTIMES, Lab, needs_local

pytestmark = needs_local
ROOT = Path(__file__).parents[2]
VICTIM = """
import asyncio, os, sys
from pathlib import Path
from cumulo.engines.engine import Mount, MountKind
from cumulo.engines.local.runtime import Runtime
from tests.engines.local_kit import Lab, container, pod

base, run, runtime, moment, runs = sys.argv[1:]
let_run = Runtime.start

def start(self, run):
    if not run.endswith(f".{runs}"):
        return let_run(self, run)
    if moment == "after":
        let_run(self, run)
    os._exit(9)

Runtime.start = start

async def main():
    engine = await Lab(Path(base), runtime, run=Path(run)).open()
    mount = Mount(target="/kept", kind=MountKind.BIND, source=base)
    await engine.create(pod("p", container("main", "sh", "-c", "echo ran >> /kept/runs; exit 3", mounts=(mount,))))
    for _ in range(int(runs)):
        await engine.start("p", "main")
        await engine.wait("p", "main")

asyncio.run(main())
"""


@pytest.fixture(params=RUNTIMES)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, request.param)
    yield made
    made.give_up()


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_container_that_is_just_started_runs_once(lab: Lab, moment: str, runs: int) -> None:
    argv = [sys.executable, "-c", VICTIM, str(lab.base), str(lab.run), lab.runtime, moment, str(runs)]
    died = subprocess.run(argv, cwd=ROOT, check=False, timeout=60)
    assert died.returncode == 9

    async def story(engine):
        status = (await engine.inspect("p")).containers["main"]
        if moment == "before":
            assert status.state is ContainerState.CREATED
            await engine.start("p", "main")
        else:
            assert status.state is not ContainerState.CREATED
        assert (await asyncio.wait_for(engine.wait("p", "main"), 15)).code == 3
        assert (lab.base / "runs").read_text() == "ran\n" * runs

    lab.tell(story)
