"""Tags of log groups, by name (the older operations) and by ARN."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.logs.groups import Groups
from cumulo.services.logs.model import TAGS_MAX, Group, invalid, no_group
from cumulo.wire.service import Values


class Tags:
    """The operations on tags."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    async def tag_group(self, caller: Caller, values: Values) -> Values | None:
        """TagLogGroup."""
        await self._add(self._groups.named(caller, values["logGroupName"]), values["tags"])
        return None

    async def untag_group(self, caller: Caller, values: Values) -> Values | None:
        """UntagLogGroup."""
        await self._remove(self._groups.named(caller, values["logGroupName"]), values["tags"])
        return None

    async def list_group(self, caller: Caller, values: Values) -> Values | None:
        """ListTagsLogGroup."""
        return {"tags": dict(self._groups.named(caller, values["logGroupName"]).tags)}

    async def tag(self, caller: Caller, values: Values) -> Values | None:
        """TagResource."""
        group = self._by_arn(caller, values["resourceArn"])
        if len({*group.tags, *values["tags"]}) > TAGS_MAX:
            message = f"The resource can have at most {TAGS_MAX} tags."
            fields = {"resourceName": values["resourceArn"]}
            raise AwsError("TooManyTagsException", message, fields=fields)
        await self._add(group, values["tags"])
        return None

    async def untag(self, caller: Caller, values: Values) -> Values | None:
        """UntagResource."""
        await self._remove(self._by_arn(caller, values["resourceArn"]), values["tagKeys"])
        return None

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListTagsForResource."""
        return {"tags": dict(self._by_arn(caller, values["resourceArn"]).tags)}

    def _by_arn(self, caller: Caller, text: str) -> Group:
        arn = parse_arn(text)
        if arn is None or arn.service != "logs":
            raise invalid("The specified resource ARN is not valid.")
        if not arn.resource.startswith("log-group:"):
            raise no_group()
        return self._groups.identified(caller, text)

    async def _add(self, group: Group, tags: Mapping[str, str]) -> None:
        merged = {**group.tags, **tags}
        if len(merged) > TAGS_MAX:
            raise invalid(f"A log group can have at most {TAGS_MAX} tags.")
        await self._groups.put(replace(group, tags=merged))

    async def _remove(self, group: Group, keys: Iterable[str]) -> None:
        gone = set(keys)
        await self._groups.put(replace(group, tags={k: v for k, v in group.tags.items() if k not in gone}))
