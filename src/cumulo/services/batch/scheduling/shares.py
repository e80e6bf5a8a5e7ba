"""Fair shares: what a share has used, what it weighs, and what is kept for shares that are not there yet.  Pure.

AWS picks the share with the lowest `T * weightFactor`, T its vCPUs over time.  Here T is what it has now and had on
average over the decay time, which fades exponentially: what runs counts at once, what ran is forgotten in time.
With all shares busy both are the same, and each share gets vCPUs in the inverse ratio of the weights.
"""

import math
from collections.abc import Mapping
from typing import Final

DECAY_SECONDS_LEAST: Final = 600.0  # shareDecaySeconds 0: AWS's "default minimum time window"
SHARES_MAX: Final = 500  # active at once in a queue


class Use:
    """The milli-vCPUs that a share has (`running`), and had on average over the decay time."""

    __slots__ = ("at", "average", "running")

    def __init__(self) -> None:
        """Nothing yet."""
        self.running = 0
        self.average = 0.0
        self.at = 0.0

    def change(self, vcpus: int, now: float, decay_seconds: float) -> None:
        """More is running, or less."""
        self.settle(now, decay_seconds)
        self.running += vcpus

    def settle(self, now: float, decay_seconds: float) -> None:
        """Bring the average up to now."""
        if now > self.at:
            fading = math.exp((self.at - now) / decay_seconds)
            self.average = self.running + (self.average - self.running) * fading
            self.at = now

    def load(self, now: float, decay_seconds: float) -> float:
        """AWS's T."""
        self.settle(now, decay_seconds)
        return self.average + self.running


def decay_of(seconds: float) -> float:
    """The decay time that `shareDecaySeconds` means."""
    return seconds if seconds > 0 else DECAY_SECONDS_LEAST


def weight_of(share: str, weights: Mapping[str, float]) -> float:
    """The weight of a share: its own, or that of the longest prefix (`team*`), or 1."""
    if share in weights:
        return weights[share]
    prefixes = [name for name in weights if name.endswith("*") and share.startswith(name[:-1])]
    return weights[max(prefixes, key=len)] if prefixes else 1.0


def allowed_fraction(reservation: int, active: int) -> float:
    """What active shares may have of the maximum: without the (R/100)^active that is kept for others."""
    return 1.0 - (reservation / 100) ** max(1, active)
