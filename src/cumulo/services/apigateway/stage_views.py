"""Stages and deployments as clients see them.  Pure."""

from typing import Final

from cumulo.gateway.definitions.rest import Canary, RestDefinition
from cumulo.services.apigateway import method_settings
from cumulo.services.apigateway.model import Deployment, Stage
from cumulo.services.apigateway.views import filled
from cumulo.wire.service import Values

CACHE_SECONDS: Final = (
    2.0  # AWS takes about four minutes; here nothing has to be set up, but clients see both states
)


def stage_view(stage: Stage, now: float) -> Values:
    """A stage; `now` says whether its cache cluster is ready yet."""
    view = filled(
        deploymentId=stage.deployment_id,
        clientCertificateId=stage.client_certificate_id,
        stageName=stage.name,
        description=stage.description,
        cacheClusterSize=stage.cache_size,
        variables=dict(stage.variables),
        documentationVersion=stage.documentation_version,
        accessLogSettings=filled(destinationArn=stage.access_log_arn, format=stage.access_log_format),
        tags=dict(stage.tags),
    )
    view["cacheClusterEnabled"] = stage.cache_enabled
    view["cacheClusterStatus"] = _cache_status(stage, now)
    view["tracingEnabled"] = stage.tracing_enabled
    view["methodSettings"] = {
        method_settings.shown_key(key): method_settings.view(one)
        for key, one in stage.method_settings.items()
    }
    view["createdDate"] = int(stage.created_at)
    view["lastUpdatedDate"] = int(stage.updated_at)
    if stage.canary is not None:
        view["canarySettings"] = _canary_view(stage.canary)
    return view


def deployment_view(deployment: Deployment, definition: RestDefinition | None = None) -> Values:
    """A deployment, with a summary of its API where that was asked for."""
    view = filled(id=deployment.id, description=deployment.description)
    view["createdDate"] = int(deployment.created_at)
    if definition is not None:
        view["apiSummary"] = {
            resource.path: {
                name: {"authorizationType": one.authorization_type, "apiKeyRequired": one.api_key_required}
                for name, one in resource.methods.items()
            }
            for resource in definition.resources
            if resource.methods
        }
    return view


def _cache_status(stage: Stage, now: float) -> str:
    if not stage.cache_enabled:
        return "NOT_AVAILABLE"
    return "CREATE_IN_PROGRESS" if now - stage.cache_since < CACHE_SECONDS else "AVAILABLE"


def _canary_view(canary: Canary) -> Values:
    return {
        **filled(
            deploymentId=canary.deployment_id, stageVariableOverrides=dict(canary.stage_variable_overrides)
        ),
        "percentTraffic": canary.percent_traffic,
        "useStageCache": canary.use_stage_cache,
    }
