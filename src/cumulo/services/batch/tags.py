"""TagResource, UntagResource and ListTagsForResource, for everything of Batch that has an ARN."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from msgspec.structs import replace

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.services.batch.environment_rules import check_tags
from cumulo.services.batch.errors import client, unfit, wrapped
from cumulo.services.batch.model import ComputeEnvironment, JobQueue, SchedulingPolicy
from cumulo.services.batch.resources import Resources
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store
from cumulo.wire.service import Operation, Values

T = TypeVar("T", ComputeEnvironment, JobQueue, SchedulingPolicy)


class Tagged(Protocol):
    """Resources of one kind, by ARN; only those of the ARN's own account and region are asked for."""

    def tags(self, arn: str) -> Mapping[str, str] | None:
        """A resource's tags; None when there is no such resource."""
        ...

    def put_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Give a resource that is there these tags instead; the caller commits."""
        ...


class TaggedShelf:
    """Resources that are kept on a shelf."""

    def __init__(self, shelf: Shelf[T]) -> None:
        self._get: Callable[[str], Mapping[str, str] | None] = lambda arn: _tags(shelf.get(arn))
        self._put: Callable[[str, Mapping[str, str]], None] = lambda arn, tags: _put(shelf, arn, tags)

    def tags(self, arn: str) -> Mapping[str, str] | None:
        """See Tagged."""
        return self._get(arn)

    def put_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """See Tagged."""
        self._put(arn, tags)


def tagged_resources(resources: Resources) -> dict[str, Tagged]:
    """By the first part of an ARN's resource."""
    return {
        "compute-environment": TaggedShelf(resources.environments),
        "job-queue": TaggedShelf(resources.queues),
        "scheduling-policy": TaggedShelf(resources.policies),
    }


class Tags:
    """The operations; `kinds` by the first part of an ARN's resource: compute-environment, job, job-definition, ..."""

    def __init__(self, store: Store, kinds: Mapping[str, Tagged]) -> None:
        self._store = store
        self._kinds = kinds

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return wrapped(
            {
                "TagResource": Operation(self.tag),
                "UntagResource": Operation(self.untag),
                "ListTagsForResource": Operation(self.list_),
            }
        )

    async def tag(self, caller: Caller, values: Values) -> Values | None:
        """TagResource: adds tags, or changes their values."""
        kind, arn, before = self._found(caller, values)
        after = {**before, **values["tags"]}
        check_tags(values["tags"])
        check_tags(after)
        kind.put_tags(arn, after)
        await self._store.commit()
        return {}

    async def untag(self, caller: Caller, values: Values) -> Values | None:
        """UntagResource: keys that are not there do no harm."""
        kind, arn, before = self._found(caller, values)
        kind.put_tags(arn, {key: value for key, value in before.items() if key not in values["tagKeys"]})
        await self._store.commit()
        return {}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListTagsForResource."""
        _, _, tags = self._found(caller, values)
        return {"tags": dict(tags)}

    def _found(self, caller: Caller, values: Values) -> tuple[Tagged, str, Mapping[str, str]]:
        arn = values["resourceArn"]
        parsed = parse_arn(arn)
        if parsed is None or parsed.service != "batch":
            raise unfit(f"Invalid resource ARN: {arn}")
        kind = self._kinds.get(parsed.resource.partition("/")[0])
        own = (parsed.account, parsed.region) == (caller.account, caller.region)
        tags = kind.tags(arn) if kind is not None and own else None
        if kind is None or tags is None:
            raise client(f"{arn} does not exist")
        return kind, arn, tags


def _tags(found: ComputeEnvironment | JobQueue | SchedulingPolicy | None) -> Mapping[str, str] | None:
    return None if found is None else found.tags


def _put(shelf: Shelf[T], arn: str, tags: Mapping[str, str]) -> None:
    found = shelf.get(arn)
    if found is not None:
        shelf.put(replace(found, tags=tags))
