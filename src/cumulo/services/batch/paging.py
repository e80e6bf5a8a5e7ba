"""Lists in pages, as Batch gives them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cumulo.base.errors import AwsError
from cumulo.base.pages import decode_marker, encode_marker
from cumulo.services.batch.errors import unfit
from cumulo.wire.service import Values

T = TypeVar("T")
PAGE_MAX = 100


def one_page(
    items: Sequence[T], key: Callable[[T], str], values: Values, *, most: int = PAGE_MAX
) -> tuple[list[T], str | None]:
    """The page that `maxResults` and `nextToken` ask for of items sorted by key; and the next token, None at the end."""
    size, after = page_asked(values, most)
    rest = [one for one in items if after is None or key(one) > after]
    taken = rest[:size]
    return taken, encode_marker(key(taken[-1])) if len(rest) > size else None


def page_asked(values: Values, most: int) -> tuple[int, str | None]:
    """How many, and after which key; AwsError for a size or a token that is none of ours.  A size beyond `most` is `most`."""
    size = values.get("maxResults", most)
    if size < 1:
        raise unfit("maxResults must be at least 1.")
    token = values.get("nextToken")
    if not token:
        return min(size, most), None
    try:
        return min(size, most), decode_marker(token, "ClientException")
    except AwsError:
        raise unfit("nextToken is not valid.") from None


def check_either(values: Values, member: str) -> None:
    """ClientException for names and a page's size together."""
    if values.get(member) and "maxResults" in values:
        raise unfit(f"{member[:1].upper()}{member[1:]} and MaxResults cannot both be set")
