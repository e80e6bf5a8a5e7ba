"""What `instanceTypes` may hold: names of types (m5.large), of families (m5), and of bundles.  Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from cumulo.services.batch.errors import unfit
from cumulo.services.batch.scheduling.kinds import BUNDLES

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,31}(\.[a-z0-9-]{1,31})?")
_GRAVITON: Final = re.compile(r"(a1|[a-z]+[0-9]+[a-z]*g[a-z]*)(\..*)?")
_MIXED: Final = "arm-based instance type cannot be used with other instance types."


def is_arm(name: str) -> bool:
    """Whether a type, family or bundle is of AWS's own processors: m6g, c7gn.large, default_arm64."""
    return name == "default_arm64" or _GRAVITON.fullmatch(name) is not None


def architecture_of(instance_types: Iterable[str]) -> str:
    """arm64 or x86_64: all types of an environment have the same."""
    return "arm64" if any(is_arm(name) for name in instance_types) else "x86_64"


def is_well_formed(name: str) -> bool:
    """Whether it may be a type, a family or a bundle."""
    return name in BUNDLES or _NAME.fullmatch(name) is not None


def check_instance_types(instance_types: Sequence[str]) -> None:
    """ClientException for types that no environment can have together."""
    if not instance_types:
        raise unfit("Resource instanceTypes are required.")
    if len({is_arm(name) for name in instance_types}) > 1:
        raise unfit(_MIXED)


def covers(instance_types: Iterable[str], name: str) -> bool:
    """Whether an environment of these types may launch a type, or all of a family."""
    families = [family for one in instance_types for family in BUNDLES.get(one, (one,))]
    return name in families or name.partition(".")[0] in families
