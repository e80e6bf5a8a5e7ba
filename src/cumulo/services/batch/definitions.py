"""The operations on job definitions.

RegisterJobDefinition ──▶ ACTIVE ──DeregisterJobDefinition──▶ INACTIVE ──180 days──▶ gone
"""

from collections.abc import Mapping

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock, millis
from cumulo.services.batch.definition_records import DefinitionRecords, parse_reference
from cumulo.services.batch.definition_rules import definition_members
from cumulo.services.batch.definition_views import definition_view
from cumulo.services.batch.errors import unfit, wrapped
from cumulo.services.batch.model import JobDefinition
from cumulo.services.batch.paging import PAGE_MAX, one_page
from cumulo.wire.service import Operation, Values

INACTIVE_KEPT_MS = 180 * 24 * 3600 * 1000
FORGOTTEN_AT_ONCE_MAX = 1000


class Definitions:
    """The operations."""

    def __init__(self, records: DefinitionRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return wrapped(
            {
                "RegisterJobDefinition": Operation(
                    self.register,
                    note="EKS, managed instances, consumable resources, FireLens, S3 Files and Windows are refused by name",
                ),
                "DescribeJobDefinitions": Operation(self.describe),
                "DeregisterJobDefinition": Operation(self.deregister),
            }
        )

    async def register(self, caller: Caller, values: Values) -> Values | None:
        """RegisterJobDefinition."""
        members = definition_members(values)
        account, region = caller.account, caller.region
        definition = self._records.put(
            JobDefinition(
                account=account,
                region=region,
                revision=self._records.next_revision(account, region, members["name"]),
                created_at=millis(self._clock),
                **members,
            )
        )
        await self._records.store.commit()
        return {
            "jobDefinitionName": definition.name,
            "jobDefinitionArn": definition.arn,
            "revision": definition.revision,
        }

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeJobDefinitions: those that are named (INACTIVE ones too), or a page of all."""
        names = values.get("jobDefinitions")
        if names:
            if len(names) > PAGE_MAX:
                raise unfit(f"Maximum number of job definitions supported is {PAGE_MAX}.")
            found = {one.arn: one for name in names for one in self._named(caller, name)}
            return {"jobDefinitions": [definition_view(one) for one in found.values()]}
        name, status = values.get("jobDefinitionName"), values.get("status")
        every = self._records.all(caller.account, caller.region)
        chosen = [
            one
            for one in every
            if (name is None or one.name == name) and (status is None or one.status == status)
        ]
        taken, token = one_page(chosen, _place, values)
        return {"jobDefinitions": [definition_view(one) for one in taken], "nextToken": token}

    async def deregister(self, caller: Caller, values: Values) -> Values | None:
        """DeregisterJobDefinition; again it is the same."""
        text = values["jobDefinition"]
        reference = parse_reference(caller.account, caller.region, text)
        if reference is None or reference.revision is None:
            raise unfit(f"Job definition {text} must be an ARN or of the form name:revision.")
        found = self._records.find(caller.account, caller.region, reference)
        if found is None:
            raise unfit(f"Job definition {text} does not exist.")
        if found.status == "ACTIVE":
            gone = msgspec.structs.replace(found, status="INACTIVE", deregistered_at=millis(self._clock))
            self._records.put(gone)
            await self._records.store.commit()
        return None

    async def forget(self) -> int:
        """Forget some of the revisions that were deregistered 180 days ago; how many, 0 when there are none left."""
        before = millis(self._clock) - INACTIVE_KEPT_MS
        old = [one for one in self._records.inactive() if one.deregistered_at <= before]
        for one in old[:FORGOTTEN_AT_ONCE_MAX]:
            self._records.delete(one)
        if old:
            await self._records.store.commit()
        return min(len(old), FORGOTTEN_AT_ONCE_MAX)

    def _named(self, caller: Caller, text: str) -> list[JobDefinition]:
        reference = parse_reference(caller.account, caller.region, text)
        if reference is None:
            return []
        if reference.revision is None:
            return self._records.named(caller.account, caller.region, reference.name)
        found = self._records.find(caller.account, caller.region, reference)
        return [found] if found else []


def _place(one: JobDefinition) -> str:
    return f"{one.name}\x1f{one.revision:09d}"
