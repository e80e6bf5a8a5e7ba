"""How many requests pass: token buckets, of an account in a region and of whatever a stage limits.

    request ──▶ the scope's bucket (a stage's method or route, a plan's key) ──▶ the account's bucket ──▶ admitted

A bucket holds `burst` tokens and gets `rate` new ones a second.  A request takes a token of each, or none of any.
"""

from collections import OrderedDict

from cumulo.base.clock import Clock
from cumulo.gateway.stages import Place

ACCOUNT_RATE = 10_000.0
ACCOUNT_BURST = 5_000
BUCKETS_MAX = 65_536
_ONE = 1.0 - 1e-9  # a token, as sums of parts of tokens come out


class TokenBucket:
    """One limit; full at first.  Time is whatever `now` says, in seconds, and never goes back."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = max(0.0, rate)
        self.burst = max(0, burst)
        self._tokens = float(self.burst)
        self._at = 0.0

    def ready(self, now: float) -> bool:
        """Whether there is a token."""
        if now > self._at:
            self._tokens = min(float(self.burst), self._tokens + (now - self._at) * self.rate)
            self._at = now
        return self._tokens >= _ONE

    def take(self, now: float) -> bool:
        """Take a token; False when there is none."""
        if not self.ready(now):
            return False
        self._tokens -= 1.0
        return True


class Buckets:
    """Every bucket; those that were not asked for longest go when there are too many."""

    def __init__(
        self,
        clock: Clock,
        *,
        account_rate: float = ACCOUNT_RATE,
        account_burst: int = ACCOUNT_BURST,
        buckets_max: int = BUCKETS_MAX,
    ) -> None:
        self._clock = clock
        self._account_rate = account_rate
        self._account_burst = account_burst
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[tuple[str, ...], TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def admit(self, place: Place, scope: str, *, rate: float | None, burst: int | None) -> bool:
        """Whether one more request may pass: the account's bucket, and `scope`'s where rate or burst is given.

        A negative rate or burst is no limit, as on AWS; the one that is not given is the account's.
        """
        now = self._clock.monotonic()
        account = self._bucket((place.account, place.region), self._account_rate, self._account_burst)
        rate = self._account_rate if rate is None else rate
        burst = self._account_burst if burst is None else burst
        limited = (rate, burst) != (self._account_rate, self._account_burst) and rate >= 0 and burst >= 0
        if not limited:
            return account.take(now)
        key = (place.account, place.region, place.api_id, place.stage, scope)
        own = self._bucket(key, rate, burst)
        return own.ready(now) and account.take(now) and own.take(now)

    def _bucket(self, key: tuple[str, ...], rate: float, burst: int) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is not None and bucket.rate == rate and bucket.burst == burst:
            self._buckets.move_to_end(key)
            return bucket
        bucket = self._buckets[key] = TokenBucket(rate, burst)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._buckets_max:
            self._buckets.popitem(last=False)
        return bucket
