"""Operations on attributes of container instances."""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.pages import page
from cumulo.services.ecs.capacity.finding import cluster_of, find_instance
from cumulo.services.ecs.capacity.instance_attributes import CUSTOM_MAX, custom_count, is_custom, put
from cumulo.services.ecs.model import Cluster, ContainerInstance
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid
from cumulo.wire.service import Values

LISTED_MAX: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9_./\\-]{1,128}")
_VALUE: Final = re.compile(r"[A-Za-z0-9_.@/\\: -]{0,128}")


class Attributes:
    """The operations."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def put(self, caller: Caller, values: Values) -> Values:
        """PutAttributes: at most ten of users' own for each instance."""
        cluster = cluster_of(self._records, caller, values)
        asked = values["attributes"]
        if not asked:
            raise invalid("Attributes cannot be empty.")
        more: dict[str, dict[str, str]] = {}
        for one in asked:
            _check(one)
            target = self._target(cluster, one)
            more.setdefault(target.arn, {})[one["name"]] = one.get("value", "")
        changed: list[ContainerInstance] = []
        for arn, added in more.items():
            instance = self._records.instances.get(arn)
            assert instance is not None
            attributes = put(instance.attributes, added)
            if custom_count(attributes) > CUSTOM_MAX:
                raise AwsError("AttributeLimitExceededException", _LIMIT)
            changed.append(replace(instance, attributes=attributes))
        for instance in changed:
            self._records.instances.put(instance)
        await self._records.store.commit()
        return {"attributes": [_shown(one) for one in asked]}

    async def delete(self, caller: Caller, values: Values) -> Values:
        """DeleteAttributes: users' own; those that are not there are left out of the answer."""
        cluster = cluster_of(self._records, caller, values)
        gone: list[dict[str, Any]] = []
        for one in values["attributes"]:
            target = self._target(cluster, one)
            if not is_custom(one["name"]):
                raise invalid("Attributes that the agent has registered cannot be deleted.")
            instance = self._records.instances.get(target.arn) or target
            kept = tuple(have for have in instance.attributes if have["name"] != one["name"])
            if len(kept) != len(instance.attributes):
                self._records.instances.put(replace(instance, attributes=kept))
                gone.append({"name": one["name"], "targetId": target.arn})
        await self._records.store.commit()
        return {"attributes": gone}

    async def list_(self, caller: Caller, values: Values) -> Values:
        """ListAttributes: of all instances of a cluster, by name, or by name and value."""
        cluster = cluster_of(self._records, caller, values)
        name, value = values.get("attributeName"), values.get("attributeValue")
        if value is not None and name is None:
            raise invalid("An attribute value can only be given with an attribute name.")
        size = values.get("maxResults", LISTED_MAX)
        if not 1 <= size <= LISTED_MAX:
            raise invalid(f"maxResults must be between 1 and {LISTED_MAX}.")
        found = [
            {**one, "targetId": instance.arn}
            for instance in self._records.instances.by("cluster", cluster.arn)
            if instance.status != "INACTIVE"
            for one in instance.attributes
            if name in (None, one["name"]) and value in (None, one.get("value", ""))
        ]
        found.sort(key=_key)
        taken, token = page(
            found, _key, marker=values.get("nextToken"), size=size, error="InvalidParameterException"
        )
        return {"attributes": taken, "nextToken": token}

    def _target(self, cluster: Cluster, asked: Mapping[str, str]) -> ContainerInstance:
        name = asked.get("targetId", "")
        found = find_instance(self._records, cluster, name) if name else None
        if found is None or found.status == "INACTIVE":
            raise AwsError("TargetNotFoundException", _NO_TARGET)
        return found


def _check(one: Mapping[str, str]) -> None:
    if not is_custom(one["name"]):
        raise invalid("Attribute names that begin with ecs. or com.amazonaws.ecs. are reserved.")
    if not _NAME.fullmatch(one["name"]):
        raise invalid(f"The attribute name {one['name']!r} is not valid.")
    value = one.get("value", "")
    if not _VALUE.fullmatch(value) or value != value.strip():
        raise invalid(f"The attribute value {value!r} is not valid.")


def _shown(one: Mapping[str, str]) -> dict[str, str]:
    return {name: one[name] for name in ("name", "value", "targetType", "targetId") if name in one}


def _key(one: Mapping[str, Any]) -> str:
    return f"{one['targetId']}\x1f{one['name']}"


_LIMIT = (
    "You can apply up to 10 custom attributes for each resource. You can view the attributes of a resource with "
    "ListAttributes. You can remove existing attributes on a resource with DeleteAttributes."
)
_NO_TARGET = (
    "The specified target wasn't found. You can view your available container instances with ListContainerInstances. "
    "Amazon ECS container instances are cluster-specific and Region-specific."
)
