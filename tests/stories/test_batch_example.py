"""The pipeline of the examples, as its README says: an array, its N_TO_N follower, and the job that adds up."""

import os
import subprocess
import sys
from pathlib import Path

from tests.containers_kit import needs_local
from tests.ecs_kit import a_region
from tests.support import CUMULO, Process

pytestmark = needs_local
EXAMPLE = Path(__file__).parents[2] / "examples" / "primes"


def sh(cloud: Process, *words: str) -> str:
    """Run a command against the cloud; what it printed."""
    env = os.environ | {
        "AWS": f"{sys.executable} -m awscli",
        "CUMULO": " ".join(CUMULO),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "CUMULO_ENDPOINT": cloud.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_the_pipeline_of_the_examples_counts_primes(tmp_path: Path) -> None:
    with a_region(tmp_path / "data", "--overcommit", "8") as cloud:
        last = sh(cloud, str(EXAMPLE / "submit.sh")).strip()
        assert f"total  {last}  SUCCEEDED" in sh(cloud, *CUMULO, "batch", "wait", last)
        drawn = sh(cloud, *CUMULO, "batch", "graph", last)
        assert '"find<br/>array of 8: 8 SUCCEEDED"' in drawn
        assert "j0 -->|N_TO_N| j1" in drawn
        (total,) = cloud.data.glob("efs/*/primes/total")
        assert total.read_text() == "550 primes\n"  # below 4,000
        sh(cloud, str(EXAMPLE / "remove.sh"))
        assert cloud.client("batch").describe_job_queues()["jobQueues"] == []
