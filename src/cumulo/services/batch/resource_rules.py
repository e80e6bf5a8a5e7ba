"""vCPUs, memory and GPUs: where clients may say them, and how much of them there may be.  Pure; AwsError ClientException.

EC2      vcpus and memory, or resourceRequirements VCPU, MEMORY, GPU: whole, at least 1 and 4 MiB
FARGATE  resourceRequirements alone, in the pairs that Fargate has
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from cumulo.services.batch.errors import unfit
from cumulo.services.batch.model import Document

MEMORY_LEAST = 4  # MiB
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,3})?")
_GIB = 1024


def _gib(first: int, last: int, step: int = 1) -> tuple[int, ...]:
    return tuple(size * _GIB for size in range(first, last + 1, step))


# Memory in MiB by milli-vCPUs.
FARGATE: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {
        250: (512, 1024, 2048),
        500: _gib(1, 4),
        1000: _gib(2, 8),
        2000: _gib(4, 16),
        4000: _gib(8, 30),
        8000: _gib(16, 60, 4),
        16000: _gib(32, 120, 8),
    }
)


class Amounts(NamedTuple):
    """What a container takes: milli-vCPUs, MiB, GPUs; None: it does not say."""

    vcpus: int | None
    memory: int | None
    gpus: int


def amounts_of(container: Document) -> Amounts:
    """What a container says that it takes; what resourceRequirements say comes before `vcpus` and `memory`."""
    wanted = {one["type"]: one["value"] for one in container.get("resourceRequirements", ())}
    vcpus, memory = container.get("vcpus"), container.get("memory")
    return Amounts(
        _thousandths("VCPU", wanted["VCPU"]) if "VCPU" in wanted else _times(vcpus, 1000),
        _whole("MEMORY", wanted["MEMORY"]) if "MEMORY" in wanted else memory,
        _whole("GPU", wanted["GPU"]) if "GPU" in wanted else 0,
    )


def check_ways(container: Document) -> None:
    """That an amount is said once."""
    types = [one["type"] for one in container.get("resourceRequirements", ())]
    if len(set(types)) < len(types):
        raise unfit("Cannot provide duplicates in resourceRequirements.")
    for member, kind in (("vcpus", "VCPU"), ("memory", "MEMORY")):
        if container.get(member) and kind in types:
            raise unfit(f"Cannot use both ECS containerProperties {member} and resourceRequirement {kind}.")


def check_amounts(container: Document, platform: str) -> None:
    """What a container of its own may take."""
    amounts = amounts_of(container)
    if platform == "FARGATE":
        _check_no_fargate(container, amounts)
        check_fargate(amounts)
        return
    if amounts.vcpus is None or amounts.memory is None:
        raise unfit("vCPU is required." if amounts.vcpus is None else "Memory is required.")
    check_least(amounts)


def check_least(amounts: Amounts) -> None:
    """The least that a container on an instance takes."""
    if amounts.vcpus is not None and amounts.vcpus < 1000:
        raise unfit(f"vCPU must be at least 1, got {_shown(amounts.vcpus)}.")
    if amounts.vcpus is not None and amounts.vcpus % 1000:
        raise unfit(f"vCPU must be a whole number, got {_shown(amounts.vcpus)}.")
    if amounts.memory is not None and amounts.memory < MEMORY_LEAST:
        raise unfit(f"Memory must be at least 4 Mib, got {amounts.memory} Mib.")


def check_fargate(amounts: Amounts) -> None:
    """That Fargate has a size like this."""
    if amounts.vcpus is None or amounts.memory is None:
        raise unfit("vCPU is not provided." if amounts.vcpus is None else "Memory is not provided.")
    if amounts.memory not in FARGATE.get(amounts.vcpus, ()):
        shown = f"{amounts.vcpus / 1000:.2f} vCPU, {amounts.memory} MiB"
        raise unfit(f"Fargate resource requirements ({shown}) not valid.")


def together(amounts: Iterable[Amounts]) -> Amounts:
    """What several containers take."""
    every = list(amounts)
    vcpus = [one.vcpus for one in every if one.vcpus is not None]
    memory = [one.memory for one in every if one.memory is not None]
    gpus = sum(one.gpus for one in every)
    return Amounts(sum(vcpus) if vcpus else None, sum(memory) if memory else None, gpus)


def check_no_legacy(container: Document) -> None:
    """Fargate knows resourceRequirements alone."""
    for member in ("vcpus", "memory"):
        if container.get(member):
            raise unfit(f"{member} is not applicable for Fargate. Use resource requirements instead.")


def _check_no_fargate(container: Document, amounts: Amounts) -> None:
    check_no_legacy(container)
    if amounts.gpus:
        raise unfit("GPU is not applicable for Fargate.")


def _thousandths(kind: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise unfit(f"Value {text} for resource type {kind} is not valid.")
    return round(float(text) * 1000)


def _whole(kind: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise unfit(f"Value {text} for resource type {kind} is not valid.")
    return int(text)


def _times(count: int | None, by: int) -> int | None:
    return None if count is None else count * by


def _shown(thousandths: int) -> str:
    return f"{thousandths / 1000:g}"
