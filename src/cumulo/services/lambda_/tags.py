"""Tags of functions."""

from collections.abc import Mapping

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import not_implemented
from cumulo.base.ids import Ids
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.model import Function, UpdateStatus
from cumulo.services.lambda_.names import Target, target
from cumulo.services.lambda_.quotas import TAGS_MAX
from cumulo.services.lambda_.registry import Registry
from cumulo.wire.service import Operation, Values

VALUE_CHARACTERS_MAX = 256


def checked(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that a resource may have; AwsError when there are too many or one is not allowed."""
    if len(tags) > TAGS_MAX:
        raise errors.invalid("Number of tags exceeds resource tag limit.")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise errors.invalid("aws: prefixed tag key names are not allowed for external use.")
        if len(value) > VALUE_CHARACTERS_MAX:
            raise errors.broken_constraint(
                value, "tags", f"Member must have length less than or equal to {VALUE_CHARACTERS_MAX}"
            )
    return dict(tags)


class Tags:
    """TagResource, UntagResource, ListTags."""

    def __init__(self, registry: Registry, ids: Ids) -> None:
        self._registry = registry
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "TagResource": Operation(self.tag_resource),
            "UntagResource": Operation(self.untag_resource),
            "ListTags": Operation(self.list_tags),
        }

    async def tag_resource(self, caller: Caller, values: Values) -> Values | None:
        """Add tags, or change their values."""
        function = self._function(caller, values["Resource"], "TagResource")
        if not values["Tags"]:
            raise errors.invalid("An error occurred and the request cannot be processed.")
        await self._write(function, checked(function.tags | checked(values["Tags"])))
        return None

    async def untag_resource(self, caller: Caller, values: Values) -> Values | None:
        """Remove tags; keys that are not there do not matter."""
        function = self._function(caller, values["Resource"], "UntagResource")
        gone = set(values["TagKeys"])
        await self._write(function, {key: value for key, value in function.tags.items() if key not in gone})
        return None

    async def list_tags(self, caller: Caller, values: Values) -> Values | None:
        """Show a function's tags."""
        return {"Tags": dict(self._function(caller, values["Resource"], "ListTags").tags)}

    def _function(self, caller: Caller, arn: str, operation: str) -> Function:
        return self._registry.get(_taggable(caller, arn, operation))

    async def _write(self, function: Function, tags: dict[str, str]) -> None:
        if function.latest.last_update is UpdateStatus.IN_PROGRESS:
            raise errors.update_in_progress(function.latest.function_arn)
        if tags != function.tags:
            latest = msgspec.structs.replace(function.latest, revision_id=self._ids.uuid())
            self._registry.put(msgspec.structs.replace(function, tags=tags, latest=latest))
        await self._registry.commit()


def _taggable(caller: Caller, text: str, operation: str) -> Target:
    arn = parse_arn(text)
    if arn is None or arn.service != "lambda":
        raise errors.broken_constraint(
            text, "resource", "Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:.+"
        )
    kind, _, name = arn.resource.partition(":")
    if kind != "function":
        if kind == "event-source-mapping":
            raise errors.nothing_there()  # there are none
        raise not_implemented("lambda", f"{operation} for {kind}")
    if ":" in name:
        raise errors.invalid(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return target(caller, text, operation=operation)
