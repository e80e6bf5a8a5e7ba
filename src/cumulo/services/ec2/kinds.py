"""Instance types: what each has, and what AWS guarantees of it."""

import json
from functools import cached_property
from importlib import resources

import msgspec

from cumulo.base.carriage import Load
from cumulo.base.instances import InstanceKind

_BURSTABLE = ("t2.", "t3.", "t3a.", "t4g.")
_BASELINE = {"nano": 0.05, "micro": 0.1, "small": 0.2, "medium": 0.2, "large": 0.3}
_BASELINE_LARGER = 0.4


class Kind(msgspec.Struct, frozen=True):
    """An instance type.  `baseline` is the share of each vCPU that is always there; less than 1 when it bursts."""

    name: str
    vcpus: int
    memory_mib: int
    architecture: str = "x86_64"
    baseline: float = 1.0

    @property
    def load(self) -> Load:
        """What an instance of it is promised: all memory, and the processors' baseline."""
        return Load(self.vcpus * self.baseline, self.memory_mib)


class Kinds:
    """The types that are known by heart; EC2 is asked for others."""

    def get(self, name: str) -> Kind | None:
        """One of them, or None."""
        return self._all.get(name)

    def all(self) -> list[InstanceKind]:
        """All of them, as others see them."""
        return [
            InstanceKind(kind.name, kind.vcpus, kind.memory_mib, kind.architecture)
            for kind in self._all.values()
        ]

    @cached_property
    def _all(self) -> dict[str, Kind]:
        text = resources.files("cumulo.services.ec2").joinpath("kinds.json").read_text()
        return {name: Kind(name, *row) for name, row in json.loads(text).items()}


def kind_told(name: str, vcpus: int, memory_mib: int, architecture: str) -> Kind:
    """The type that EC2 describes so; its baseline follows from its name."""
    baseline = 1.0
    if name.startswith(_BURSTABLE):
        baseline = _BASELINE.get(name.partition(".")[2], _BASELINE_LARGER)
    return Kind(name, vcpus, memory_mib, architecture, baseline)
