"""Describe and List operations of Batch: by names, or page by page."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cumulo.base.pages import page
from cumulo.services.batch.errors import unfit
from cumulo.wire.service import Values

T = TypeVar("T")
PAGE: int = 100


def check_either(values: Values, member: str) -> None:
    """ClientException for names and a page's size together."""
    if values.get(member) and "maxResults" in values:
        raise unfit(f"{member[:1].upper()}{member[1:]} and MaxResults cannot both be set")


def paged(found: Sequence[T], key: Callable[[T], str], values: Values) -> tuple[list[T], str | None]:
    """One page, and the marker of the next.  ClientException for a size or a marker that cannot be."""
    size = values.get("maxResults", PAGE)
    if not 1 <= size <= PAGE:
        raise unfit(f"MaxResults should be between 1 and {PAGE}.")
    ordered = sorted(found, key=key)
    return page(ordered, key, marker=values.get("nextToken"), size=size, error="ClientException")
