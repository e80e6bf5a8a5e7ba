"""The operations on task definitions.

    RegisterTaskDefinition ──▶ ACTIVE ──Deregister──▶ INACTIVE ──Delete──▶ DELETE_IN_PROGRESS ──▶ gone

A revision leaves when nothing runs it any more, and not before an hour has passed, as with AWS.  That is looked at
whenever somebody asks for definitions.  Numbers are never used again: the last one of a family is kept for ever.
"""

from collections.abc import Callable, Mapping

import msgspec

from cumulo.base.arn import partition_of
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.services.ecs.arns import definition_arn
from cumulo.services.ecs.definitions.finding import find_definition, parse_reference
from cumulo.services.ecs.definitions.rules import definition_document
from cumulo.services.ecs.definitions.views import definition_view, tag_list
from cumulo.services.ecs.listing import one_page
from cumulo.services.ecs.model import TaskDefinition
from cumulo.services.ecs.records import Records, definition_key
from cumulo.services.ecs.refusals import client, invalid
from cumulo.services.ecs.tagging import checked_tags
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

LEAVES_AFTER_SECONDS = 3600.0
DELETED_AT_ONCE_MAX = 10
_BAD_NAME = "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."
_NOT_THERE = (
    "The specified task definition does not exist. Specify a valid account, family, revision and try again."
)
_STILL_ACTIVE = (
    "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
)
_LEAVING = "The task definition could not be deregistered because it is in the process of being deleted."


class Family(msgspec.Struct, frozen=True):
    """The last number that a family has given."""

    last: int


