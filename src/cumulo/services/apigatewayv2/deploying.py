"""Makes deployments: by hand, and by itself for stages that say so.

An automatic deployment that no stage names any more is kept for a while, as a history, and then goes.
"""

from typing import Final

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.apigatewayv2 import identifiers
from cumulo.services.apigatewayv2.publishing import encode
from cumulo.services.apigatewayv2.records import Api, Deployment, Records, Stage
from cumulo.services.apigatewayv2.refusals import bad

AUTOMATIC_KEPT: Final = 20
DESCRIPTION: Final = "Automatic deployment triggered by changes to the Api configuration"
NO_ROUTES: Final = "Unable to deploy API because no routes exist in this API"
_NO_ROUTES_WEBSOCKET: Final = "At least one route is required before deploying the Api"


class Deployer:
    """Writes deployments; the caller commits and publishes."""

    def __init__(self, records: Records, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids

    def deploy(self, api: Api, *, description: str = "", automatic: bool = False) -> Deployment:
        """Keep the API as it is now.  BadRequestException when it has no routes."""
        if not api.definition.routes:
            raise bad(NO_ROUTES if api.is_http else _NO_ROUTES_WEBSOCKET)
        return self._records.deployments.put(
            Deployment(
                api_key=api.key,
                id=identifiers.new_id(self._ids, identifiers.OTHER),
                created=self._clock.now(),
                snapshot=encode(api.definition),
                api_name=api.definition.name,
                disable_execute_api_endpoint=api.definition.disable_execute_api_endpoint,
                automatic=automatic,
                description=description,
            )
        )

    def point(self, stage: Stage, deployment: Deployment) -> Stage:
        """Let a stage name a deployment."""
        return self._records.stages.put(
            msgspec.structs.replace(
                stage,
                settings=msgspec.structs.replace(stage.settings, deployment_id=deployment.id),
                updated=self._clock.now(),
                status_message=f"Successfully deployed stage with deployment ID '{deployment.id}'",
            )
        )

    def deploy_automatically(self, api: Api, only: str | None = None) -> list[Stage]:
        """Deploy for the stages that deploy by themselves (or the one with this name); those that changed."""
        stages = [
            one
            for one in self._records.stages.by("api", api.key)
            if one.auto_deploy and (only is None or one.name == only)
        ]
        if not stages:
            return []
        try:
            deployment = self.deploy(api, description=DESCRIPTION, automatic=True)
        except AwsError as error:
            for stage in stages:
                self._records.stages.put(
                    msgspec.structs.replace(
                        stage, status_message=f"Deployment attempt failed: {error.message}"
                    )
                )
            return []
        changed = [self.point(stage, deployment) for stage in stages]
        self._tidy(api)
        return changed

    def _tidy(self, api: Api) -> None:
        used = {one.settings.deployment_id for one in self._records.stages.by("api", api.key)}
        idle = [
            one
            for one in self._records.deployments.by("api", api.key)
            if one.automatic and one.id not in used
        ]
        idle.sort(key=lambda one: one.created)
        for one in idle[:-AUTOMATIC_KEPT]:
            self._records.deployments.delete(one)
