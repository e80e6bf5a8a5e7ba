"""The load balancer's front against nginx (Debian's), in front of the same backend, in turns, in one run.

    python -m benchmarks.load_balancer            prints the rows
    python -m benchmarks.load_balancer serve B    our front before port B: prints its port, serves until killed

The backend is an nginx of its own that serves two files.  Both proxies keep their connections to it, add
X-Forwarded-For, and have one process.  wrk makes the load; a raw client measures sequential latency, of which
"added" is what remains without that of the backend alone.
"""

import asyncio
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import tools

ROUNDS = 5
SECONDS = 2
SEQUENTIAL = 3000
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
Row = tuple[str, str, str, float, float, bool]

CONFIG = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; sendfile on; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {inside}
}}
"""
FILES = "server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}/files; }}"
PROXY = """
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}
  proxy_max_temp_file_size 0; proxy_buffers 16 64k; proxy_buffer_size 64k;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
"""
BROWSER = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/1k?page=" .. n, {
    ["Host"] = "shop.example.com", ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", ["Accept-Language"] = "en-GB,en;q=0.5",
    ["Accept-Encoding"] = "gzip, deflate, br", ["Connection"] = "keep-alive", ["Cookie"] = "session=" .. n * 7919,
    ["Sec-Fetch-Dest"] = "document", ["Sec-Fetch-Mode"] = "navigate", ["Referer"] = "https://shop.example.com/" .. n })
end
"""


def missing() -> str:
    """Why nothing can be compared here; empty when it can."""
    lacking = [
        name
        for name in ("nginx", "wrk")
        if not (shutil.which(name) or (name == "nginx" and Path(NGINX).exists()))
    ]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


