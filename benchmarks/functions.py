"""Functions from images: cold calls against `runc run` of the same image with its runtime's own start; warm calls.

cold   Invoke sent to answer received, with an engine that is open and an image that is there
floor  `runc run` of the same image under the same limits, in which the runtime only starts
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from benchmarks import bundles, debian, tools

ROUNDS = 15
WARM_ROUNDS = 2000
ROLE = "arn:aws:iam::000000000000:role/r"
# A runtime of nothing but a shell: what is measured with it is ours.
BOOTSTRAP = r"""#!/bin/busybox sh
b=/bin/busybox
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  $b wget -q -S -O /tmp/event "$api/invocation/next" 2>/tmp/headers || exit 1
  id=$($b sed -n 's/^ *[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/headers | $b tr -d '\r')
  $b wget -q -O /dev/null --post-data '{"ok":true}' "$api/invocation/$id/response" || exit 1
done
"""


class Subject(msgspec.Struct, frozen=True):
    """An image: what it is, its files, what Lambda starts, and what starts the runtime and no more."""

    name: str
    root: Path
    config: dict[str, Any]
    own_start: tuple[str, ...]


def busybox(folder: Path) -> Subject:
    root = bundles.busybox_root(folder / "shell", {"bootstrap": BOOTSTRAP})
    return Subject("shell", root, {"Entrypoint": ["/bootstrap"]}, ("/bin/busybox", "sh", "-c", ":"))


def python(folder: Path) -> Subject:
    """NotHere."""
    config = {
        "Entrypoint": ["/usr/bin/python3", "-m", "awslambdaric"],
        "Cmd": ["app.handler"],
        "WorkingDir": "/var/task",
        "Env": [f"{name}={value}" for name, value in debian.ENV.items()],
    }
    return Subject("Python", debian.root(folder / "python"), config, debian.OWN_START)


class House:
    """A cloud on a data folder of its own, and calls of its functions."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self._folder = folder
        self._endpoint = endpoint
        self._port = urlsplit(endpoint).port or 80
        self._aws = tools.client("lambda", endpoint)

    def deploy(self, subject: Subject) -> None:
        """ROUNDS functions of one image, and a first call that opens the engine."""
        reference = f"bench-{subject.name.lower()}:1"
        archive = bundles.archive(subject.root, reference, self._folder / "image.tar", **subject.config)
        argv = [str(tools.BIN / "cumulo"), "image", "import", str(archive), reference]
        env = os.environ | {"CUMULO_ENDPOINT": self._endpoint}
        subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)
        archive.unlink()
        repository, _, tag = reference.partition(":")
        found = tools.client("ecr", self._endpoint).describe_repositories(repositoryNames=[repository])
        uri = f"{found['repositories'][0]['repositoryUri']}:{tag}"
        for number in range(ROUNDS + 1):
            name = self.name(subject, number)
            self._aws.create_function(FunctionName=name, PackageType="Image", Code={"ImageUri": uri}, Role=ROLE,
                                      MemorySize=1769, Timeout=30)  # fmt: skip
            waiter = self._aws.get_waiter("function_active_v2")
            waiter.wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        self.call(self.name(subject, ROUNDS))

    def call(self, name: str) -> float:
        request = tools.invoke_request(name, self._port)
        with socket.create_connection(("127.0.0.1", self._port)) as sock:
            began = time.perf_counter()
            answer = tools.exchange(sock, request)
            took = time.perf_counter() - began
        assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
        assert b"function-error" not in answer.lower(), answer[:500]
        return took

    def warm_us(self, name: str) -> float:
        return tools.median_us(self._port, tools.invoke_request(name, self._port), WARM_ROUNDS)

    def deploy_zip(self, name: str) -> str:
        tools.deploy(self._endpoint, name, debian.HANDLER)
        return name

    def bundle(self, subject: Subject) -> Path:
        """The config.json of some function of this image that runs."""
        wanted = subject.config["Entrypoint"][0]
        for path in (self._folder / "data" / "engine" / "pods").glob("*/containers/*/config.json"):
            if json.loads(path.read_text())["process"]["args"][0] == wanted:
                return path
        raise AssertionError(f"no {subject.name} function runs")

    @staticmethod
    def name(subject: Subject, number: int) -> str:
        return f"{subject.name.lower()}{number}"


def compare(house: House, subject: Subject, folder: Path) -> tuple[float, float]:
    """Medians in seconds of our cold calls and of the floor, measured by turns."""
    house.deploy(subject)
    runc = bundles.Runc(folder / f"runc-{subject.name}", subject.root, house.bundle(subject))
    ours, floor = [], []
    try:
        for number in range(ROUNDS):
            time.sleep(0.3)  # a cold call is not one of a burst
            ours.append(house.call(house.name(subject, number)))
            floor.append(runc.seconds(*subject.own_start))
    finally:
        runc.close()
    return statistics.median(ours), statistics.median(floor)


def rows() -> Iterator[tuple[str, str, str, float, float, bool]]:
    """What `Table.row` takes: what, ours, theirs, ratio, budget, whether at least.  Nothing where it cannot be measured."""
    if why_not := bundles.missing("runc"):
        print(f"functions from images: not measured, {why_not}")
        return
    with tempfile.TemporaryDirectory(prefix="cumulo-bench-") as place:
        folder = Path(place)
        options = ("--engine", "local", "--data", str(folder / "data"))
        with tools.cumulo(*options) as (endpoint, _):
            house = House(folder, endpoint)
            for make in (busybox, python):
                try:
                    subject = make(folder)
                except debian.NotHere as error:
                    print(f"cold Invoke, a Python image: not measured, {error}")
                    continue
                ours, floor = compare(house, subject, folder)
                yield (
                    f"cold Invoke, {subject.name} image",
                    f"{ours * 1000:.1f} ms",
                    f"runc run, its start {floor * 1000:.1f} ms",
                    ours / floor,
                    3,
                    False,
                )
                if subject.name == "Python":
                    image = house.warm_us(house.name(subject, 0))
                    cell = house.warm_us(house.deploy_zip("zip"))
                    print(f"  warm Invoke, Python image: {image:.0f} us, zip {cell:.0f} us  (no budget)")
        shutil.rmtree(folder / "python", ignore_errors=True)


if __name__ == "__main__":
    for row in rows():
        print(*row)
    sys.exit()
