"""`make demo` does what it shows, and leaves nothing behind; also where no container can run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.containers_kit import Said, needs_local
from tests.leftovers import leftovers
from tests.support import until

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"


def shown(folder: Path, **environment: str) -> str:
    """All that it printed, when it went well."""
    done = subprocess.run(
        [sys.executable, DEMO, folder],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    until(lambda: not leftovers(folder / "data"), Said(folder / "data"), 20)  # type: ignore[arg-type]
    return done.stdout


def parts(said: str) -> dict[str, list[str]]:
    """Its lines, by the headline above them."""
    found: dict[str, list[str]] = {}
    for part in said.split("\n\n"):
        headline, *lines = part.splitlines()
        found[headline.partition(" (")[0]] = [line.strip() for line in lines]
    return found


@pytest.mark.parametrize("mark", [pytest.param("local", marks=needs_local)])
def test_the_demo_updates_a_service_and_drops_nothing(tmp_path: Path, mark: str) -> None:
    said = parts(shown(tmp_path, CUMULO_ENGINE=mark))
    service = said["A service: two tasks on Fargate behind a load balancer"]
    first = [line for line in service if "x version 1 from" in line]
    assert len(first) == 2, "both tasks answer"
    after = service[service.index("updated to version 2 while requests went on:") + 1 :]
    assert [line.partition(" x ")[2] for line in after[:2]] == ["version 1", "version 2"]
    assert sum(line.endswith("version 1 ends") for line in service) == 2
    assert service[-1] == "removed again"
    assert any("fargate_linux" in line for lines in said.values() for line in lines)


def test_the_demo_says_what_it_leaves_out(tmp_path: Path) -> None:
    said = parts(shown(tmp_path, CUMULO_ENGINE="none"))
    assert "A service: left out" in said
    assert not any("fargate_linux" in line for lines in said.values() for line in lines)
