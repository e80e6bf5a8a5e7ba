"""Tags of load balancers, listeners, rules and target groups."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.elbv2 import arns, finding, refusals
from cumulo.services.elbv2.model import Document, Tags
from cumulo.services.elbv2.records import Records
from cumulo.wire.service import Values

TAGS_MAX: Final = 50
RESOURCES_MAX: Final = 20


def checked_tags(given: Sequence[Document], have: Tags) -> dict[str, str]:
    """The tags with the given ones over them.  AwsError for a key that comes twice, is AWS's, or is one too many."""
    added: dict[str, str] = {}
    for tag in given:
        key = tag["Key"]
        if key in added:
            raise AwsError("DuplicateTagKeys", f"Duplicate tag keys found: {key}")
        if key.lower().startswith("aws:"):
            raise refusals.invalid(
                f"Tag key '{key}' is not valid: the prefix 'aws:' is reserved for system use"
            )
        added[key] = tag.get("Value", "")
    after = {**have, **added}
    if len(after) > TAGS_MAX:
        raise AwsError("TooManyTags", f"The maximum number of tags for a resource is '{TAGS_MAX}'")
    return after


class Tagging:
    """The operations on tags."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, caller: Caller, values: Values) -> Values | None:
        """AddTags."""
        found = [self._find(caller, arn) for arn in values["ResourceArns"]]
        changed = [(one, checked_tags(values["Tags"], one.tags)) for one in found]
        for one, tags in changed:
            self._put(one, tags)
        await self._records.store.commit()
        return {}

    async def remove(self, caller: Caller, values: Values) -> Values | None:
        """RemoveTags."""
        gone = set(values["TagKeys"])
        for one in [self._find(caller, arn) for arn in values["ResourceArns"]]:
            self._put(one, {key: value for key, value in one.tags.items() if key not in gone})
        await self._records.store.commit()
        return {}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeTags."""
        asked = list(dict.fromkeys(values["ResourceArns"]))
        if len(asked) > RESOURCES_MAX:
            raise refusals.invalid(f"The maximum number of resources is '{RESOURCES_MAX}'")
        found = [self._find(caller, arn) for arn in asked]
        return {
            "TagDescriptions": [
                {
                    "ResourceArn": one.arn,
                    "Tags": [{"Key": key, "Value": value} for key, value in one.tags.items()],
                }
                for one in found
            ]
        }

    def _find(self, caller: Caller, arn: str) -> Any:
        kind = arns.kind_of(arn)
        if kind == "load balancer":
            return finding.balancer_of(self._records, caller, arn)
        if kind == "target group":
            return finding.group_of(self._records, caller, arn)
        if kind == "listener":
            return finding.listener_of(self._records, caller, arn)[0]
        if kind == "listener rule":
            return finding.rule_of(self._records, caller, arn)[0]
        raise refusals.bad_arn(arn, "resource")

    def _put(self, one: Any, tags: Mapping[str, str]) -> None:
        shelf: Any = {
            "load balancer": self._records.balancers,
            "target group": self._records.groups,
            "listener": self._records.listeners,
            "listener rule": self._records.rules,
        }[arns.kind_of(one.arn)]
        shelf.put(msgspec.structs.replace(one, tags=dict(tags)))
