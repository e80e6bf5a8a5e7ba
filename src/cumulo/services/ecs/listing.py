"""Lists in pages, as ECS gives them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cumulo.base.pages import decode_marker, encode_marker
from cumulo.services.ecs.refusals import invalid
from cumulo.wire.service import Values

T = TypeVar("T")
PAGE_MAX = 100


def one_page(
    items: Sequence[T],
    key: Callable[[T], str],
    values: Values,
    *,
    most: int = PAGE_MAX,
    backwards: bool = False,
) -> tuple[list[T], str | None]:
    """The page that `maxResults` and `nextToken` ask for, and the next token (None at the end).

    `items` are sorted by `key`; backwards, the last comes first.  AwsError InvalidParameterException for a size that
    is not 1 to `most`, and for a token that is none of ours.
    """
    size = values.get("maxResults", most)
    if not 1 <= size <= most:
        raise invalid(f"maxResults must be between 1 and {most}.")
    token = values.get("nextToken")
    after = decode_marker(token, "InvalidParameterException") if token else None
    ordered = list(reversed(items)) if backwards else list(items)
    if after is not None:
        ordered = [one for one in ordered if (key(one) < after if backwards else key(one) > after)]
    taken = ordered[:size]
    return taken, encode_marker(key(taken[-1])) if len(ordered) > size else None
