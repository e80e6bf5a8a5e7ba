"""`serviceRegistries` of a service: what may be said, and what a task is registered as.  Pure."""

from collections.abc import Mapping, Sequence

from cumulo.base.errors import AwsError
from cumulo.base.ports.discovery import DiscoveryService
from cumulo.services.ecs.arns import cluster_name
from cumulo.services.ecs.discovery.places import Place, address_of, place_of
from cumulo.services.ecs.model import ContainerInstance, Document, Task, TaskDefinition
from cumulo.services.ecs.refusals import invalid


def check(registries: Sequence[Document], definition: TaskDefinition) -> None:
    """AwsError for what cannot be, whatever Cloud Map has."""
    if len(registries) > 1:
        raise invalid("Multiple service registries for each service are not supported.")
    for registry in registries:
        _check_one(registry, definition)


def _check_one(registry: Document, definition: TaskDefinition) -> None:
    arn = registry.get("registryArn", "")
    if not arn or ":servicediscovery:" not in arn or ":service/" not in arn:
        raise invalid(f"Invalid service registry ARN: {arn}")
    container, port = registry.get("containerName"), registry.get("containerPort")
    if (container is None) != (port is None):
        raise invalid(f"'containerName' and 'containerPort' must be specified together. Registry: {arn}")
    if container is not None and registry.get("port") is not None:
        raise invalid(
            "Specify a value for either 'port' or the 'containerName' and 'containerPort' combination, but not both. "
            f"Registry: {arn}"
        )
    if definition.network_mode in {"bridge", "host"} and container is None:
        raise invalid(
            "When specifying 'host' or 'bridge' for networkMode, values for 'containerName' and 'containerPort' must "
            f"be specified from the task definition. Registry: {arn}"
        )
    if container is not None:
        _check_container(str(container), int(port or 0), definition)


def _check_container(name: str, port: int, definition: TaskDefinition) -> None:
    found = next((one for one in definition.containers if one["name"] == name), None)
    if found is None:
        raise invalid(f"The container {name} does not exist in the task definition.")
    if all(mapping.get("containerPort") != port for mapping in found.get("portMappings", ())):
        raise invalid(f"The container {name} did not have a container port {port} defined.")


def check_records(registry: Document, service: DiscoveryService, definition: TaskDefinition) -> None:
    """AwsError for what the DNS records of the Cloud Map service do not allow."""
    arn = registry["registryArn"]
    if "SRV" in service.record_types:
        if registry.get("port") is None and registry.get("containerPort") is None:
            raise invalid(
                f"A value for 'port' or 'containerPort' is required for SRV records. Registry: {arn}"
            )
        return
    if service.record_types and definition.network_mode in {"bridge", "host"}:
        raise invalid(
            f"When specifying 'host' or 'bridge' for networkMode, only SRV records are supported. Registry: {arn}"
        )
    for value in ("containerPort", "port"):
        if service.record_types and registry.get(value) is not None:
            raise invalid(
                f"The values specified for serviceRegistries do not require a value for '{value}'. Remove the value "
                f"and retry. Registry: {arn}"
            )


def not_found(registry: Document, error: AwsError) -> AwsError:
    """What ECS says when Cloud Map does not know the service."""
    if error.code == "ServiceNotFound":
        return invalid(f"Unable to find the service registry. Registry: {registry['registryArn']}")
    return error


def registered_at(
    task: Task, definition: TaskDefinition, instance: ContainerInstance | None, registry: Document
) -> Place | None:
    """The address and port (0: none) that go into Cloud Map; None when the task has no address."""
    if registry.get("containerName") is not None:
        container, port = str(registry["containerName"]), int(registry["containerPort"])
        return place_of(task, definition, instance, container, port)
    address = address_of(task, definition, instance)
    return (address, int(registry.get("port") or 0)) if address else None


def attributes(task: Task, instance: ContainerInstance | None, place: Place) -> Mapping[str, str]:
    """What ECS says of a task in Cloud Map."""
    address, port = place
    said = {
        "AWS_INSTANCE_IPV4": address,
        "AWS_INSTANCE_PORT": str(port) if port else "",
        "AVAILABILITY_ZONE": task.availability_zone,
        "REGION": task.region,
        "ECS_CLUSTER_NAME": cluster_name(task.cluster_arn),
        "ECS_SERVICE_NAME": task.service,
        "ECS_TASK_DEFINITION_FAMILY": task.family,
        "EC2_INSTANCE_ID": instance.ec2_id if instance is not None else "",
    }
    return {name: value for name, value in said.items() if value}
