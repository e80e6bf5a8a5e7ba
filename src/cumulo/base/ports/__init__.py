"""What services need of one another, each as a small Protocol; `app.py` hands the real ones over.

Several nouns have files of their own beside this one: functions, networks, discovery, targets, metrics, images.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from cumulo.base.caller import Caller


class LogEvent(NamedTuple):
    """One line for CloudWatch Logs."""

    timestamp_ms: int
    message: str


class LogSink(Protocol):
    """Takes the output of functions and containers."""

    def append(self, account: str, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        """Add events to a stream; group and stream come into being when they are missing.

        Returns at once.  The events are safe from a kill of the process after `Journal.flush()`.
        """
        ...


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What was used: `quantity` of `kind` by `resource`, between two moments.

    `service` and `kind` name a line of the price book (`lambda`, `requests`); `quantity` is in that line's
    unit (requests, GB-seconds, ...), not in money.
    """

    account: str
    region: str
    service: str
    kind: str
    resource: str
    quantity: float
    start_ms: int
    end_ms: int


class UsageSink(Protocol):
    """Takes usage records; committed together with what caused them."""

    def record(self, *records: Usage) -> None:
        """Add records.  Returns at once; safe from a kill of the process after `Journal.flush()`."""
        ...


class UsageLedger(Protocol):
    """Takes usage records that must count exactly once, as part of a change of the store."""

    def keep(self, *records: Usage) -> None:
        """Add records in the store's transaction of this moment: they are kept with its next commit, or not at all."""
        ...


class ObjectReader(Protocol):
    """Reads objects of S3, wherever the companion for S3 lives."""

    async def read_object(
        self, caller: Caller, bucket: str, key: str, version: str | None, *, bytes_max: int
    ) -> bytes:
        """The object's bytes.  AwsError NoSuchBucket, NoSuchKey, NoSuchVersion, or EntityTooLarge."""
        ...


class Secrets(Protocol):
    """Reads secrets of Secrets Manager, wherever its companion lives."""

    async def secret(self, account: str, region: str, secret: str) -> str:
        """The text of a secret (name or ARN).  AwsError as Secrets Manager says it."""
        ...


class EventBus(Protocol):
    """The default event bus of EventBridge, wherever its companion lives."""

    async def put(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
        *,
        at: float | None = None,
    ) -> None:
        """Deliver one event, which happened at `at` (seconds since the epoch).

        AwsError: with a status of 500 or more it may be tried again, otherwise the event is refused.
        """
        ...

    async def listens(self, account: str, region: str) -> bool:
        """Whether any rule there could take an event now; who has many events asks once.  AwsError as above."""
        ...


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate with its key, in PEM.

    chain         what leads from it to its authority
    names         the domain names that it is for; wildcards as they are
    self_signed   whether it was made here, because the keeper does not give the real key away
    """

    arn: str
    certificate: str
    key: str
    chain: str = ""
    names: tuple[str, ...] = ()
    self_signed: bool = False


class Certificates(Protocol):
    """Certificates of ACM and of IAM, wherever their companions live."""

    async def certificate(self, caller: Caller, arn: str) -> Certificate | None:
        """The certificate with this ARN; None when there is none.  AwsError when its keeper cannot be asked."""
        ...


class Credentials(msgspec.Struct, frozen=True):
    """Temporary keys of a role."""

    access_key: str
    secret_key: str
    session_token: str
    expires_at: float


class RoleSessions(Protocol):
    """Gives running code the temporary keys of its role."""

    def issue(self, account: str, role_arn: str, session_name: str) -> Credentials:
        """Make keys that the door recognises as this role of this account."""
        ...


class Parameters(Protocol):
    """Reads parameters of Systems Manager, wherever its companion lives."""

    async def parameter(self, account: str, region: str, name: str) -> str:
        """The decrypted value of a parameter (name or ARN).  AwsError as Systems Manager says it."""
        ...


class ScalableServices(Protocol):
    """Services of ECS, for Application Auto Scaling."""

    def desired_count(self, account: str, region: str, resource: str) -> int | None:
        """Of `service/<cluster>/<name>`; None when there is no such ACTIVE service."""
        ...

    async def set_desired_count(self, account: str, region: str, resource: str, count: int) -> None:
        """Change it; committed when it returns.  AwsError as UpdateService says it."""
        ...
