"""Compute environments as DescribeComputeEnvironments shows them.  Pure."""

from typing import Any

from cumulo.services.batch.model import ComputeEnvironment


def environment_view(one: ComputeEnvironment, desired: int) -> dict[str, Any]:
    """One of them; `desired` vCPUs are what its instances have now."""
    resources = dict(one.resources)
    if one.has_instances:
        resources["desiredvCpus"] = desired
    return {
        "computeEnvironmentName": one.name,
        "computeEnvironmentArn": one.arn,
        "unmanagedvCpus": one.unmanaged_vcpus if one.kind == "UNMANAGED" else None,
        "ecsClusterArn": one.cluster or None,
        "tags": dict(one.tags),
        "type": one.kind,
        "state": one.state,
        "status": one.status,
        "statusReason": one.status_reason or None,
        "computeResources": resources or None,
        "serviceRole": one.service_role,
        "updatePolicy": dict(one.update_policy) or None,
        "containerOrchestrationType": "ECS",
        "uuid": one.uuid,
        "context": one.context or None,
        "ecsSettings": dict(one.ecs_settings) or None,
    }
