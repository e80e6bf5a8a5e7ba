"""Lists in pages: sorted by id, so that a page goes on where the last one ended whatever was deleted meanwhile."""

import base64
import binascii
import bisect
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from cumulo.services.apigatewayv2.refusals import bad
from cumulo.wire.service import Values

T = TypeVar("T")
PAGE_DEFAULT: Final = 25
PAGE_MAX: Final = 500


def page(things: Iterable[T], key: Callable[[T], str], view: Callable[[T], Any], values: Values) -> Values:
    """The page that MaxResults and NextToken ask for, and the token of the next.  BadRequestException."""
    size = _size(values.get("MaxResults"))
    found = sorted(things, key=key)
    first = _after(found, key, values.get("NextToken"))
    answer: Values = {"Items": [view(one) for one in found[first : first + size]]}
    if first + size < len(found):
        answer["NextToken"] = _token(key(found[first + size - 1]))
    return answer


def _size(text: str | None) -> int:
    if not text:
        return PAGE_DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) < 1:
        raise bad("Invalid value for maxResults")
    return min(int(text), PAGE_MAX)


def _after(found: list[T], key: Callable[[T], str], token: str | None) -> int:
    if not token:
        return 0
    try:
        last = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise bad("Invalid value for nextToken") from None
    return bisect.bisect_right(found, last, key=key)


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode("ascii")
