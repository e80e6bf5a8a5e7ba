"""Tags of clusters, task definitions, tasks, services, container instances and capacity providers."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.ecs.definitions.finding import find_definition
from cumulo.services.ecs.definitions.views import tag_list
from cumulo.services.ecs.model import Tags
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid, no_cluster
from cumulo.services.ecs.tagging import checked_tags, no_reserved
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

_PARTS = {
    "cluster": 1,
    "task-definition": 1,
    "capacity-provider": 1,
    "task": 2,
    "service": 2,
    "container-instance": 2,
}
_BAD_ARN = "The ARN provided is invalid."
_LONG = "Long arn format must be used for tagging operations"


class Tagged(NamedTuple):
    """Something with tags, and how to give it others."""

    tags: Tags
    put: Callable[[Tags], object]


class TagOperations:
    """The operations."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            "TagResource": Operation(self.tag),
            "UntagResource": Operation(self.untag),
            "ListTagsForResource": Operation(self.list_),
        }

    async def tag(self, caller: Caller, values: Values) -> Values | None:
        """TagResource."""
        tagged = self._by_arn(caller, values["resourceArn"])
        tagged.put(checked_tags(values["tags"], tagged.tags))
        await self._records.store.commit()
        return {}

    async def untag(self, caller: Caller, values: Values) -> Values | None:
        """UntagResource."""
        tagged = self._by_arn(caller, values["resourceArn"])
        gone = set(values["tagKeys"])
        no_reserved(gone)
        tagged.put({key: value for key, value in tagged.tags.items() if key not in gone})
        await self._records.store.commit()
        return {}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListTagsForResource."""
        return {"tags": tag_list(self._by_arn(caller, values["resourceArn"]).tags)}

    def _by_arn(self, caller: Caller, text: str) -> Tagged:
        arn = parse_arn(text)
        kind, *names = arn.resource.split("/") if arn is not None else ("",)
        if arn is None or arn.service != "ecs" or kind not in _PARTS or not all(names):
            raise invalid(_BAD_ARN)
        if (arn.account, arn.region) != (caller.account, caller.region):
            raise invalid(_BAD_ARN)
        if len(names) != _PARTS[kind]:
            raise invalid(_LONG if len(names) == 1 else _BAD_ARN)
        return self._finders()[kind](caller, text, names[-1])

    def _finders(self) -> Mapping[str, Callable[[Caller, str, str], Tagged]]:
        return {
            "cluster": self._cluster,
            "task-definition": self._definition,
            "capacity-provider": self._provider,
            "task": self._task,
            "service": self._service,
            "container-instance": self._instance,
        }

    def _cluster(self, _caller: Caller, arn: str, _name: str) -> Tagged:
        shelf = self._records.clusters
        found = shelf.get(arn)
        if found is None:
            raise no_cluster()
        if found.status == "INACTIVE":
            raise invalid("The specified cluster is inactive. Specify an active cluster and try again.")
        return Tagged(found.tags, lambda tags: shelf.put(msgspec.structs.replace(found, tags=tags)))

    def _definition(self, caller: Caller, arn: str, _name: str) -> Tagged:
        shelf = self._records.definitions
        found = find_definition(self._records, caller, arn)
        return Tagged(found.tags, lambda tags: shelf.put(msgspec.structs.replace(found, tags=tags)))

    def _provider(self, caller: Caller, _arn: str, name: str) -> Tagged:
        shelf = self._records.providers
        found = shelf.get(join_key(caller.account, caller.region, name))
        if found is None:
            raise _missing("capacity provider")
        return Tagged(found.tags, lambda tags: shelf.put(msgspec.structs.replace(found, tags=tags)))

    def _task(self, _caller: Caller, arn: str, _name: str) -> Tagged:
        shelf = self._records.tasks
        found = shelf.get(arn)
        if found is None:
            raise _missing("task")
        if not found.is_live:
            raise invalid("The specified task is stopped. Specify a running task and try again.")
        return Tagged(found.tags, lambda tags: shelf.put(msgspec.structs.replace(found, tags=tags)))

    def _service(self, _caller: Caller, arn: str, _name: str) -> Tagged:
        shelf = self._records.services
        found = next(iter(shelf.by("arn", arn)), None)
        if found is None:
            raise _missing("service")
        if found.status == "INACTIVE":
            raise invalid("The specified service is inactive. Specify an active service and try again.")
        return Tagged(found.tags, lambda tags: shelf.put(msgspec.structs.replace(found, tags=tags)))

    def _instance(self, _caller: Caller, arn: str, _name: str) -> Tagged:
        shelf = self._records.instances
        found = shelf.get(arn)
        if found is None or found.status == "INACTIVE":
            raise _missing("container instance")
        return Tagged(found.tags, lambda tags: shelf.put(msgspec.structs.replace(found, tags=tags)))


def tags_of(records: Records, resource: str) -> Mapping[str, str]:
    """The tags of a task or service (by ARN) that was metered, also when it has stopped; none when it is forgotten."""
    task = records.tasks.get(resource)
    if task is not None:
        return task.tags
    return next((one.tags for one in records.services.by("arn", resource)), {})


def _missing(what: str) -> AwsError:
    return invalid(f"The specified {what} does not exist. Specify a valid name or ARN and try again.")
