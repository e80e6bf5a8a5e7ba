"""Timestamps, blobs, numbers and percent-encoding, as all protocols write and read them."""

import binascii
import math
from datetime import UTC, datetime, timedelta

from cumulo.wire.protocols.base import Malformed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT_LIMITS = {"integer": 2**31, "long": 2**63}
_NUMBER_DIGITS_MAX = 64
_SECONDS_MAX = 253_402_300_800  # the year 10,000
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def parse_timestamp(text: str) -> float:
    """Seconds since the epoch from ISO 8601, an HTTP date or a number; Malformed otherwise."""
    try:
        if text[:1].isdigit() and "-" in text[:8]:
            return _seconds(datetime.fromisoformat(text))
        if text[:1].isalpha() and "," in text:
            return _seconds(_from_http_date(text))
        return check_timestamp(float(text) if len(text) <= _NUMBER_DIGITS_MAX else math.inf)
    except (ValueError, OverflowError, TypeError, IndexError):
        raise Malformed(f"Unable to parse timestamp: {text[:100]}") from None


def check_timestamp(seconds: float) -> float:
    """A moment that a calendar has; Malformed otherwise."""
    if not -_SECONDS_MAX <= seconds < _SECONDS_MAX:
        raise Malformed(f"Unable to parse timestamp: {seconds}")
    return float(seconds)


def _seconds(at: datetime) -> float:
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    since = at - _EPOCH
    return (since.days * 86400 + since.seconds) + since.microseconds / 1_000_000


def moment(seconds: float) -> datetime:
    """The UTC datetime, rounded to microseconds."""
    return _EPOCH + timedelta(microseconds=round(seconds * 1_000_000))


def iso8601(seconds: float) -> str:
    """2024-01-01T00:00:00Z, with a fraction when there is one."""
    at = moment(seconds)
    text = f"{at:%Y-%m-%dT%H:%M:%S}".rjust(19, "0")
    if not at.microsecond:
        return text + "Z"
    fraction = f"{at.microsecond:06d}"
    return f"{text}.{fraction[:3] if fraction.endswith('000') else fraction}Z"


def http_date(seconds: float) -> str:
    """Mon, 01 Jan 2024 00:00:00 GMT."""
    from email.utils import format_datetime  # it takes milliseconds to import

    return format_datetime(moment(math.floor(seconds)), usegmt=True)


def _from_http_date(text: str) -> datetime:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(text)


def unix(seconds: float) -> float | int:
    """The number itself, without a useless fraction."""
    whole = int(seconds)
    return whole if whole == seconds else seconds


def format_timestamp(seconds: float, style: str) -> str:
    """A timestamp as text in one of the model's formats."""
    if style == "iso8601":
        return iso8601(seconds)
    return http_date(seconds) if style == "rfc822" else str(unix(seconds))


def decode_blob(text: str) -> bytes:
    """Bytes from base64; Malformed otherwise."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Malformed("Unable to decode base64 value") from None


def encode_blob(data: bytes | bytearray | memoryview) -> str:
    """Base64 in one line."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def parse_integer(text: str, kind: str = "long") -> int:
    """A whole number from text; Malformed otherwise."""
    try:
        if len(text) > _NUMBER_DIGITS_MAX or not text.isascii() or "_" in text:
            raise ValueError
        return check_integer(int(text), kind)
    except ValueError:
        raise Malformed(f"{text[:100]!r} is not a valid {kind}", "number") from None


def check_integer(value: int, kind: str) -> int:
    """A number that fits in the model's type; Malformed otherwise."""
    limit = _INT_LIMITS[kind]
    if not -limit <= value < limit:
        raise Malformed(f"NUMBER_VALUE can not be converted to {_AN[kind]}", "number")
    return value


def parse_float(text: str) -> float:
    """A number from text, or one of NaN, Infinity, -Infinity; Malformed otherwise."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    try:
        if len(text) > _NUMBER_DIGITS_MAX or not text.isascii() or "_" in text:
            raise ValueError
        value = float(text)
        if not math.isfinite(value):
            raise ValueError
        return value
    except ValueError:
        raise Malformed(f"{text[:100]!r} is not a valid number", "number") from None


def format_float(value: float) -> str:
    """A float as text."""
    return str(_number_or_word(value))


def json_float(value: float) -> float | str:
    """A float for JSON, which has no words for the infinite."""
    return _number_or_word(value)


def _number_or_word(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def parse_boolean(text: str) -> bool:
    """True or false from text; Malformed otherwise."""
    lowered = text.lower()
    if lowered == "true":
        return True
    if lowered == "false":
        return False
    raise Malformed(f"{text[:100]!r} is not a valid boolean", "boolean")


_AN = {"integer": "an Integer", "long": "a Long"}
