"""Which repository and which page a request means."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol, TypeVar

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.pages import decode_marker, encode_marker
from cumulo.services.ecr.core import Catalog
from cumulo.services.ecr.model import Image, Repository, invalid
from cumulo.services.ecr.refusals import constraint
from cumulo.wire.service import Values

T = TypeVar("T")
PAGE_DEFAULT = 100
LOOKED_AT_ONCE = 2_000  # a few milliseconds


class Repositories(Protocol):
    """What finds a repository: the catalog."""

    def repository(self, account: str, region: str, name: str) -> Repository:
        """The repository.  AwsError RepositoryNotFoundException."""
        ...


def account_of(caller: Caller, values: Values) -> str:
    """Whose registry a request is about: one machine has one owner, so `registryId` may be anybody's."""
    return str(values.get("registryId") or caller.account)


def repository_of(catalog: Repositories, caller: Caller, values: Values) -> Repository:
    """The repository of a request.  AwsError RepositoryNotFoundException."""
    return catalog.repository(account_of(caller, values), caller.region, values["repositoryName"])


def image_of(catalog: Catalog, repository: Repository, asked: Values) -> Image:
    """The image of an `imageId`.  AwsError ImageNotFoundException."""
    return catalog.image(repository, tag=asked.get("imageTag", ""), digest=asked.get("imageDigest", ""))


async def one_page(
    items: Callable[[str], Iterable[T]],
    key: Callable[[T], str],
    values: Values,
    *,
    default: int = PAGE_DEFAULT,
    wanted: Callable[[T], bool] = lambda _item: True,
) -> tuple[list[T], str | None]:
    """A page of those `items(after)` that are wanted, and the next token.

    `items` yields what has a greater key, in order.  Others have their turn while it takes long, so it is asked again
    after each of them: things may change in between.
    """
    token = values.get("nextToken")
    try:
        after = decode_marker(token, "InvalidParameterException") if token else ""
    except AwsError as error:
        raise constraint("NextToken", error.message) from error
    size = int(values.get("maxResults") or default)
    taken: list[T] = []
    while True:
        looked = 0
        for item in islice(items(after), LOOKED_AT_ONCE):
            looked += 1
            last = item
            if wanted(item):
                if len(taken) == size:
                    return taken, encode_marker(key(taken[-1]))
                taken.append(item)
        if looked < LOOKED_AT_ONCE:
            return taken, None
        after = key(last)
        await asyncio.sleep(0)


def no_paging(values: Values, named: str) -> None:
    """Refuse nextToken and maxResults where the request names what it wants."""
    if values.get(named) and (values.get("nextToken") is not None or values.get("maxResults") is not None):
        raise invalid(f"nextToken and maxResults cannot be used when {named} is specified")
