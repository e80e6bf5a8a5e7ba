"""What is asked of Launches for a deployment."""

from cumulo.services.ecs.arns import cluster_name
from cumulo.services.ecs.model import Document, Service, Tags, TaskDefinition
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.scheduling.decisions import Start
from cumulo.services.ecs.seams import LaunchRequest


def request_for(service: Service, start: Start, records: Records) -> LaunchRequest | None:
    """The request for what a plan wants started; None when the task definition is not there any more."""
    deployment = start.deployment
    definition = records.definition(deployment.definition_arn)
    if definition is None:
        return None
    strategy: tuple[Document, ...] = ()
    if start.provider:
        strategy = ({"capacityProvider": start.provider, "weight": 1, "base": 0},)
    return LaunchRequest(
        account=service.account,
        region=service.region,
        cluster_arn=service.cluster_arn,
        definition=definition,
        count=start.count,
        launch_type="" if strategy else deployment.launch_type,
        strategy=strategy,
        instances=start.instances,
        group=f"service:{service.name}",
        started_by=deployment.id,
        service=service.name,
        deployment=deployment.id,
        network=deployment.document.get("networkConfiguration", {}),
        constraints=tuple(service.document.get("placementConstraints", ())),
        strategies=tuple(service.document.get("placementStrategy", ())),
        platform_version=deployment.platform_version,
        execute_command=service.execute_command,
        volumes=tuple(deployment.document.get("volumeConfigurations", ())),
        service_connect=deployment.document.get("serviceConnectConfiguration", {}),
        tags=_tags(service, definition, managed=deployment.managed_tags, whose=deployment.propagate_tags),
    )


def _tags(service: Service, definition: TaskDefinition, *, managed: bool, whose: str) -> Tags:
    tags: dict[str, str] = {}
    if whose == "SERVICE":
        tags.update(service.tags)
    elif whose == "TASK_DEFINITION":
        tags.update(definition.tags)
    if managed:
        tags["aws:ecs:clusterName"] = cluster_name(service.cluster_arn)
        tags["aws:ecs:serviceName"] = service.name
    return tags
