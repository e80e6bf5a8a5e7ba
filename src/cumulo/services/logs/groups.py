"""Log groups: create, delete, describe, retention, deletion protection."""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.pages import page
from cumulo.services.logs.model import (
    RETENTION_DAYS,
    STANDARD,
    TAGS_MAX,
    Group,
    group_name_of,
    invalid,
    no_group,
)
from cumulo.services.logs.storage import Storage
from cumulo.state.store import join_key
from cumulo.wire.service import Values

DESCRIBE_MAX = 50


class Groups:
    """The operations on log groups."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    # -- finding -----------------------------------------------------------------------------------------

    def named(self, caller: Caller, name: str) -> Group:
        """The caller's group of that name."""
        group = self._storage.groups.get(join_key(caller.account, caller.region, name))
        if group is None:
            raise no_group()
        return group

    def identified(self, caller: Caller, identifier: str) -> Group:
        """The group that a logGroupIdentifier (name or ARN) names."""
        name, account = group_name_of(identifier, caller.region)
        if account is not None and account != caller.account:
            raise no_group()
        return self.named(caller, name)

    def chosen(self, caller: Caller, values: Values) -> Group:
        """The group of a request that takes logGroupName or logGroupIdentifier."""
        name, identifier = values.get("logGroupName"), values.get("logGroupIdentifier")
        if name is not None and identifier is not None:
            raise AwsError(
                "ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters."
            )
        if name is None and identifier is None:
            raise invalid("Exactly one of logGroupName and logGroupIdentifier must be specified.")
        return self.named(caller, name) if name is not None else self.identified(caller, str(identifier))

    def _all(self, caller: Caller) -> list[Group]:
        return self._storage.groups.scan(join_key(caller.account, caller.region, ""))

    # -- operations --------------------------------------------------------------------------------------

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateLogGroup."""
        name = values["logGroupName"]
        if self._storage.groups.get(join_key(caller.account, caller.region, name)) is not None:
            raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
        if len(values.get("tags", {})) > TAGS_MAX:
            raise invalid(f"A log group can have at most {TAGS_MAX} tags.")
        self._storage.make_group(
            caller.account,
            caller.region,
            name,
            tags=dict(values.get("tags", {})),
            log_class=values.get("logGroupClass", STANDARD),
            kms_key_id=values.get("kmsKeyId", ""),
            protected=bool(values.get("deletionProtectionEnabled", False)),
        )
        await self._storage.store.commit()
        return None

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteLogGroup."""
        group = self.named(caller, values["logGroupName"])
        if group.protected:
            raise AwsError(
                "ValidationException",
                "The specified log group has deletion protection enabled. Disable it before you delete the group.",
            )
        self._storage.drop_group(group)
        await self._storage.store.commit()
        self._storage.journal.flush()
        return None

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeLogGroups."""
        prefix, pattern = values.get("logGroupNamePrefix"), values.get("logGroupNamePattern")
        identifiers = values.get("logGroupIdentifiers")
        if prefix is not None and pattern is not None:
            raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        if identifiers is not None and (
            prefix is not None or pattern is not None or "logGroupClass" in values
        ):
            raise invalid("logGroupIdentifiers cannot be combined with other filters.")
        found: Iterable[Group] = self._all(caller)
        if identifiers is not None:
            names = {group_name_of(identifier, caller.region)[0] for identifier in identifiers}
            found = [group for group in found if group.name in names]
        found = [
            group
            for group in found
            if group.name.startswith(prefix or "")
            and (pattern or "") in group.name
            and group.log_class == values.get("logGroupClass", group.log_class)
        ]
        groups, marker = page(
            found,
            lambda group: group.name,
            marker=values.get("nextToken"),
            size=values.get("limit", DESCRIBE_MAX),
            error="InvalidParameterException",
        )
        short = bool(pattern)  # AWS looks patterns up elsewhere, where less is known
        return {"logGroups": [_brief(g) if short else described(g) for g in groups], "nextToken": marker}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListLogGroups."""
        if "dataSources" in values or "fieldIndexNames" in values:
            return {"logGroups": []}  # no group has a data source or an index
        pattern = re.compile(values.get("logGroupNamePattern", "").replace(".", r"\."))
        found = [
            group
            for group in self._all(caller)
            if pattern.search(group.name)
            and group.log_class == values.get("logGroupClass", group.log_class)
            and all(_has_tag(group, wanted) for wanted in values.get("logGroupTags", []))
        ]
        groups, marker = page(
            found,
            lambda group: group.name,
            marker=values.get("nextToken"),
            size=values.get("limit", DESCRIBE_MAX),
            error="InvalidParameterException",
        )
        rows = [{"logGroupName": g.name, "logGroupArn": g.arn, "logGroupClass": g.log_class} for g in groups]
        return {"logGroups": rows, "nextToken": marker}

    async def put_retention(self, caller: Caller, values: Values) -> Values | None:
        """PutRetentionPolicy."""
        days = values["retentionInDays"]
        if days not in RETENTION_DAYS:
            allowed = ", ".join(map(str, RETENTION_DAYS))
            raise invalid(f"Invalid retention value. Valid values are: [{allowed}]")
        await self.put(replace(self.named(caller, values["logGroupName"]), retention_days=days))
        return None

    async def delete_retention(self, caller: Caller, values: Values) -> Values | None:
        """DeleteRetentionPolicy."""
        await self.put(replace(self.named(caller, values["logGroupName"]), retention_days=0))
        return None

    async def put_protection(self, caller: Caller, values: Values) -> Values | None:
        """PutLogGroupDeletionProtection."""
        group = self.identified(caller, values["logGroupIdentifier"])
        await self.put(replace(group, protected=values["deletionProtectionEnabled"]))
        return None

    async def put(self, group: Group) -> None:
        """Write a changed group, durably."""
        self._storage.groups.put(group.key, group)
        await self._storage.store.commit()


def described(group: Group) -> Values:
    """A group as DescribeLogGroups shows it."""
    return {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "retentionInDays": group.retention_days or None,
        "metricFilterCount": 0,
        "arn": f"{group.arn}:*",
        "storedBytes": group.stored_bytes,
        "kmsKeyId": group.kms_key_id or None,
        "logGroupClass": group.log_class,
        "logGroupArn": group.arn,
        "deletionProtectionEnabled": group.protected,
    }


def _brief(group: Group) -> Values:
    shown = ("logGroupName", "creationTime", "metricFilterCount", "arn", "logGroupClass", "logGroupArn")
    return {name: value for name, value in described(group).items() if name in shown}


def _has_tag(group: Group, wanted: Values) -> bool:
    value = group.tags.get(wanted["key"])
    if value is None:
        return False
    tests = wanted.get("values", [])
    return not tests or any(_tag_matches(value, test) for test in tests)


def _tag_matches(value: str, test: str) -> bool:
    negated, core = test.startswith("!"), test.removeprefix("!")
    inner = core.removeprefix("*").removesuffix("*")
    if core.startswith("*"):
        hit = inner in value if core.endswith("*") else value.endswith(inner)
    else:
        hit = value.startswith(inner) if core.endswith("*") else value == inner
    return hit != negated
