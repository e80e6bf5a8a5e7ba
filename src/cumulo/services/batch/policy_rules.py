"""What CreateSchedulingPolicy and UpdateSchedulingPolicy refuse, in AWS's sentences.  Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cumulo.services.batch.errors import unbuilt, unfit

SHARES_MAX: Final = 500
_SHARE: Final = re.compile(r"[A-Za-z0-9_-]{1,255}\*?|\*")
_DECAY: Final = range(604_801)
_RESERVATION: Final = range(100)

Document = Mapping[str, Any]


def check_policy(operation: str, values: Document) -> None:
    """ClientException for a policy that cannot be; 501 for one of quota shares."""
    if "quotaSharePolicy" in values:
        if "fairsharePolicy" in values:
            raise unfit("A scheduling policy can have either fairsharePolicy or quotaSharePolicy")
        raise unbuilt(operation, "quota shares are not built")
    fair = values.get("fairsharePolicy") or {}
    if fair.get("shareDecaySeconds", 0) not in _DECAY:
        raise unfit("Share decay seconds should be between 0 and 604800.")
    if fair.get("computeReservation", 0) not in _RESERVATION:
        raise unfit("Compute reservation should be between 0 and 99.")
    _check_shares(fair.get("shareDistribution") or [])


def weights_of(fair: Document) -> dict[str, float]:
    """Weights by share identifier; 1.0 where nothing is said."""
    return {
        one["shareIdentifier"]: float(one.get("weightFactor", 1.0))
        for one in fair.get("shareDistribution") or []
    }


def _check_shares(shares: Sequence[Document]) -> None:
    if len(shares) > SHARES_MAX:
        raise unfit(f"ShareDistribution size cannot be greater than {SHARES_MAX}.")
    names = [one["shareIdentifier"] for one in shares]
    for one in shares:
        if not _SHARE.fullmatch(one["shareIdentifier"]):
            raise unfit("ShareIdentifier name should match a valid pattern.")
        if not 0.0001 <= one.get("weightFactor", 1.0) <= 999.9999:
            raise unfit("Weight factor should be between 0.0001 and 999.9999.")
    if len(set(names)) < len(names):
        raise unfit("Cannot have two or more identical shareIdentifiers.")
    for prefix in (name for name in names if name.endswith("*")):
        for name in names:
            if name != prefix and name.startswith(prefix[:-1]):
                raise unfit(f"Share identifier {name} matches another share identifier {prefix}.")
