"""Which repository and which page a request means."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol, TypeVar

from cumulo.base.caller import Caller
from cumulo.base.pages import decode_marker, encode_marker
from cumulo.services.ecr.model import Repository, invalid
from cumulo.wire.service import Values

T = TypeVar("T")
PAGE_DEFAULT = 100


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


def one_page(
    items: Callable[[str], Iterable[T]],
    key: Callable[[T], str],
    values: Values,
    *,
    default: int = PAGE_DEFAULT,
) -> tuple[list[T], str | None]:
    """A page of `items(after)`, which yields those whose key is greater, in order; and the next token."""
    token = values.get("nextToken")
    after = decode_marker(token, "InvalidParameterException") if token else ""
    size = int(values.get("maxResults") or default)
    taken = list(islice(items(after), size + 1))
    more = len(taken) > size
    del taken[size:]
    return taken, encode_marker(key(taken[-1])) if more else None


def no_paging(values: Values, named: str) -> None:
    """Refuse nextToken and maxResults where the request names what it wants."""
    if values.get(named) and (values.get("nextToken") is not None or values.get("maxResults") is not None):
        raise invalid(f"nextToken and maxResults cannot be used when {named} is specified")
