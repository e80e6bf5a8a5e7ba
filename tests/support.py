"""What tests share: a server process that can be killed, packages of code, and functions to deploy."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.leftovers import MARK

ROLE = "arn:aws:iam::000000000000:role/test"
PYTHON = f"python3.{sys.version_info.minor}"
BIN = Path(sys.executable).parent
CUMULO = (sys.executable, "-m", "cumulo.cli.main")


def package(files: Mapping[str, str | bytes] | str) -> bytes:
    """A zip; a string is the source of app.py.  Files named `bootstrap` are executable."""
    if isinstance(files, str):
        files = {"app.py": files}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = (0o755 if name.endswith("bootstrap") else 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def client(
    endpoint: str, service: str, *, account: str = "test", region: str = "us-east-1", **options: Any
) -> Any:
    """A boto3 client that does not retry."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=120, **options),
    )


def deploy(aws: Any, name: str, files: Mapping[str, str | bytes] | str, **settings: Any) -> dict[str, Any]:
    """Create a function and wait until it is Active."""
    answer = create(aws, name, files, **settings)
    aws.get_waiter("function_active_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
    )
    return answer


def create(aws: Any, name: str, files: Mapping[str, str | bytes] | str, **settings: Any) -> dict[str, Any]:
    """Create a function: Python with the handler app.handler unless `settings` say otherwise."""
    defaults = {"Runtime": PYTHON, "Handler": "app.handler", "Role": ROLE, "Timeout": 10, "MemorySize": 256}
    return aws.create_function(FunctionName=name, Code={"ZipFile": package(files)}, **(defaults | settings))


def call(aws: Any, name: str, event: Any = None, **options: Any) -> Any:
    """Invoke and return the parsed payload."""
    answer = aws.invoke(FunctionName=name, Payload=json.dumps(event), **options)
    return json.loads(answer["Payload"].read() or b"null")


def until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Ask until `condition` gives something true; AssertionError with `what` when it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class Process:
    """`cumulo up` as a process that can be killed and started again on the same data."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.arguments = arguments
        self.endpoint = ""
        self.environment: dict[str, str] = {}
        self.child: subprocess.Popen[str] | None = None
        data.mkdir(parents=True, exist_ok=True)
        self.log = data.parent / f"{data.name}.log"

    def start(self) -> None:
        """Start and wait for `Ready.`."""
        argv = [
            *CUMULO,
            "up",
            "--port",
            "0",
            "--data",
            str(self.data),
            "--log-level",
            "warning",
            *self.arguments,
        ]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), MARK: str(self.data)} | self.environment
        with self.log.open("a") as stderr:
            self.child = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env, start_new_session=True
            )
        assert self.child.stdout is not None
        for line in self.child.stdout:
            found = re.search(r"http://\S+", line)
            if found and "Cumulo is at" in line:
                self.endpoint = found[0]
            if line.startswith("Ready."):
                return
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """kill -9."""
        assert self.child is not None
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self._let_go()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.child is None or self.child.poll() is not None:
            self._let_go()
            return 0
        self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self.child is not None and self.child.stdout is not None:
            self.child.stdout.close()

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of it."""
        return client(self.endpoint, service, **options)

    def gauges(self) -> dict[str, float]:
        """What /metrics says, by names without `cumulo_`."""
        with urllib.request.urlopen(f"{self.endpoint}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line.startswith("cumulo_") and "{" not in line)
        return {name.removeprefix("cumulo_"): float(value) for name, _, value in pairs}
