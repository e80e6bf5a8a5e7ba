"""What every benchmark needs: a raw HTTP client, wrk, processes that end, and functions to call."""

import io
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0000000000000000000000000000000000000000000000000000000000000000"
)
PRINTS = "def handler(event, context):\n    print('hello')\n    return {'ok': True}\n"
SILENT = "def handler(event, context):\n    return {'ok': True}\n"
BIN = Path(sys.executable).parent


def package(source: str, name: str = "app.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, source)
    return buffer.getvalue()


def client(service: str, endpoint: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, read_timeout=120),
    )


def deploy(endpoint: str, name: str, source: str, memory: int = 1769) -> None:
    aws = client("lambda", endpoint)
    aws.create_function(
        FunctionName=name,
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/r",
        Code={"ZipFile": package(source)},
        MemorySize=memory,
        Timeout=30,
    )
    aws.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def invoke_request(name: str, port: int) -> bytes:
    return (
        f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: {AUTHORIZATION}\r\nX-Amz-Date: 20260101T000000Z\r\nContent-Length: 2\r\n\r\n{{}}"
    ).encode()


def exchange(sock: socket.socket, request: bytes) -> bytes:
    """Send a request and read one answer (with a content-length)."""
    sock.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head.lower())
    length = int(found[1]) if found else 0
    while len(body) < length:
        body += _more(sock)
    return data


def _more(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


def median_us(port: int, request: bytes, rounds: int) -> float:
    """The median of sequential round trips on one connection, in microseconds."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(rounds // 10):
            exchange(sock, request)
        took = []
        for _ in range(rounds):
            began = time.perf_counter_ns()
            answer = exchange(sock, request)
            took.append(time.perf_counter_ns() - began)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    return statistics.median(took) / 1000


def calls_per_second(port: int, name: str, clients: int = 8, seconds: int = 5) -> float:
    """What wrk reaches on Invoke."""
    if not shutil.which("wrk"):
        raise SystemExit("the load benchmark needs wrk: apt-get install wrk")
    script = (
        'wrk.method = "POST"\nwrk.body = "{}"\n'
        f'wrk.headers["Authorization"] = "{AUTHORIZATION}"\nwrk.headers["X-Amz-Date"] = "20260101T000000Z"\n'
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/{name}/invocations"
        out = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", file.name, url], capture_output=True, text=True, check=True
        ).stdout  # fmt: skip
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    assert not bad, f"{bad[1] if bad else 0} calls failed:\n{out}"
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert found, out
    return float(found[1])


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def process(argv: list[str], **kwargs: Any) -> Iterator[subprocess.Popen[str]]:
    """A process group that is gone at the end.  It may keep compiled modules, as those of users do."""
    env = {**os.environ, **(kwargs.pop("env", None) or {})}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    child = subprocess.Popen(argv, text=True, start_new_session=True, env=env, **kwargs)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Ask until `condition` gives something true; AssertionError with `what` when it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


@contextmanager
def cumulo(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A Cumulo on a free port; its endpoint and process."""
    argv = [str(BIN / "cumulo"), "up", "--port", "0", "--log-level", "error", *(options or ("--ephemeral",))]
    with process(argv, stdout=subprocess.PIPE) as child:
        endpoint = ""
        assert child.stdout is not None
        for line in child.stdout:
            if "http://" in line:
                endpoint = line.split()[-1]
            if line.startswith("Ready."):
                break
        assert endpoint, "cumulo did not start"
        yield endpoint, child


@contextmanager
def ministack() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A MiniStack on a free port."""
    port = free_port()
    env = {**os.environ, "GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR"}
    with process(
        [str(BIN / "ministack")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env
    ) as child:
        until_answers(port, child)
        yield f"http://127.0.0.1:{port}", child


LIST = (
    "GET /2015-03-31/functions/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " + AUTHORIZATION + "\r\n\r\n"
).encode()


def until_answers(port: int, child: subprocess.Popen[str]) -> None:
    """Return when an AWS call (ListFunctions) is answered; asks again every millisecond."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert child.poll() is None, "the server ended"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                if exchange(sock, LIST).startswith(b"HTTP/1.1 200"):
                    return
        except (ConnectionError, OSError):
            time.sleep(0.001)
    raise AssertionError("no answer within a minute")


def resident_mib(pid: int) -> float:
    """Proportional memory of a process and its descendants, in MiB."""
    total = 0
    for member in [pid, *descendants(pid)]:
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
    return total / 1024


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def median_ms(run: Callable[[], None], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def end_orderly() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that what it has started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
