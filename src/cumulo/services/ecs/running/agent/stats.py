"""A container's usage in the shape of Docker's statistics.  Pure."""

from typing import Any

from cumulo.engines.engine import Usage
from cumulo.services.ecs.model import Document
from cumulo.services.ecs.running.agent.metadata import at

_NEVER = "0001-01-01T00:00:00Z"


def stats_view(
    usage: Usage,
    before: tuple[float, Usage] | None,
    now: float,
    *,
    name: str,
    id: str,  # noqa: A002 - as Docker calls it
    vcpus: int,
    v4: bool,
) -> Document:
    """What a container uses.  `before` is when it was asked for the last time, and what it was then."""
    view: dict[str, Any] = {
        "read": at(now),
        "preread": at(before[0]) if before is not None else _NEVER,
        "name": f"/{name}",
        "id": id,
        "num_procs": 0,
        "pids_stats": {"current": usage.pids},
        "networks": {
            "eth0": {
                "rx_bytes": usage.received_bytes,
                "rx_packets": 0,
                "rx_errors": 0,
                "rx_dropped": 0,
                "tx_bytes": usage.sent_bytes,
                "tx_packets": 0,
                "tx_errors": 0,
                "tx_dropped": 0,
            }
        },
        "memory_stats": {
            "usage": usage.memory_bytes,
            "max_usage": usage.memory_peak_bytes,
            "limit": usage.memory_limit_bytes,
            "stats": {},
        },
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"major": 0, "minor": 0, "op": "Read", "value": usage.read_bytes},
                {"major": 0, "minor": 0, "op": "Write", "value": usage.written_bytes},
            ]
        },
        "cpu_stats": _cpu(usage, now, vcpus),
        "precpu_stats": _cpu(before[1], before[0], vcpus) if before is not None else _cpu(Usage(), 0, vcpus),
        "storage_stats": {},
    }
    if v4 and before is not None and now > before[0]:
        seconds = now - before[0]
        view["network_rate_stats"] = {
            "rx_bytes_per_sec": (usage.received_bytes - before[1].received_bytes) / seconds,
            "tx_bytes_per_sec": (usage.sent_bytes - before[1].sent_bytes) / seconds,
        }
    return view


def _cpu(usage: Usage, now: float, vcpus: int) -> Document:
    nanoseconds = int(usage.cpu_seconds * 1e9)
    return {
        "cpu_usage": {
            "total_usage": nanoseconds,
            "percpu_usage": [nanoseconds],
            "usage_in_kernelmode": 0,
            "usage_in_usermode": nanoseconds,
        },
        "system_cpu_usage": int(now * 1e9 * vcpus),
        "online_cpus": vcpus,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }
