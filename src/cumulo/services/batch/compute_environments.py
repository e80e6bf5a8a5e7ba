"""Compute environments: the operations.  What they promise is kept by `capacity/`, which they wake."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock, millis
from cumulo.base.ids import Ids
from cumulo.services.batch.environment_rules import check_new, filled, role_arn
from cumulo.services.batch.environment_states import changed, removed
from cumulo.services.batch.environment_updates import updated
from cumulo.services.batch.environment_views import environment_view
from cumulo.services.batch.errors import client, unfit, wrapped
from cumulo.services.batch.model import ComputeEnvironment
from cumulo.services.batch.paging import check_either, one_page
from cumulo.services.batch.resources import Resources, arn_of, place_of
from cumulo.wire.service import Operation, Values

ENVIRONMENTS_MAX: Final = 50
EXISTS: Final = "Object already exists"
IN_USE: Final = "Cannot delete, found existing JobQueue relationship"

CheckTypes = Callable[[Caller, Sequence[str]], Awaitable[None]]


class ComputeEnvironments:
    """The operations.

    check_types  ClientException for instance types that there are none of
    desired      the vCPUs that an environment has now, or that are on their way
    woken        is told that there is something to do in `capacity/`
    """

    def __init__(
        self,
        resources: Resources,
        clock: Clock,
        ids: Ids,
        *,
        check_types: CheckTypes,
        desired: Callable[[ComputeEnvironment], int],
        woken: Callable[[], None],
    ) -> None:
        self._resources = resources
        self._clock = clock
        self._ids = ids
        self._check_types = check_types
        self._desired = desired
        self._woken = woken

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return wrapped(
            {
                "CreateComputeEnvironment": Operation(
                    self.create, note="on ECS: EC2, SPOT, FARGATE, FARGATE_SPOT and UNMANAGED"
                ),
                "DescribeComputeEnvironments": Operation(self.describe),
                "UpdateComputeEnvironment": Operation(self.update),
                "DeleteComputeEnvironment": Operation(self.delete),
            }
        )

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateComputeEnvironment: CREATING, until its cluster is there."""
        check_new(values)
        asked = values.get("computeResources") or {}
        if asked.get("instanceTypes"):
            await self._check_types(caller, asked["instanceTypes"])
        if self._resources.environment(caller, values["computeEnvironmentName"]) is not None:
            raise client(EXISTS)
        if self._resources.environments.count("place", place_of(caller)) >= ENVIRONMENTS_MAX:
            raise unfit(f"Account cannot have more than {ENVIRONMENTS_MAX} compute environments.")
        now = millis(self._clock)
        made = self._resources.environments.put(
            ComputeEnvironment(
                account=caller.account,
                region=caller.region,
                name=values["computeEnvironmentName"],
                uuid=self._ids.uuid(),
                kind=values["type"],
                resources=filled(asked) if asked else {},
                unmanaged_vcpus=values.get("unmanagedvCpus", 0),
                service_role=role_arn(caller.account, values.get("serviceRole", "")),
                ecs_settings=values.get("ecsSettings") or {},
                context=values.get("context", ""),
                created_at=now,
                changed_at=now,
                tags=values.get("tags") or {},
            )
        )
        return await self._done(made)

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeComputeEnvironments: names that nobody has are left out."""
        check_either(values, "computeEnvironments")
        names = values.get("computeEnvironments")
        if names:
            asked = [self._resources.environment(caller, name) for name in dict.fromkeys(names)]
            found, token = [one for one in asked if one is not None], None
        else:
            own = self._resources.environments.by("place", place_of(caller))
            found, token = one_page(sorted(own, key=lambda one: one.name), lambda one: one.name, values)
        return {
            "computeEnvironments": [environment_view(one, self._desired(one)) for one in found],
            "nextToken": token,
        }

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateComputeEnvironment: UPDATING, until it is as it was asked for."""
        before = self._found(caller, values)
        changed(before)
        as_asked = updated(before, values, desired=self._desired(before))
        types = as_asked.resources.get("instanceTypes") or []
        if types != (before.resources.get("instanceTypes") or []):
            await self._check_types(caller, types)
            before = self._found(caller, values)  # something may have come between
            as_asked = updated(before, values, desired=self._desired(before))
        made = changed(replace(as_asked, changed_at=millis(self._clock)))
        self._resources.environments.put(made)
        return await self._done(made)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteComputeEnvironment: DELETING, until nothing of it is left; one that is not there is deleted."""
        before = self._resources.environment(caller, values["computeEnvironment"])
        if before is None:
            return {}
        made = removed(before)
        if self._resources.queues_of(before):
            raise client(IN_USE)
        self._resources.environments.put(replace(made, changed_at=millis(self._clock)))
        await self._done(made)
        return {}

    def _found(self, caller: Caller, values: Values) -> ComputeEnvironment:
        name = values["computeEnvironment"]
        found = self._resources.environment(caller, name)
        if found is None:
            raise client(f"{arn_of(caller, 'compute-environment', name)} does not exist")
        return found

    async def _done(self, made: ComputeEnvironment) -> Values:
        await self._resources.store.commit()
        self._woken()
        return {"computeEnvironmentName": made.name, "computeEnvironmentArn": made.arn}
