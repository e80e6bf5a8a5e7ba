"""Pagination: opaque markers over a sorted list of keys."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from cumulo.base.errors import AwsError

T = TypeVar("T")


def page(
    items: Sequence[T],
    key: Callable[[T], str],
    *,
    marker: str | None,
    size: int,
    error: str = "InvalidParameterValueException",
) -> tuple[list[T], str | None]:
    """Take one page of `items` (sorted by `key`) after `marker`; also the next marker, None at the end.

    A marker that we did not make raises `error`.
    """
    after = decode_marker(marker, error) if marker else None
    rest = [item for item in items if after is None or key(item) > after]
    taken = rest[:size]
    more = len(rest) > size
    return taken, encode_marker(key(taken[-1])) if more and taken else None


def encode_marker(key: str) -> str:
    """Hide a key in an opaque marker."""
    return base64.urlsafe_b64encode(b"v1:" + key.encode()).decode()


def decode_marker(marker: str, error: str = "InvalidParameterValueException") -> str:
    """The key inside a marker of ours."""
    try:
        raw = base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raw = ""
    if not raw.startswith("v1:"):
        raise AwsError(error, "Invalid pagination token")
    return raw[3:]