class Definitions:
    """The operations.

    principal_of   the ARN of who holds an access key; empty when it is not known
    users          more functions that say whether a definition (its ARN) is still in use: deployments
    """

    def __init__(self, records: Records, clock: Clock, principal_of: Callable[[str], str]) -> None:
        self._records = records
        self._clock = clock
        self._principal_of = principal_of
        self._families = records.store.table("ecs_families", Family)
        self.users: list[Callable[[str], bool]] = []

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            "RegisterTaskDefinition": Operation(
                self.register, note="Windows, FSx, App Mesh and managed instances are refused by name"
            ),
            "DescribeTaskDefinition": Operation(self.describe),
            "ListTaskDefinitions": Operation(self.list_),
            "ListTaskDefinitionFamilies": Operation(self.families),
            "DeregisterTaskDefinition": Operation(self.deregister),
            "DeleteTaskDefinitions": Operation(self.delete),
        }

    async def register(self, caller: Caller, values: Values) -> Values | None:
        """RegisterTaskDefinition."""
        if values.get("tags") == []:
            raise client("Tags can not be empty.")
        document = definition_document(values, caller)
        tags = checked_tags(values.get("tags", ()), {})
        account, region, family = caller.account, caller.region, values["family"]
        key = join_key(account, region, family)
        last = self._families.get(key)
        revision = last.last + 1 if last else 1
        self._families.put(key, Family(revision))
        definition = self._records.definitions.put(
            TaskDefinition(
                account=account,
                region=region,
                family=family,
                revision=revision,
                arn=definition_arn(region, account, family, revision),
                registered_at=self._clock.now(),
                registered_by=self._principal(caller),
                document=document,
                tags=tags,
            )
        )
        await self._records.store.commit()
        answer: Values = {"taskDefinition": definition_view(definition)}
        return answer | ({"tags": tag_list(tags)} if tags else {})

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeTaskDefinition."""
        await self._tidied()
        definition = find_definition(self._records, caller, values["taskDefinition"])
        answer: Values = {"taskDefinition": definition_view(definition)}
        wanted = "TAGS" in values.get("include", ())
        return answer | ({"tags": tag_list(definition.tags)} if wanted else {})

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListTaskDefinitions: by family and number, the newest last (or first)."""
        await self._tidied()
        family = values.get("familyPrefix")
        parts = (caller.account, caller.region) if family is None else (caller.account, caller.region, family)
        status = values.get("status", "ACTIVE")
        found = [one for one in self._records.definitions.all(join_key(*parts, "")) if one.status == status]
        backwards = values.get("sort") == "DESC"
        taken, token = one_page(found, _key, values, backwards=backwards)
        return {"taskDefinitionArns": [one.arn for one in taken], "nextToken": token}

    async def families(self, caller: Caller, values: Values) -> Values | None:
        """ListTaskDefinitionFamilies: INACTIVE ones are those without an ACTIVE revision."""
        await self._tidied()
        status = values.get("status", "ALL")
        active: dict[str, bool] = {}
        for one in self._records.definitions.all(join_key(caller.account, caller.region, "")):
            active[one.family] = active.get(one.family, False) or one.status == "ACTIVE"
        names = [
            name
            for name, is_active in active.items()
            if name.startswith(values.get("familyPrefix", ""))
            and (status == "ALL" or is_active == (status == "ACTIVE"))
        ]
        taken, token = one_page(sorted(names), str, values)
        return {"families": taken, "nextToken": token}

    async def deregister(self, caller: Caller, values: Values) -> Values | None:
        """DeregisterTaskDefinition."""
        await self._tidied()
        if parse_reference(caller, values["taskDefinition"]).revision is None:
            raise invalid("Revision is missing")
        definition = find_definition(self._records, caller, values["taskDefinition"])
        if definition.status == "DELETE_IN_PROGRESS":
            raise client(_LEAVING)
        if definition.status != "ACTIVE":
            return {"taskDefinition": definition_view(definition)}
        inactive = self._records.definitions.put(
            msgspec.structs.replace(definition, status="INACTIVE", deregistered_at=self._clock.now())
        )
        await self._records.store.commit()
        return {
            "taskDefinition": {**definition_view(inactive), "deregisteredAt": None}
        }  # as AWS: not at first

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteTaskDefinitions."""
        asked = values["taskDefinitions"]
        if not asked:
            raise invalid("size of TaskDefinition references list must be greater than 0")
        if len(asked) > DELETED_AT_ONCE_MAX:
            raise invalid(f"Size of TaskDefinition references list cannot exceed {DELETED_AT_ONCE_MAX}")
        await self._tidied()
        deleted: dict[str, TaskDefinition] = {}
        failures: list[Values] = []
        for text in asked:
            found = self._deletable(caller, text)
            if isinstance(found, str):
                failures.append({"arn": text, "reason": found})
                continue
            if found.status != "DELETE_IN_PROGRESS":
                found = self._records.definitions.put(
                    msgspec.structs.replace(
                        found, status="DELETE_IN_PROGRESS", delete_requested_at=self._clock.now()
                    )
                )
            deleted[found.arn] = found
        await self._records.store.commit()
        return {"taskDefinitions": [definition_view(one) for one in deleted.values()], "failures": failures}

    def tidy(self) -> bool:
        """Remove the revisions that were deleted long enough ago and that nothing uses; whether there were any."""
        before = self._clock.now() - LEAVES_AFTER_SECONDS
        leaving = [
            one
            for one in self._records.definitions.by("leaving", "yes")
            if one.delete_requested_at <= before and not self._used(one.arn)
        ]
        for one in leaving:
            self._records.definitions.delete(one)
        return bool(leaving)

    def clear(self) -> None:
        """Forget every definition and every number."""
        self._records.definitions.clear()
        self._families.clear()

    async def _tidied(self) -> None:
        if self.tidy():
            await self._records.store.commit()

    def _used(self, arn: str) -> bool:
        if self._records.tasks.count("definition", arn):
            return True
        services = self._records.services.all()
        if any(one.definition_arn == arn and one.status != "INACTIVE" for one in services):
            return True
        return any(uses(arn) for uses in self.users)

    def _deletable(self, caller: Caller, text: str) -> TaskDefinition | str:
        """The definition, or why it cannot be deleted."""
        try:
            reference = parse_reference(caller, text)
        except AwsError:
            return _BAD_NAME
        if reference.revision is None:
            return _BAD_NAME
        key = definition_key(caller.account, caller.region, reference.family, reference.revision)
        found = None if reference.elsewhere else self._records.definitions.get(key)
        if found is None:
            return _NOT_THERE
        return _STILL_ACTIVE if found.status == "ACTIVE" else found

    def _principal(self, caller: Caller) -> str:
        root = f"arn:{partition_of(caller.region)}:iam::{caller.account}:root"
        return self._principal_of(caller.access_key) or root


def _key(one: TaskDefinition) -> str:
    return definition_key(one.account, one.region, one.family, one.revision)
