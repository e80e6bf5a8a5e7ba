"""The nouns of CloudWatch Logs and the rules that need no I/O."""

from typing import NamedTuple

import msgspec

from cumulo.base.arn import Arn, parse_arn, partition_of
from cumulo.base.errors import AwsError
from cumulo.state.store import join_key

EVENT_OVERHEAD_BYTES = 26  # what AWS adds to each event when it counts bytes
BATCH_BYTES_MAX = 1_048_576
EVENT_BYTES_MAX = 1_048_576
BATCH_SPAN_MS_MAX = 24 * 3600 * 1000
TOO_NEW_MS = 2 * 3600 * 1000
TOO_OLD_MS = 14 * 24 * 3600 * 1000
DAY_MS = 24 * 3600 * 1000
PAGE_BYTES_MAX = 1_048_576
PAGE_EVENTS_MAX = 10_000
TAGS_MAX = 50
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
STANDARD = "STANDARD"
TIME_MS_MAX = 1 << 41  # the year 2039: what fits an event id of 56 digits
_NUMBER_BITS = 144  # an event id is the time shifted by this, plus the event's number, as AWS's ids are


class Event(NamedTuple):
    """One log event.  `number` rises with arrival and is unique in the cloud; (time, number) sorts events."""

    time_ms: int
    number: int
    ingested_ms: int
    message: str


class Position(NamedTuple):
    """A place between events: after the event with this time and number."""

    time_ms: int
    number: int


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A log group; `id` is never used twice, so a new group does not inherit a deleted one's events."""

    id: int
    name: str
    account: str
    region: str
    created_ms: int
    retention_days: int = 0
    tags: dict[str, str] = {}
    log_class: str = STANDARD
    kms_key_id: str = ""
    protected: bool = False
    stored_bytes: int = 0

    @property
    def key(self) -> str:
        """Where the record lives."""
        return join_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        """The ARN without `:*`, AWS's logGroupArn."""
        where = Arn("logs", self.region, self.account, f"log-group:{self.name}", partition_of(self.region))
        return str(where)

    def expired_before_ms(self, now_ms: int) -> int:
        """Events older than this are expired; 0 when the group keeps them for ever."""
        return now_ms - self.retention_days * DAY_MS if self.retention_days else 0


def event_id(position: Position) -> str:
    """56 digits that sort as events do."""
    return f"{(position.time_ms << _NUMBER_BITS) | position.number:056d}"


def position_of(identifier: str) -> Position | None:
    """The position inside an event id; None when it is none of ours."""
    if len(identifier) != 56 or not (identifier.isascii() and identifier.isdigit()):
        return None
    time_ms, number = divmod(int(identifier), 1 << _NUMBER_BITS)
    return Position(time_ms, number) if number < 1 << 63 else None


def group_name_of(identifier: str, region: str) -> tuple[str, str | None]:
    """A logGroupIdentifier as (name, account); the account is None when it is a plain name."""
    arn = parse_arn(identifier)
    if arn is None:
        return identifier, None
    kind, _, name = arn.resource.partition(":")
    if arn.service != "logs" or arn.region != region or kind != "log-group" or not name:
        raise invalid("The specified log group identifier is not valid.")
    return name.removesuffix(":*").partition(":log-stream:")[0], arn.account


def message_bytes(message: str) -> int:
    """What AWS counts for one event."""
    return (len(message) if message.isascii() else len(message.encode())) + EVENT_OVERHEAD_BYTES


def invalid(message: str) -> AwsError:
    """InvalidParameterException."""
    return AwsError("InvalidParameterException", message)


def no_group() -> AwsError:
    """The answer for a group that is not there."""
    return AwsError("ResourceNotFoundException", "The specified log group does not exist.")


def no_stream() -> AwsError:
    """The answer for a stream that is not there."""
    return AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
