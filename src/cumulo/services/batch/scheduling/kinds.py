"""Instance types: which ones an environment's `instanceTypes` mean, and how many tasks go on one.  Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from cumulo.services.batch.scheduling.facts import Kind, Need

# What the bundles stand for: https://docs.aws.amazon.com/batch/latest/userguide/instance-type-compute-table.html
BUNDLES: Final = {
    "optimal": ("m6i", "c6i", "r6i", "c7i"),
    "default_x86_64": ("m6i", "c6i", "r6i", "c7i"),
    "default_arm64": ("m6g", "c6g", "r6g", "c7g"),
}


def kinds_of(instance_types: Sequence[str], catalogue: Iterable[Kind]) -> tuple[Kind, ...]:
    """The types that `instanceTypes` mean, in its order; what the catalogue does not know is left out.

    A family (or a bundle of them) is its sizes, the small ones first, without those that are named themselves.
    """
    known = {kind.name: kind for kind in catalogue}
    named = set(instance_types)
    found: dict[str, Kind] = {}
    for name in instance_types:
        if name in known:
            found.setdefault(name, known[name])
            continue
        for kind in _sizes(BUNDLES.get(name, (name,)), known.values()):
            if kind.name not in named:
                found.setdefault(kind.name, kind)
    return tuple(found.values())


def unknown_types(instance_types: Sequence[str], catalogue: Iterable[Kind]) -> list[str]:
    """Those of `instanceTypes` that mean no type of the catalogue."""
    known = tuple(catalogue)
    return [name for name in instance_types if not kinds_of((name,), known)]


def tasks_on(kind: Kind, need: Need) -> int:
    """How many tasks go on an instance that is all theirs; 0: none."""
    if need.kinds and kind.name not in need.kinds:
        return 0
    many = min(kind.vcpus // max(1, need.vcpus), kind.memory // max(1, need.memory))
    if need.gpus:
        many = min(many, kind.gpus // need.gpus)
    return min(many, 1) if need.nodes > 1 else many


def _sizes(families: Sequence[str], kinds: Iterable[Kind]) -> list[Kind]:
    return sorted(
        (kind for kind in kinds if kind.name.partition(".")[0] in families),
        key=lambda kind: (kind.vcpus, kind.memory, kind.name),
    )