@contextmanager
def nginx(folder: Path, inside: str, **values: object) -> Iterator[tuple[int, int]]:
    """An nginx with a configuration of its own; its port and process."""
    folder.mkdir()
    port = tools.free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, inside=inside.format(folder=folder, port=port, **values)))
    with tools.process([NGINX, "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL) as child:
        tools.until(lambda: connects(port), "nginx listens")
        yield port, child.pid


@contextmanager
def front(backend: int) -> Iterator[tuple[int, int]]:
    """Our front in a process of its own; its port and process."""
    argv = [sys.executable, "-m", "benchmarks.load_balancer", "serve", str(backend)]
    with tools.process(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        yield int(child.stdout.readline()), child.pid


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


async def serve(backend: int) -> None:
    from cumulo.base.clock import SystemClock
    from cumulo.net.front import HttpFront
    from cumulo.net.messages import Forward, ReadBody, RequestHead, forwarded
    from cumulo.net.pool import Backend, Pool

    clock = SystemClock()
    pool = Pool(random=random.Random(1), now=clock.monotonic)
    pool.add(Backend("127.0.0.1", backend))

    def route(head: RequestHead, _: ReadBody) -> Forward:
        add, remove = forwarded(head)
        return Forward(pool=pool, add=add, remove=remove)

    listening = await HttpFront(route, clock=clock).listen("127.0.0.1", 0)
    print(listening.port, flush=True)
    await asyncio.Event().wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, pid: int, path: str, clients: int, script: Path | None = None) -> tuple[float, float]:
    """Requests per second, and microseconds of the proxy's processor for each."""
    extra = ["-s", str(script)] if script else []
    before = cpu_seconds(pid)
    out = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{SECONDS}s", *extra, f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    used = cpu_seconds(pid) - before
    assert "Non-2xx" not in out, out
    assert "Socket errors" not in out, out
    done = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert done, out
    assert rate, out
    return float(rate[1]), used / max(int(done[1]), 1) * 1e6


def latencies(port: int) -> tuple[float, float]:
    """The median and the 99th percentile of sequential requests, in microseconds."""
    request = b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n"
    took = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(SEQUENTIAL):
            began = time.perf_counter_ns()
            answer = tools.exchange(sock, request)
            took.append((time.perf_counter_ns() - began) / 1000)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    took.sort()
    return statistics.median(took), took[len(took) * 99 // 100]


def turns(
    measure: Callable[[int, int], tuple[float, float]], *sides: tuple[int, int]
) -> list[tuple[float, float]]:
    """Medians of what each side reaches, measured in turns, so that all see the same machine."""
    seen: list[list[tuple[float, float]]] = [[] for _ in sides]
    for _ in range(ROUNDS):
        for results, side in zip(seen, sides, strict=True):
            results.append(measure(*side))
    return [
        (statistics.median(first for first, _ in results), statistics.median(second for _, second in results))
        for results in seen
    ]


def rows() -> Iterator[Row]:
    """What was measured, ours, the other, the ratio, its budget, and whether that is a floor."""
    if missing():
        raise SystemExit(f"the load balancer's benchmark: {missing()}")
    with tempfile.TemporaryDirectory(prefix="cumulo-bench-lb-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        script = folder / "browser.lua"
        script.write_text(BROWSER)
        files = folder / "backend" / "files"
        with nginx(folder / "backend", FILES) as (backend, backend_pid):
            files.mkdir()
            (files / "1k").write_bytes(random.Random(1).randbytes(1024))
            (files / "1m").write_bytes(random.Random(2).randbytes(1 << 20))
            with nginx(folder / "proxy", PROXY, backend=backend) as peer, front(backend) as ours:
                yield from compared(ours, peer, (backend, backend_pid), script)


def compared(
    ours: tuple[int, int], peer: tuple[int, int], backend: tuple[int, int], script: Path
) -> Iterator[Row]:
    for clients in (1, 8, 64):
        mine, theirs = turns(lambda port, pid: load(port, pid, "/1k", clients), ours, peer)  # noqa: B023
        yield (
            f"balanced GETs of 1 KB, {clients} clients", f"{mine[0]:.0f}/s", f"nginx {theirs[0]:.0f}/s",
            mine[0] / theirs[0], 0.5, True,
        )  # fmt: skip
        yield (
            f"  processor for each, {clients} clients", f"{mine[1]:.0f} us", f"nginx {theirs[1]:.0f} us",
            mine[1] / theirs[1], 2, False,
        )  # fmt: skip
    mine, theirs = turns(lambda port, pid: load(port, pid, "/1k", 8, script), ours, peer)
    yield (
        "  as browsers ask, 8 clients", f"{mine[0]:.0f}/s", f"nginx {theirs[0]:.0f}/s", mine[0] / theirs[0], 0.4, True,
    )  # fmt: skip
    mine, theirs = turns(lambda port, pid: load(port, pid, "/1m", 4), ours, peer)
    yield (
        "balanced GETs of 1 MB, 4 clients", f"{mine[0]:.0f} MiB/s", f"nginx {theirs[0]:.0f} MiB/s",
        mine[0] / theirs[0], 0.6, True,
    )  # fmt: skip
    mine, theirs, alone = turns(lambda port, _: latencies(port), ours, peer, backend)
    for at, what, budget in ((0, "added latency, median", 2.0), (1, "added latency, 99th percentile", 3.0)):
        mine_us, their_us = max(mine[at] - alone[at], 0.1), max(theirs[at] - alone[at], 0.1)
        yield what, f"{mine_us:.0f} us", f"nginx {their_us:.0f} us", mine_us / their_us, budget, False


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        import uvloop

        uvloop.run(serve(int(sys.argv[2])))
        return
    for what, mine, theirs, ratio, budget, at_least in rows():
        sign = ">=" if at_least else "<="
        holds = ratio >= budget if at_least else ratio <= budget
        print(
            f"{what:<38} {mine:>14}  {theirs:<22} {ratio:6.2f} x  ({sign} {budget:g})  {'holds' if holds else 'MISSED'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
