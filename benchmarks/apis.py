"""What API Gateway adds: an HTTP API over direct Invoke of the same function with the same event, and HTTP_PROXY
against nginx (Debian's) before the same backend, in turns, in one run.

    python -m benchmarks.apis
"""

import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import load_balancer, tools
from benchmarks.load_balancer import FILES, PROXY, Row, cpu_seconds, nginx

ROUNDS = 7
CALLS = 1000
KEPT = (
    "import json\nlast = ''\ndef handler(event, context):\n    return {'statusCode': 200, 'body': 'hello'}\n"
)
ECHO = (
    "import json\ndef handler(event, context):\n    return {'statusCode': 200, 'body': json.dumps(event)}\n"
)


class Cloud:
    """A cloud with an HTTP API and a REST API to functions, and one to a backend."""

    def __init__(self, endpoint: str, pid: int, backend: int) -> None:
        self.endpoint, self.pid = endpoint, pid
        self.port = urlsplit(endpoint).port or 80
        for name, source in (("plain", KEPT), ("echo", ECHO)):
            tools.deploy(endpoint, name, source)
        self.api = self._http_api("plain")
        event = tools_body(self._get(self._http_api("echo"), "/pets?kind=dog"))
        self.invoke = _invoke_with(json.dumps(json.loads(event)).encode(), self.port)
        self.rest = self._rest_api("plain")
        self.proxy = self._proxy_api(f"http://127.0.0.1:{backend}")

    def http_request(self, api: str, path: str) -> bytes:
        return (
            f"GET {path} HTTP/1.1\r\nHost: {api}.execute-api.localhost:{self.port}\r\nUser-Agent: bench\r\n\r\n"
        ).encode()

    def rest_request(self) -> bytes:
        return (
            f"GET /dev/pets?kind=dog HTTP/1.1\r\nHost: {self.rest}.execute-api.localhost:{self.port}\r\n"
            "User-Agent: bench\r\n\r\n"
        ).encode()

    def _get(self, api: str, path: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            return tools.exchange(sock, self.http_request(api, path))

    def _http_api(self, function: str) -> str:
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
        made = tools.client("apigatewayv2", self.endpoint).create_api(
            Name=function, ProtocolType="HTTP", Target=arn
        )
        return str(made["ApiId"])

    def _proxy_api(self, url: str) -> str:
        aws = tools.client("apigatewayv2", self.endpoint)
        api = aws.create_api(Name="proxy", ProtocolType="HTTP")["ApiId"]
        integration = aws.create_integration(
            ApiId=api, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=url + "/{proxy}",
            PayloadFormatVersion="1.0",
        )["IntegrationId"]  # fmt: skip
        aws.create_route(ApiId=api, RouteKey="ANY /{proxy+}", Target=f"integrations/{integration}")
        aws.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
        return str(api)

    def _rest_api(self, function: str) -> str:
        aws = tools.client("apigateway", self.endpoint)
        api = aws.create_rest_api(name=function)
        names = {"restApiId": api["id"], "httpMethod": "ANY"}
        resource = aws.create_resource(
            restApiId=api["id"], parentId=api["rootResourceId"], pathPart="{proxy+}"
        )
        aws.put_method(**names, resourceId=resource["id"], authorizationType="NONE")
        aws.put_integration(
            **names, resourceId=resource["id"], type="AWS_PROXY", integrationHttpMethod="POST",
            uri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
            f"arn:aws:lambda:us-east-1:000000000000:function:{function}/invocations",
        )  # fmt: skip
        aws.create_deployment(restApiId=api["id"], stageName="dev")
        return str(api["id"])


def tools_body(answer: bytes) -> bytes:
    """The body of a raw answer."""
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    return answer.partition(b"\r\n\r\n")[2]


def _invoke_with(event: bytes, port: int) -> bytes:
    request = tools.invoke_request("plain", port)
    head, _, _ = request.partition(b"\r\n\r\n")
    return head.replace(b"Content-Length: 2", b"Content-Length: %d" % len(event)) + b"\r\n\r\n" + event


def measured(cloud: Cloud, request: bytes) -> tuple[float, float]:
    """Median microseconds of a round trip, and the server's own processor time for each."""
    before = cpu_seconds(cloud.pid)
    median = tools.median_us(cloud.port, request, CALLS)
    return median, (cpu_seconds(cloud.pid) - before) / (CALLS * 1.1) * 1e6


def over_invoke(cloud: Cloud) -> Iterator[Row]:
    """Direct Invoke, HTTP API, REST API, in turns."""
    requests = (cloud.invoke, cloud.http_request(cloud.api, "/pets?kind=dog"), cloud.rest_request())
    seen: list[list[tuple[float, float]]] = [[], [], []]
    for _ in range(ROUNDS):
        for results, request in zip(seen, requests, strict=True):
            results.append(measured(cloud, request))
    (invoke, invoke_cpu), (http, http_cpu), (rest, rest_cpu) = (
        tuple(statistics.median(column) for column in zip(*results, strict=True)) for results in seen
    )
    said, said_cpu = f"Invoke {invoke:.0f} us", f"Invoke {invoke_cpu:.0f} us"
    yield "HTTP API to Lambda, median", f"{http:.0f} us", said, http / invoke, 1.5, False
    yield "  processor for each", f"{http_cpu:.0f} us", said_cpu, http_cpu / invoke_cpu, 1.5, False
    yield "REST API to Lambda, median", f"{rest:.0f} us", said, rest / invoke, 2.0, False
    yield "  processor for each", f"{rest_cpu:.0f} us", said_cpu, rest_cpu / invoke_cpu, 2.2, False


def load(port: int, pid: int, path: str, host: str, clients: int) -> tuple[float, float]:
    """Requests per second through wrk, and microseconds of the proxy's processor for each."""
    import re

    before = cpu_seconds(pid)
    out = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", "-d2s", "-H", f"Host: {host}", f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "Non-2xx" not in out, out
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    done = re.search(r"(\d+) requests in", out)
    assert rate, out
    assert done, out
    return float(rate[1]), (cpu_seconds(pid) - before) / max(int(done[1]), 1) * 1e6


def against_nginx(cloud: Cloud, peer: tuple[int, int]) -> Iterator[Row]:
    """The same files through an HTTP API and through nginx."""
    host = f"{cloud.proxy}.execute-api.localhost:{cloud.port}"
    for path, clients, budget in (("/1k", 1, 0.2), ("/1k", 8, 0.2), ("/1m", 4, 0.3)):
        ours, theirs = [], []
        for _ in range(3):
            ours.append(load(cloud.port, cloud.pid, path, host, clients))
            theirs.append(load(*peer, path, "bench", clients))
        mine, other = (statistics.median(rate for rate, _ in side) for side in (ours, theirs))
        what = f"HTTP_PROXY, GETs of {path[1:]}, {clients} client{'s' * (clients > 1)}"
        yield what, f"{mine:.0f}/s", f"nginx {other:.0f}/s", mine / other, budget, True


def rows() -> Iterator[Row]:
    """What was measured, ours, the other, the ratio, its budget, and whether that is a floor."""
    if load_balancer.missing():
        raise SystemExit(f"the benchmark of APIs: {load_balancer.missing()}")
    with tempfile.TemporaryDirectory(prefix="cumulo-bench-apis-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with nginx(folder / "backend", FILES) as (backend, _):
            files = folder / "backend" / "files"
            files.mkdir()
            (files / "1k").write_bytes(random.Random(1).randbytes(1024))
            (files / "1m").write_bytes(random.Random(2).randbytes(1 << 20))
            with (
                nginx(folder / "proxy", PROXY, backend=backend) as peer,
                tools.cumulo() as (endpoint, child),
            ):
                cloud = Cloud(endpoint, child.pid, backend)
                yield from over_invoke(cloud)
                yield from against_nginx(cloud, peer)


def main() -> None:
    tools.end_orderly()
    for what, mine, theirs, ratio, budget, at_least in rows():
        sign = ">=" if at_least else "<="
        holds = ratio >= budget if at_least else ratio <= budget
        print(
            f"{what:<38} {mine:>14}  {theirs:<22} {ratio:6.2f} x  ({sign} {budget:g})  {'holds' if holds else 'MISSED'}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
