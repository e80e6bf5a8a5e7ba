"""Finds what clients name: clusters and their container instances."""

from typing import Final

from cumulo.base.caller import Caller
from cumulo.services.ecs import arns
from cumulo.services.ecs.model import Cluster, ContainerInstance
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import no_cluster
from cumulo.wire.service import Values

DEFAULT_CLUSTER: Final = "default"


def cluster_of(records: Records, caller: Caller, values: Values) -> Cluster:
    """The cluster that a call names, by name or ARN.  AwsError ClusterNotFoundException."""
    name = arns.last_part(values.get("cluster") or DEFAULT_CLUSTER)
    found = records.clusters.get(arns.arn(caller.region, caller.account, "cluster", name))
    if found is None or found.status == "INACTIVE":
        raise no_cluster()
    return found


def instance_arn(cluster: Cluster, name: str) -> str:
    """The ARN of a container instance that is named by its id or its ARN, also in the old form without a cluster."""
    id_ = arns.last_part(name)
    return arns.arn(cluster.region, cluster.account, "container-instance", cluster.name, id_)


def find_instance(records: Records, cluster: Cluster, name: str) -> ContainerInstance | None:
    """A cluster's container instance by id or ARN."""
    return records.instances.get(instance_arn(cluster, name))
