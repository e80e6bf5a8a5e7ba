"""The guestbook of the examples, deployed as its README says, and used while it is deployed anew, broken and scaled."""

import http.client
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.containers_kit import needs_local
from tests.ecs_kit import WAITER, a_region
from tests.elb_kit import free_port
from tests.support import CUMULO, Process, until

pytestmark = needs_local
EXAMPLE = Path(__file__).parents[2] / "examples" / "guestbook"
CLUSTER = "guestbook"
PAGE = "/cgi-bin/index.cgi"


def sh(cloud: Process, script: str, *words: str, **environment: str) -> str:
    """Run a script of the example against the cloud; what it printed."""
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
    done = subprocess.run(
        [EXAMPLE / script, *words],
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{script}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


class Visitors:
    """People who read without a pause, on kept and on new connections, and one who writes; what went wrong for them."""

    def __init__(self, url: str) -> None:
        found = urlsplit(url)
        self._host, self._port = found.hostname or "", found.port or 80
        self._over = threading.Event()
        self.versions: Counter[str] = Counter()
        self.written: list[str] = []
        self.faults: list[str] = []
        kinds = [(self._read, True)] * 3 + [(self._read, False)] * 3 + [(self._write, True)]
        self._threads = [threading.Thread(target=work, args=(kept,)) for work, kept in kinds]

    def ask(self, method: str = "GET", body: str = "", on: http.client.HTTPConnection | None = None) -> str:
        """One request; OSError, HTTPException or AssertionError when it fails."""
        asking = on or http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            asking.request(
                method,
                PAGE if method == "POST" else "/",
                body or None,
                {"Host": f"{self._host}:{self._port}"},
            )
            answer = asking.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, f"{answer.status} {text[:100]}"
            return text
        finally:
            if on is None:
                asking.close()

    def _read(self, kept: bool) -> None:
        own = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20) if kept else None
        while not self._over.is_set():
            self._noted(lambda: self.versions.update([version_of(self.ask(on=own))]))
        if own is not None:
            own.close()

    def _write(self, _kept: bool) -> None:
        while not self._over.wait(0.2):
            entry = f"entry {len(self.written)}"
            self.written.append(entry)
            self._noted(lambda entry=entry: self.ask("POST", entry))

    def _noted(self, work: Any) -> None:
        try:
            work()
        except (OSError, http.client.HTTPException, AssertionError, LookupError) as error:
            self.faults.append(repr(error))

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def version_of(page: str) -> str:
    """The version of the front that drew a page; IndexError for another page."""
    return page.split("<p>front ")[1].split(maxsplit=1)[0]


def entries_of(page: str) -> list[str]:
    """What is written in the book."""
    return page.split("<pre>")[1].split("</pre>", maxsplit=1)[0].splitlines()


def shown(aws: Any, name: str) -> dict[str, Any]:
    return dict(aws.describe_services(cluster=CLUSTER, services=[name])["services"][0])


def stable(aws: Any, *names: str) -> None:
    aws.get_waiter("services_stable").wait(cluster=CLUSTER, services=list(names), WaiterConfig=WAITER)


def changed(aws: Any, name: str, **container: Any) -> str:
    """Register a service's definition with another member in its first container; its ARN."""
    definition = json.loads((EXAMPLE / f"{name}.json").read_text())
    definition["containerDefinitions"][0] |= container
    return str(aws.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"])


def deployed(aws: Any, name: str, arn: str) -> None:
    """Roll a service to a definition, or to new tasks of its own, and wait until nothing is left of the old."""
    aws.update_service(
        cluster=CLUSTER, service=name, forceNewDeployment=True, **({"taskDefinition": arn} if arn else {})
    )
    stable(aws, name)


def rolled_back(aws: Any, good: str) -> None:
    """Deploy a front that does not start, and wait for the circuit breaker."""
    broken = changed(aws, "front", command=["nothing"], entryPoint=["/bin/false"])
    aws.update_service(cluster=CLUSTER, service="front", taskDefinition=broken)

    def back() -> bool:
        view = shown(aws, "front")
        return view["taskDefinition"] == good and len(view["deployments"]) == 1

    until(back, "the circuit breaker rolls back", 60)
    said = " ".join(one["message"] for one in shown(aws, "front")["events"])
    assert "rolling back to" in said, said


def scaled(aws: Any, name: str, count: int) -> None:
    aws.update_service(cluster=CLUSTER, service=name, desiredCount=count)
    stable(aws, name)
    assert shown(aws, name)["runningCount"] == count


def printed(cloud: Process, container: str) -> str:
    """All that the containers of a name have logged."""
    events = cloud.client("logs").filter_log_events(
        logGroupName="guestbook", logStreamNamePrefix=f"{container}/"
    )["events"]
    return "\n".join(one["message"] for one in events)


def test_nobody_notices_how_the_guestbook_is_deployed_broken_and_scaled(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with a_region(data, log=tmp_path / "log") as cloud:
        url = sh(cloud, "deploy.sh", PORT=str(free_port())).split()[-1]
        aws = cloud.client("ecs")
        with Visitors(url) as visitors:
            until(lambda: visitors.versions["1"] > 20, "the first version answers")
            second = changed(aws, "front", environment=[{"name": "VERSION", "value": "2"}])
            deployed(aws, "front", second)
            until(lambda: visitors.versions["2"] > 20, "the second version answers")
            before = visitors.versions["1"]
            deployed(aws, "app", "")
            rolled_back(aws, second)
            scaled(aws, "front", 3)
            scaled(aws, "front", 1)
        assert visitors.faults == []
        assert visitors.versions["1"] == before, "nothing of the first version is left"
        assert set(visitors.versions) == {"1", "2"}
        page = visitors.ask()
        said = entries_of(page)
        assert said[-1] == "Yours, the guestbook", "from Parameter Store"
        assert said[:-1] == visitors.written, "every entry is there once"
        [kept] = (data / "efs").glob("fs-*/entries")
        assert kept.read_text().splitlines() == visitors.written
        assert "stored: entry 0" in printed(cloud, "store")
        assert "front ends" in printed(cloud, "front")
        sh(cloud, "remove.sh")
        assert aws.list_clusters()["clusterArns"] == []
        assert cloud.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
