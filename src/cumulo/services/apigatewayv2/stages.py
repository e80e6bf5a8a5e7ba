"""Stages: the addresses at which deployments answer."""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import V2Stage
from cumulo.services.apigatewayv2 import bounds, editing, stage_rules, tagging
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import Api, Stage, default_settings
from cumulo.services.apigatewayv2.refusals import bad, conflict, missing, too_many
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

STAGES_MAX: Final = 10
MayLog = Callable[[str, str], bool]
_NOTE: Final = "client certificates are refused"


class Stages:
    """The operations on stages.  `may_log`: whether an account has, in a region, a role that writes logs."""

    def __init__(self, desk: Desk, may_log: MayLog) -> None:
        self._desk = desk
        self._may_log = may_log

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateStage": Operation(self.create, note=_NOTE),
            "GetStage": Operation(self.get),
            "GetStages": Operation(self.get_all),
            "UpdateStage": Operation(self.update, note=_NOTE),
            "DeleteStage": Operation(self.delete),
            "DeleteAccessLogSettings": Operation(self.delete_access_log_settings),
            "DeleteRouteSettings": Operation(self.delete_route_settings),
            "ResetAuthorizersCache": Operation(self.reset_authorizers_cache),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make a stage."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        name = values["StageName"]
        stage_rules.check_name(name, http=api.is_http)
        stages = self._desk.records.stages
        if stages.get(join_key(api.key, name)) is not None:
            raise conflict("Stage already exists")
        if stages.count("api", api.key) >= STAGES_MAX:
            raise too_many("Stages")
        now = self._desk.clock.now()
        fresh = Stage(
            api_key=api.key,
            settings=V2Stage(stage_name=name, default_route_settings=default_settings(http=api.is_http)),
            created=now,
            updated=now,
            tags=tagging.checked(values.get("Tags") or {}, {}),
        )
        return await self._keep(api, self._changed(api, fresh, values), deploy=True)

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show a stage."""
        return view(self._stage(caller, values)[1])

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show stages."""
        api = self._desk.api(caller, values)
        return page(self._desk.records.stages.by("api", api.key), lambda one: one.name, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of a stage."""
        bounds.check(values)
        api, have = self._stage(caller, values)
        made = self._changed(api, have, values)
        return await self._keep(api, made, deploy=not have.auto_deploy)

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete a stage; its deployment stays."""
        api, have = self._stage(caller, values)
        if have.managed:
            raise bad("Cannot delete Stage because it is managed by API Gateway")
        self._desk.guard(api, have.name)
        self._desk.records.stages.delete(have)
        await self._desk.settle([have])

    async def delete_access_log_settings(self, caller: Caller, values: Values) -> None:
        """Write no access log any more."""
        _, have = self._stage(caller, values)
        await self._put(
            replace(have, settings=replace(have.settings, access_log_arn="", access_log_format=""))
        )

    async def delete_route_settings(self, caller: Caller, values: Values) -> None:
        """Say nothing special of a route any more."""
        _, have = self._stage(caller, values)
        key = values["RouteKey"]
        if key not in have.settings.route_settings:
            raise missing("route settings")
        left = editing.without(have.settings.route_settings, key)
        await self._put(replace(have, settings=replace(have.settings, route_settings=left)))

    async def reset_authorizers_cache(self, caller: Caller, values: Values) -> None:
        """Forget what authorizers said: a stage that is published anew knows nothing of it."""
        api, have = self._stage(caller, values)
        if not api.is_http:
            raise bad("Authorizer caches are not supported on protocolType WEBSOCKET")
        await self._desk.settle([have])

    def _stage(self, caller: Caller, values: Values) -> tuple[Api, Stage]:
        api = self._desk.api(caller, values)
        return api, self._desk.stage(api, values["StageName"])

    async def _put(self, stage: Stage) -> None:
        self._desk.records.stages.put(replace(stage, updated=self._desk.clock.now()))
        await self._desk.settle([stage])

    async def _keep(self, api: Api, made: Stage, *, deploy: bool) -> Values:
        """Keep a stage; one that has just begun to deploy by itself gets its first deployment."""
        stages = self._desk.records.stages
        stages.put(made)
        if deploy and made.auto_deploy:
            self._desk.deployer.deploy_automatically(api, only=made.name)
        kept = stages.get(made.key) or made
        await self._desk.settle([kept])
        return view(kept)

    def _changed(self, api: Api, have: Stage, values: Values) -> Stage:
        definition = api.definition
        settings = stage_rules.changed_settings(
            definition,
            have.settings,
            values,
            may_log=lambda: self._may_log(definition.account, definition.region),
        )
        changes: dict[str, Any] = {"updated": self._desk.clock.now()}
        if values.get("Description") is not None:
            changes["description"] = values["Description"]
        if values.get("AutoDeploy") is not None:
            changes["auto_deploy"] = values["AutoDeploy"]
        deployment_id = values.get("DeploymentId")
        if deployment_id:
            if changes.get("auto_deploy", have.auto_deploy):
                raise bad(
                    f"Deployment ID cannot be set on this stage {definition.account}:{api.id} because AutoDeploy is enabled."
                )
            if self._desk.records.deployments.get(join_key(api.key, deployment_id)) is None:
                raise bad("Deployment id does not exist")
            settings = replace(settings, deployment_id=deployment_id)
        return replace(have, settings=settings, **changes)


def view(one: Stage) -> Values:
    """A stage as AWS shows it."""
    settings = one.settings
    log = None
    if settings.access_log_arn:
        log = {"DestinationArn": settings.access_log_arn, "Format": settings.access_log_format}
    return {
        "AccessLogSettings": log,
        "ApiGatewayManaged": one.managed or None,
        "AutoDeploy": one.auto_deploy or None,
        "CreatedDate": one.created,
        "DefaultRouteSettings": stage_rules.show_setting(settings.default_route_settings),
        "DeploymentId": settings.deployment_id or None,
        "Description": one.description or None,
        "LastDeploymentStatusMessage": one.status_message or None,
        "LastUpdatedDate": one.updated,
        "RouteSettings": {
            key: stage_rules.show_setting(value) for key, value in settings.route_settings.items()
        },
        "StageName": one.name,
        "StageVariables": dict(settings.variables),
        "Tags": dict(one.tags),
    }
