"""Deployments: what an API was at a moment, for ever.

CreateDeployment  ->  RestDefinition, encoded  ->  a stage that names it  ->  published  ->  compiled at the first request
"""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.rest import Canary
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.finding import api_of, deployment_of
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import Api, Deployment, Stage
from cumulo.services.apigateway.naming import new_id
from cumulo.services.apigateway.patches import Table, value
from cumulo.services.apigateway.publishing import Publishing, definition_of, snapshot_of
from cumulo.services.apigateway.quotas import DEPLOYMENTS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.stage_rules import check_stage_name
from cumulo.services.apigateway.stage_views import deployment_view
from cumulo.services.apigateway.stages import Stages
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

_CANARY: Final = "Invalid deployment content specified."


class Deployments:
    """The operations on deployments."""

    def __init__(
        self, records: Records, publishing: Publishing, stages: Stages, clock: Clock, ids: Ids
    ) -> None:
        self._records = records
        self._publishing = publishing
        self._stages = stages
        self._clock = clock
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateDeployment": Operation(self.create),
            "GetDeployment": Operation(self.get),
            "GetDeployments": Operation(self.get_all),
            "UpdateDeployment": Operation(self.update),
            "DeleteDeployment": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateDeployment; with a stage's name that stage is made, or moved to it."""
        api = api_of(self._records, caller, values)
        _check_deployable(api)
        if self._records.deployments.count("api", api.key) >= DEPLOYMENTS_MAX:
            raise refusals.too_many("deployments")
        definition = api.definition
        deployment = Deployment(
            account=caller.account,
            region=caller.region,
            api_id=api.id,
            id=new_id(self._ids),
            created_at=self._clock.now(),
            snapshot=snapshot_of(definition),
            api_name=definition.name,
            disable_execute_api_endpoint=definition.disable_execute_api_endpoint,
            description=values.get("description"),
        )
        stage = self._stage(caller, values, deployment)
        self._records.deployments.put(deployment)
        if stage is not None:
            self._records.stages.put(stage)
        await self._records.store.commit()
        if stage is not None:
            self._publishing.publish(stage)
        return deployment_view(deployment)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetDeployment."""
        deployment = deployment_of(self._records, caller, values)
        summarized = "apisummary" in [one.lower() for one in values.get("embed", ())]
        return deployment_view(deployment, definition_of(deployment) if summarized else None)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetDeployments, the newest first."""
        api = api_of(self._records, caller, values)
        return listed(
            self._records.deployments.by("api", api.key),
            lambda one: f"{1e12 - one.created_at:020.6f}{one.id}",
            values,
            deployment_view,
        )

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateDeployment."""
        deployment = deployment_of(self._records, caller, values)
        deployment = _PATCHES.apply(deployment, values.get("patchOperations"))
        self._records.deployments.put(deployment)
        await self._records.store.commit()
        return deployment_view(deployment)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteDeployment, unless a stage points to it."""
        deployment = deployment_of(self._records, caller, values)
        for stage in self._records.stages.by("api", deployment.api):
            canary = stage.canary.deployment_id if stage.canary is not None else ""
            if deployment.id in (stage.deployment_id, canary):
                raise refusals.bad_request(
                    "Active stages pointing to this deployment must be moved or deleted"
                )
        self._records.deployments.delete(deployment)
        await self._records.store.commit()
        return {}

    def _stage(self, caller: Caller, values: Values, deployment: Deployment) -> Stage | None:
        """The stage that shall point to the deployment, new or changed; None: none."""
        name = values.get("stageName")
        have = self._records.stages.get(join_key(deployment.api, name)) if name else None
        if "canarySettings" in values:
            stage = _with_canary(have, values, deployment.id)
        elif not name:
            return None
        elif have is None:
            check_stage_name(name)
            given = {**values, "description": values.get("stageDescription")}
            stage = self._stages.made(caller, given, deployment.id)
        else:
            stage = _moved(have, values, deployment.id)
        stage = replace(stage, updated_at=self._clock.now())
        self._stages.check(stage, deployment_is_new=True)
        return stage


def _check_deployable(api: Api) -> None:
    methods = [one for resource in api.definition.resources for one in resource.methods.values()]
    if not methods:
        raise refusals.bad_request("The REST API doesn't contain any methods")
    if any(one.integration is None for one in methods):
        raise refusals.bad_request("No integration defined for method")
    if api.definition.endpoint_types == ("PRIVATE",) and not api.definition.policy:
        raise refusals.bad_request("Private REST API doesn't have a resource policy attached to it")


def _moved(stage: Stage, values: Values, deployment_id: str) -> Stage:
    stage = replace(stage, deployment_id=deployment_id)
    if values.get("stageDescription") is not None:
        stage = replace(stage, description=values["stageDescription"])
    if values.get("variables"):
        stage = replace(stage, variables={**stage.variables, **values["variables"]})
    if values.get("tracingEnabled") is not None:
        stage = replace(stage, tracing_enabled=values["tracingEnabled"])
    if values.get("cacheClusterEnabled") is not None:
        enabled = values["cacheClusterEnabled"]
        stage = replace(
            stage, cache_enabled=enabled, cache_size=stage.cache_size or ("0.5" if enabled else "")
        )
    if values.get("cacheClusterSize"):
        stage = replace(stage, cache_size=values["cacheClusterSize"])
    return stage


def _with_canary(stage: Stage | None, values: Values, deployment_id: str) -> Stage:
    name = values.get("stageName")
    if not name:
        shown = "null" if name is None else name
        raise refusals.bad_request(
            f"{_CANARY}Non null and non empty stageName must be provided for canary deployment. Provided value is {shown}"
        )
    if stage is None:
        raise refusals.bad_request(
            f"{_CANARY}Stage {name} must already be created before making a canary release deployment"
        )
    given = values["canarySettings"]
    canary = Canary(
        deployment_id=deployment_id,
        percent_traffic=float(given.get("percentTraffic", 0.0)),
        stage_variable_overrides=given.get("stageVariableOverrides", {}),
        use_stage_cache=bool(given.get("useStageCache", False)),
    )
    return replace(stage, canary=canary)


_PATCHES: Table[Deployment] = Table(value("/description", "description", lambda text: text or None))
