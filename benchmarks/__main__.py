"""`make bench`: prints each budget's row, and fails when one does not hold.

Everything is measured in this one run on this one machine; the figures are medians, the verdicts are ratios.
"""

import itertools
import statistics
import subprocess
import sys
import time
from urllib.parse import urlsplit

from benchmarks import (
    apis,
    batch,
    batch_scheduling,
    containers,
    ecs_placement,
    ecs_services,
    functions,
    load_balancer,
    registry,
    tasks,
    tools,
    unpacking,
)


class Table:
    """Rows as they come, and whether all hold."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def row(
        self, what: str, ours: str, other: str, ratio: float, budget: float, *, at_least: bool = False
    ) -> None:
        holds = ratio >= budget if at_least else ratio <= budget
        sign = ">=" if at_least else "<="
        verdict = "holds" if holds else "MISSED"
        print(
            f"{what:<34} {ours:>16}  {other:<34} {ratio:8.2f} x  ({sign} {budget:g})  {verdict}", flush=True
        )
        if not holds:
            self.failed.append(what)


def port_of(endpoint: str) -> int:
    return urlsplit(endpoint).port or 80


def warm(table: Table, ours: str) -> None:
    with tools.process([sys.executable, "-m", "benchmarks.floors"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        floor = tools.median_us(port, tools.invoke_request("floor", port), 3000)
        call = tools.median_us(port_of(ours), tools.invoke_request("prints", port_of(ours)), 3000)
        floor = min(floor, tools.median_us(port, tools.invoke_request("floor", port), 3000))
    table.row("warm Invoke, sequential", f"{call:.0f} us", f"floor {floor:.0f} us", call / floor, 3)


def load(table: Table, ours: str, peer: str) -> None:
    for name, budget in (("prints", 10), ("silent", 20)):
        mine = tools.calls_per_second(port_of(ours), name)
        theirs = tools.calls_per_second(port_of(peer), name)
        table.row(f"warm Invoke, 8 clients, {name}", f"{mine:.0f}/s", f"MiniStack {theirs:.0f}/s", mine / theirs, budget,
                  at_least=True)  # fmt: skip


def cold(table: Table, ours: str, peer: str) -> None:
    bare = tools.median_ms(
        lambda: subprocess.run([sys.executable, "-c", "import awslambdaric"], check=True), 15
    )
    mine = cold_ms(ours, 15)
    theirs = cold_ms(peer, 5)
    table.row(
        "cold Invoke, Python zip", f"{mine:.1f} ms", f"import awslambdaric {bare:.1f} ms", mine / bare, 2
    )
    table.row("  the same against the peer", f"{mine:.1f} ms", f"MiniStack {theirs:.1f} ms", mine / theirs, 1)


def cold_ms(endpoint: str, rounds: int) -> float:
    names = [f"cold{i}" for i in range(rounds)]
    for name in names:
        tools.deploy(endpoint, name, tools.PRINTS)
    port = port_of(endpoint)
    upcoming = iter(names)

    def once() -> None:
        with tools.socket.create_connection(("127.0.0.1", port)) as sock:
            answer = tools.exchange(sock, tools.invoke_request(next(upcoming), port))
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]

    took = []
    for _ in names:
        time.sleep(0.3)  # a cold call is not one of a burst: the spare sandboxes are there again
        took.append(tools.median_ms(once, 1))
    return sorted(took)[len(took) // 2]


def start(table: Table) -> None:
    rounds = []
    for _ in range(7):  # by turns, so that both see the same machine
        port, other = tools.free_port(), tools.free_port()
        mine = started(port, [str(tools.BIN / "cumulo"), "up", "--ephemeral", "--log-level", "error", "--port", str(port)], {})  # fmt: skip
        theirs = started(
            other, [str(tools.BIN / "ministack")], {"GATEWAY_PORT": str(other), "LOG_LEVEL": "ERROR"}
        )
        rounds.append((*mine, *theirs))
    ms, mib, their_ms, their_mib = (statistics.median(values) for values in zip(*rounds, strict=True))
    table.row("start to first answered call", f"{ms:.0f} ms", f"MiniStack {their_ms:.0f} ms", ms / their_ms, 1)  # fmt: skip
    table.row("idle memory", f"{mib:.1f} MiB", f"MiniStack {their_mib:.1f} MiB", mib / their_mib, 1)


def started(port: int, argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Milliseconds to the first answer, and MiB when idle."""
    began = time.perf_counter()
    with tools.process(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env) as child:
        tools.until_answers(port, child)
        took = (time.perf_counter() - began) * 1000
        time.sleep(1.5)  # idle means that what starts in the background has started
        return took, tools.resident_mib(child.pid)


def layers(table: Table, ours: str) -> None:
    """Push and pull of a large layer."""
    if not registry.available():
        raise SystemExit("the registry benchmark needs docker-registry: apt-get install docker-registry")
    tools.client("ecr", ours).create_repository(repositoryName="bench/layers")
    with registry.peer() as port:
        mine, theirs = registry.Side(port_of(ours), "bench/layers"), registry.Side(port, "bench/layers")
        push, their_push, pull, their_pull = registry.compare(mine, theirs)
    size = registry.LAYER_MB
    table.row(f"push of {size} MB", f"{push:.2f} s", f"docker-registry {their_push:.2f} s", their_push / push, 1.5,
              at_least=True)  # fmt: skip
    table.row(f"pull of {size} MB", f"{pull:.2f} s", f"docker-registry {their_pull:.2f} s", their_pull / pull, 0.9,
              at_least=True)  # fmt: skip


def ecs(table: Table) -> None:
    """ECS and what is in front of it."""
    for *row, at_least in itertools.chain(tasks.rows(), load_balancer.rows()):
        table.row(*row, at_least=at_least)
    for row in itertools.chain(ecs_placement.rows(), ecs_services.rows()):
        table.row(*row)


def main() -> int:
    tools.end_orderly()
    table = Table()
    start(table)
    with tools.cumulo() as (ours, _), tools.ministack() as (peer, _):
        for endpoint in (ours, peer):
            tools.deploy(endpoint, "prints", tools.PRINTS)
            tools.deploy(endpoint, "silent", tools.SILENT)
        warm(table, ours)
        load(table, ours, peer)
        cold(table, ours, peer)
        layers(table, ours)
    for row in itertools.chain(unpacking.rows(), batch_scheduling.rows()):
        table.row(*row)
    for *row, at_least in itertools.chain(containers.rows(), functions.rows(), batch.rows()):
        table.row(*row, at_least=at_least)
    ecs(table)
    for *row, at_least in apis.rows():
        table.row(*row, at_least=at_least)
    if table.failed:
        print(f"missed: {', '.join(table.failed)}")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
