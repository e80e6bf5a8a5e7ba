"""Everything that ECS keeps, by its key and by what it is looked for by."""

from cumulo.services.ecs.model import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Service,
    Task,
    TaskDefinition,
)
from cumulo.services.ecs.shelf import Shelf
from cumulo.state.store import Store, join_key


def definition_key(account: str, region: str, family: str, revision: int) -> str:
    """Sorts by family, then by number."""
    return join_key(account, region, family, f"{revision:08d}")


def service_key(cluster_arn: str, name: str) -> str:
    """Of a service, in the shelf of services and in the index `service` of tasks."""
    return join_key(cluster_arn, name)


def token_key(cluster_arn: str, client_token: str) -> str:
    """Of the tasks that one RunTask with a client token has started."""
    return join_key(cluster_arn, client_token)


class Records:
    """The shelves.

    clusters, tasks, instances: key is the ARN.    definitions: `definition_key`.
    services: `service_key`.    providers: account, region, name.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clusters = Shelf(store, "ecs_clusters", Cluster, lambda one: one.arn, place=_place)
        self.definitions = Shelf(
            store,
            "ecs_definitions",
            TaskDefinition,
            lambda one: definition_key(one.account, one.region, one.family, one.revision),
            arn=lambda one: one.arn,
            place=_place,
            family=lambda one: join_key(one.account, one.region, one.family),
            leaving=lambda one: "yes" if one.status == "DELETE_IN_PROGRESS" else "",
        )
        self.tasks = Shelf(
            store,
            "ecs_tasks",
            Task,
            lambda one: one.arn,
            cluster=lambda one: one.cluster_arn,
            service=lambda one: service_key(one.cluster_arn, one.service) if one.service else "",
            live_service=lambda one: (
                service_key(one.cluster_arn, one.service) if one.service and one.is_live else ""
            ),
            live=lambda one: "yes" if one.is_live else "",
            live_fargate=lambda one: "yes" if one.is_live and one.is_fargate else "",
            instance=lambda one: one.instance_arn if one.is_live else "",
            definition=lambda one: one.definition_arn if one.is_live else "",
            waits=lambda one: one.waits if one.is_live else "",
            owner=lambda one: one.owner,
            token=lambda one: token_key(one.cluster_arn, one.client_token) if one.client_token else "",
            stopped=lambda one: "" if one.is_live else one.cluster_arn,
            address=lambda one: one.private_ip if one.is_live else "",
        )
        self.instances = Shelf(
            store,
            "ecs_instances",
            ContainerInstance,
            lambda one: one.arn,
            cluster=lambda one: one.cluster_arn,
            ec2=lambda one: one.ec2_id,
            address=lambda one: "" if one.status == "INACTIVE" else one.address,
        )
        self.providers = Shelf(
            store,
            "ecs_providers",
            CapacityProvider,
            lambda one: join_key(one.account, one.region, one.name),
            place=_place,
        )
        self.services = Shelf(
            store,
            "ecs_services",
            Service,
            lambda one: service_key(one.cluster_arn, one.name),
            cluster=lambda one: one.cluster_arn,
            arn=lambda one: one.arn,
        )

    def definition(self, arn: str) -> TaskDefinition | None:
        """The task definition with this whole ARN."""
        found = self.definitions.by("arn", arn)
        return found[0] if found else None


def _place(one: Cluster | TaskDefinition | CapacityProvider) -> str:
    return join_key(one.account, one.region)
