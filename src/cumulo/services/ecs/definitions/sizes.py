"""The CPU and memory of a task as clients write them, and what Fargate has of them.  Pure.

Clients write `1024` or `1 vCPU`, `2048` or `2 GB`; kept and shown are CPU units and MiB, as text.
"""

import re

from cumulo.services.ecs.model import CPU_UNITS, MIB_PER_GIB

CPU_LEAST, CPU_MOST = 128, 196_608  # of a task on an instance
MEMORY_LEAST = 4  # MiB
_CPU = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(vcpus?)?\s*", re.IGNORECASE)
_MEMORY = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(gb|gib|mb|mib)?\s*", re.IGNORECASE)
_GIGABYTES = ("gb", "gib")


def cpu_units(text: str) -> int | None:
    """The CPU units that a text means; None when it means none."""
    found = _CPU.fullmatch(text)
    return _whole(found, CPU_UNITS if found and found[2] else 1)


def memory_mib(text: str) -> int | None:
    """The MiB that a text means; None when it means none."""
    found = _MEMORY.fullmatch(text)
    return _whole(found, MIB_PER_GIB if found and (found[2] or "").lower() in _GIGABYTES else 1)


def _whole(found: re.Match[str] | None, scale: int) -> int | None:
    if found is None:
        return None
    amount = float(found[1]) * scale
    return int(amount) if amount == int(amount) and amount > 0 else None
