"""Job definitions as DescribeJobDefinitions shows them.  Pure."""

from cumulo.services.batch.model import JobDefinition
from cumulo.wire.service import Values


def definition_view(definition: JobDefinition) -> Values:
    """A revision."""
    priority = definition.scheduling_priority
    return {
        "jobDefinitionName": definition.name,
        "jobDefinitionArn": definition.arn,
        "revision": definition.revision,
        "status": definition.status,
        "type": definition.kind,
        "schedulingPriority": priority or None,
        "parameters": dict(definition.parameters),
        "retryStrategy": dict(definition.retry) or None,
        "timeout": timeout_view(definition.timeout),
        "tags": dict(definition.tags),
        "propagateTags": definition.propagate_tags,
        "platformCapabilities": list(definition.platforms),
        "containerOrchestrationType": "ECS",
        **definition.properties,
    }


def timeout_view(seconds: int) -> Values | None:
    """A timeout; None: there is none."""
    return {"attemptDurationSeconds": seconds} if seconds else None
