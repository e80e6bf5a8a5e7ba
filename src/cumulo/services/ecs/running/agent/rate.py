"""How often the endpoints may be asked: the agent's 40 requests a second, 60 at once."""

PER_SECOND = 40.0
BURST = 60.0


class Bucket:
    """A token for each request, refilled as time goes by."""

    def __init__(self, now: float) -> None:
        self._tokens = BURST
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more may come."""
        self._tokens = min(BURST, self._tokens + (now - self._at) * PER_SECOND)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
