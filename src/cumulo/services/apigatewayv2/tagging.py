"""Tags of APIs, stages and VPC links, by ARN.

arn:aws:apigateway:<region>::/apis/<id>  /apis/<id>/stages/<name>  /vpclinks/<id>

What else lies behind such ARNs (REST APIs, domain names) has a keeper of its own, by the ARN's first word.
"""

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import unquote

from msgspec.structs import replace

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.apigatewayv2 import bounds
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.records import Stage, VpcLink
from cumulo.services.apigatewayv2.refusals import bad, missing
from cumulo.state.store import join_key
from cumulo.wire.service import Coverage, Operation, Values

TAGS_MAX: Final = 50
_KEY_MAX: Final = 128
_VALUE_MAX: Final = 256
Tags = Mapping[str, str]


class Keeper(Protocol):
    """Who keeps the tags of one kind of resources; `path` is the ARN's: ["domainnames", "example.com"]."""

    def tags(self, caller: Caller, path: list[str]) -> Tags | None:
        """The tags, or None when there is no such thing."""
        ...

    def retag(self, caller: Caller, path: list[str], tags: Tags) -> None:
        """Keep these instead; who calls commits."""
        ...


class Tagging:
    """The operations on tags.  `keepers` by the first word of an ARN's path; others may add theirs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.keepers: dict[str, Keeper] = {"apis": _ApiTags(desk), "vpclinks": _LinkTags(desk)}

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "GetTags": Operation(self.get),
            "TagResource": Operation(self.tag, Coverage.STORED),
            "UntagResource": Operation(self.untag, Coverage.STORED),
        }

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show tags."""
        return {"Tags": dict(self._find(caller, values)[2])}

    async def tag(self, caller: Caller, values: Values) -> Values:
        """Add tags, over those with the same keys."""
        bounds.check(values)
        keeper, path, have = self._find(caller, values)
        keeper.retag(caller, path, checked(values.get("Tags") or {}, have))
        await self._desk.settle([])
        return {}

    async def untag(self, caller: Caller, values: Values) -> None:
        """Take tags away; harmless for keys that are not there."""
        keeper, path, have = self._find(caller, values)
        gone = set(values["TagKeys"])
        keeper.retag(caller, path, {key: value for key, value in have.items() if key not in gone})
        await self._desk.settle([])

    def _find(self, caller: Caller, values: Values) -> tuple[Keeper, list[str], Tags]:
        path = path_of(values["ResourceArn"], caller.region)
        keeper = self.keepers.get(path[0])
        tags = keeper.tags(caller, path) if keeper is not None else None
        if keeper is None or tags is None:
            raise AwsError("NotFoundException", "Invalid resource identifier specified", status=404)
        return keeper, path, tags


class _ApiTags:
    """Tags of APIs and of their stages."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def tags(self, caller: Caller, path: list[str]) -> Tags | None:
        """The tags of an API, or of a stage."""
        api = self._desk.records.apis.get(join_key(caller.account, caller.region, path[1]))
        if api is None or len(path) == 2:
            return None if api is None else api.tags
        stage = self._stage(caller, path)
        return None if stage is None else stage.tags

    def retag(self, caller: Caller, path: list[str], tags: Tags) -> None:
        """Keep these instead."""
        stage = self._stage(caller, path)
        if stage is not None:
            self._desk.records.stages.put(replace(stage, tags=tags))
            return
        api = self._desk.records.apis.get(join_key(caller.account, caller.region, path[1]))
        if api is None:
            raise missing("API")
        self._desk.records.apis.put(replace(api, tags=tags))

    def _stage(self, caller: Caller, path: list[str]) -> Stage | None:
        if len(path) != 4 or path[2] != "stages":
            return None
        return self._desk.records.stages.get(join_key(caller.account, caller.region, path[1], path[3]))


class _LinkTags:
    """Tags of VPC links."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def tags(self, caller: Caller, path: list[str]) -> Tags | None:
        """The tags of a link."""
        link = self._link(caller, path)
        return None if link is None else link.tags

    def retag(self, caller: Caller, path: list[str], tags: Tags) -> None:
        """Keep these instead."""
        link = self._link(caller, path)
        if link is None:
            raise missing("VpcLink")
        self._desk.records.links.put(replace(link, tags=tags))

    def _link(self, caller: Caller, path: list[str]) -> VpcLink | None:
        if len(path) != 2:
            return None
        link = self._desk.records.links.get(join_key(caller.account, caller.region, path[1]))
        return None if link is None or link.deleted else link


def path_of(arn: str, region: str) -> list[str]:
    """The words of an API Gateway ARN's path.  BadRequestException, NotFoundException in another region."""
    found = parse_arn(unquote(arn))
    if found is None or found.service != "apigateway" or not found.resource.startswith("/"):
        raise bad("Invalid ARN specified in the request")
    path = found.resource[1:].split("/")
    if found.region != region or len(path) < 2:
        raise AwsError("NotFoundException", "Invalid resource identifier specified", status=404)
    return path


def checked(sent: Tags, have: Tags) -> dict[str, str]:
    """Tags with those that are sent over them.  BadRequestException."""
    for key, value in sent.items():
        if key.lower().startswith("aws:"):
            raise bad(
                f"Invalid tag key: {key}. aws: prefixed tag key names are not allowed for external use."
            )
        if not key or len(key) > _KEY_MAX:
            raise bad(f"Tag keys must have 1 to {_KEY_MAX} characters")
        if len(value) > _VALUE_MAX:
            raise bad(f"Tag values must have at most {_VALUE_MAX} characters")
    made = {**have, **sent}
    if len(made) > TAGS_MAX:
        raise bad(f"The maximum number of tags for a resource is {TAGS_MAX}")
    return made
