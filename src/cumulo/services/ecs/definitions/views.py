"""A task definition as AWS shows it."""

from cumulo.services.ecs.model import Tags, TaskDefinition
from cumulo.wire.service import Values


def definition_view(definition: TaskDefinition) -> Values:
    """`taskDefinition` in answers; tags come beside it."""
    return {
        "taskDefinitionArn": definition.arn,
        "family": definition.family,
        "revision": definition.revision,
        "status": definition.status,
        "registeredAt": definition.registered_at,
        "registeredBy": definition.registered_by,
        "deregisteredAt": definition.deregistered_at or None,
        **definition.document,
    }


def tag_list(tags: Tags) -> list[Values]:
    """Tags in answers."""
    return [{"key": key, "value": value} for key, value in tags.items()]
