"""Stages: names under which deployments answer."""

from typing import Any, Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.gateway.definitions.rest import Canary
from cumulo.services.apigateway import refusals, stage_patches
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.finding import api_of, stage_of
from cumulo.services.apigateway.model import Stage
from cumulo.services.apigateway.naming import checked_tags
from cumulo.services.apigateway.publishing import Publishing
from cumulo.services.apigateway.quotas import STAGES_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.stage_rules import (
    check_access_log,
    check_percent,
    check_stage_name,
    check_variables,
)
from cumulo.services.apigateway.stage_views import stage_view
from cumulo.state.store import join_key
from cumulo.wire.service import Coverage, Operation, Values

_NOTE: Final = "a cache cluster is available after two seconds"
_LOG_ROLE: Final = "CloudWatch Logs role ARN must be set in account settings to enable logging"


class Stages:
    """The operations on stages.

    log_role   whether an account must have named a role before a stage may log, as on AWS; nothing here needs one
    """

    def __init__(
        self, records: Records, publishing: Publishing, clock: Clock, *, log_role: bool = False
    ) -> None:
        self._records = records
        self._publishing = publishing
        self._clock = clock
        self._log_role = log_role

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateStage": Operation(self.create, note=_NOTE),
            "GetStage": Operation(self.get),
            "GetStages": Operation(self.get_all),
            "UpdateStage": Operation(self.update, note=_NOTE),
            "DeleteStage": Operation(self.delete),
            "FlushStageCache": Operation(self.flush_cache),
            "FlushStageAuthorizersCache": Operation(self.flush_authorizers, Coverage.RUNS),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateStage."""
        api_of(self._records, caller, values)
        check_stage_name(values["stageName"])
        stage = self.made(caller, values, values["deploymentId"])
        if "canarySettings" in values:
            stage = replace(stage, canary=_canary(values["canarySettings"], values["deploymentId"]))
        if self._records.stages.get(stage.key) is not None:
            raise refusals.conflict("Stage already exists")
        self.check(stage)
        self._records.stages.put(stage)
        await self._records.store.commit()
        self._publishing.publish(stage)
        return stage_view(stage, self._clock.now())

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetStage."""
        return stage_view(stage_of(self._records, caller, values), self._clock.now())

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetStages, maybe of one deployment."""
        api = api_of(self._records, caller, values)
        wanted = values.get("deploymentId")
        found = sorted(self._records.stages.by("api", api.key), key=lambda one: one.name)
        now = self._clock.now()
        return {"item": [stage_view(one, now) for one in found if wanted in (None, one.deployment_id)]}

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateStage."""
        before = stage_of(self._records, caller, values)
        after = stage_patches.apply(before, values.get("patchOperations"))
        after = self._settled(before, after)
        self.check(after)
        self._records.stages.put(after)
        await self._records.store.commit()
        if before.cache_enabled and (after.cache_enabled, after.cache_size) != (True, before.cache_size):
            self._publishing.flush(before, authorizers=False)  # another cluster, or none, begins empty
        self._publishing.publish(after)
        return stage_view(after, self._clock.now())

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteStage."""
        stage = stage_of(self._records, caller, values)
        self._publishing.refuse_if_mapped(stage.api_id, stage.name)
        self._records.forget_stage(stage)
        await self._records.store.commit()
        self._publishing.withdraw(stage)
        return {}

    async def flush_cache(self, caller: Caller, values: Values) -> Values | None:
        """FlushStageCache."""
        self._publishing.flush(stage_of(self._records, caller, values), authorizers=False)
        return {}

    async def flush_authorizers(self, caller: Caller, values: Values) -> Values | None:
        """FlushStageAuthorizersCache."""
        self._publishing.flush(stage_of(self._records, caller, values), authorizers=True)
        return {}

    # -- for deployments as well -----------------------------------------------------------------------------

    def made(self, caller: Caller, values: Values, deployment_id: str) -> Stage:
        """A new stage of what CreateStage and CreateDeployment are given."""
        now = self._clock.now()
        enabled = bool(values.get("cacheClusterEnabled", False))
        size = values.get("cacheClusterSize", "")
        return Stage(
            account=caller.account,
            region=caller.region,
            api_id=values["restApiId"],
            name=values["stageName"],
            deployment_id=deployment_id,
            created_at=now,
            updated_at=now,
            description=values.get("description"),
            variables=values.get("variables", {}),
            cache_enabled=enabled,
            cache_size=size or ("0.5" if enabled else ""),
            cache_since=now,
            tracing_enabled=bool(values.get("tracingEnabled", False)),
            documentation_version=values.get("documentationVersion", ""),
            tags=checked_tags(values.get("tags", {}), {}),
        )

    def check(self, stage: Stage, *, deployment_is_new: bool = False) -> None:
        """BadRequestException for a stage that cannot be; a stage that is not there yet may be one too many."""
        others = self._records.stages.by("api", stage.api)
        if len(others) >= STAGES_MAX and all(one.name != stage.name for one in others):
            raise refusals.too_many("stages")
        check_variables(stage.variables)
        check_access_log(stage.access_log_arn, stage.access_log_format)
        if not deployment_is_new:
            self._check_deployment(stage, stage.deployment_id)
        if stage.canary is not None:
            check_variables(stage.canary.stage_variable_overrides)
            check_percent(stage.canary.percent_traffic)
            if not deployment_is_new:
                self._check_deployment(stage, stage.canary.deployment_id)
        self._check_logging(stage)
        self._records.check_stage_references(stage)

    def _check_deployment(self, stage: Stage, deployment_id: str) -> None:
        if self._records.deployments.get(join_key(stage.api, deployment_id)) is None:
            raise refusals.bad_request("Deployment id does not exist")

    def _check_logging(self, stage: Stage) -> None:
        if not self._log_role:
            return
        levels = any(one.logging_level in ("ERROR", "INFO") for one in stage.method_settings.values())
        account = self._records.accounts.get(join_key(stage.account, stage.region))
        if (levels or stage.access_log_arn) and (account is None or not account.cloudwatch_role_arn):
            raise refusals.bad_request(_LOG_ROLE)

    def _settled(self, before: Stage, after: Stage) -> Stage:
        now = self._clock.now()
        after = replace(after, updated_at=now)
        if after.cache_enabled and not after.cache_size:
            after = replace(after, cache_size="0.5")
        cache = (before.cache_enabled, before.cache_size)
        if cache != (after.cache_enabled, after.cache_size):
            after = replace(after, cache_since=now)
        return after


def _canary(given: dict[str, Any], deployment_id: str) -> Canary:
    return Canary(
        deployment_id=given.get("deploymentId") or deployment_id,
        percent_traffic=float(given.get("percentTraffic", 0.0)),
        stage_variable_overrides=given.get("stageVariableOverrides", {}),
        use_stage_cache=bool(given.get("useStageCache", False)),
    )
