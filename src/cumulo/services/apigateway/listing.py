"""One page of a list: `limit` and an opaque `position`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from cumulo.base.pages import page
from cumulo.services.apigateway.quotas import PAGE_DEFAULT, PAGE_MAX
from cumulo.wire.service import Values

T = TypeVar("T")


def listed(items: Sequence[T], key: Callable[[T], str], values: Values, view: Callable[[T], Any]) -> Values:
    """The page that was asked for, as an answer's `items` and `position`; sorts by `key`."""
    size = values.get("limit", PAGE_DEFAULT)
    if size < 1:  # which AWS takes for none
        size = PAGE_DEFAULT
    taken, position = page(
        sorted(items, key=key),
        key,
        marker=values.get("position"),
        size=min(size, PAGE_MAX),
        error="BadRequestException",
    )
    return {"items": [view(one) for one in taken], "position": position}
