"""Deployments: an API as it was at one moment."""

from typing import Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.services.apigatewayv2 import bounds
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import Deployment
from cumulo.services.apigatewayv2.refusals import bad, missing, too_many
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

DEPLOYMENTS_MAX: Final = 300


class Deployments:
    """The operations on deployments."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateDeployment": Operation(self.create),
            "GetDeployment": Operation(self.get),
            "GetDeployments": Operation(
                self.get_all, note="of automatic deployments that no stage names, the newest 20"
            ),
            "UpdateDeployment": Operation(self.update),
            "DeleteDeployment": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Keep an API as it is now, and let a stage answer with it when one is named."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        stage = None
        if values.get("StageName"):
            stage = self._desk.stage(api, values["StageName"])
            if stage.auto_deploy:
                raise bad(
                    f"Deployment ID cannot be set on this stage {api.definition.account}:{api.id} because AutoDeploy is "
                    "enabled."
                )
        if self._desk.records.deployments.count("api", api.key) >= DEPLOYMENTS_MAX:
            raise too_many("Deployments")
        made = self._desk.deployer.deploy(api, description=values.get("Description") or "")
        touched = [] if stage is None else [self._desk.deployer.point(stage, made)]
        await self._desk.settle(touched)
        return view(made)

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show a deployment."""
        return view(self._deployment(caller, values))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show deployments."""
        api = self._desk.api(caller, values)
        return page(self._desk.records.deployments.by("api", api.key), lambda one: one.id, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Describe a deployment anew."""
        bounds.check(values)
        made = self._deployment(caller, values)
        if values.get("Description") is not None:
            made = self._desk.records.deployments.put(replace(made, description=values["Description"]))
        await self._desk.settle([])
        return view(made)

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete a deployment with which no stage answers."""
        have = self._deployment(caller, values)
        for stage in self._desk.records.stages.by("api", have.api_key):
            if stage.settings.deployment_id == have.id:
                raise bad("Active stages pointing to this deployment must be moved or deleted")
        self._desk.records.deployments.delete(have)
        await self._desk.settle([])

    def _deployment(self, caller: Caller, values: Values) -> Deployment:
        api = self._desk.api(caller, values)
        found = self._desk.records.deployments.get(join_key(api.key, values["DeploymentId"]))
        if found is None:
            raise missing("Deployment")
        return found


def view(one: Deployment) -> Values:
    """A deployment as AWS shows it."""
    return {
        "AutoDeployed": one.automatic,
        "CreatedDate": one.created,
        "DeploymentId": one.id,
        "DeploymentStatus": "DEPLOYED",
        "Description": one.description or None,
    }
