"""How many network interfaces an EC2 instance type may have: what limits awsvpc tasks on an instance."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_BY_SIZE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "nano": 2,
        "micro": 2,
        "small": 3,
        "medium": 2,
        "large": 3,
        "xlarge": 4,
        "2xlarge": 4,
        "4xlarge": 8,
        "8xlarge": 8,
        "9xlarge": 8,
        "12xlarge": 8,
        "16xlarge": 15,
        "18xlarge": 15,
        "24xlarge": 15,
        "32xlarge": 15,
        "48xlarge": 15,
        "metal": 15,
    }
)
_OTHERWISE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "t2.medium": 3,
        "t3.medium": 3,
        "t3a.medium": 3,
        "t4g.medium": 3,
        "t3a.small": 2,
        "t2.xlarge": 3,
        "t2.2xlarge": 3,
        "m4.large": 2,
    }
)


def awsvpc_tasks_max(instance_type: str) -> int | None:
    """How many awsvpc tasks fit beside the instance's own interface; None when the type is not known."""
    size = instance_type.rpartition(".")[2]
    interfaces = _OTHERWISE.get(instance_type) or _BY_SIZE.get(size)
    return interfaces - 1 if interfaces else None
