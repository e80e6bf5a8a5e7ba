"""The capacity of ECS, whole: container instances and what is done to them; ECS's house builds one.

EC2 (Hosts) ──HostEvents──▶ Joining ──▶ Records ◀── operations
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.instances import Hosts
from cumulo.services.ecs.capacity.attributes import Attributes
from cumulo.services.ecs.capacity.container_instances import ContainerInstances, Matches
from cumulo.services.ecs.capacity.joining import Joining
from cumulo.services.ecs.model import ContainerInstance
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.seams import Launches, Runner
from cumulo.wire.service import Operation


class Capacity:
    """`joining` is what EC2 tells; `operations` are the door's.

    hosts         EC2's instances with a body; asked late, for EC2 is built with `joining`
    matches       compiles an expression of the cluster query language
    capabilities  names of the attributes that every instance of ours has
    """

    def __init__(
        self,
        records: Records,
        *,
        hosts: Callable[[], Hosts],
        runner: Runner,
        launches: Launches,
        clock: Clock,
        ids: Ids,
        matches: Matches,
        capabilities: Sequence[str],
    ) -> None:
        self.joining = Joining(records, hosts, runner, launches, clock, ids, capabilities=capabilities)
        self._instances = ContainerInstances(
            records, hosts, runner, launches, clock, ids, matches=matches, capabilities=capabilities
        )
        self._attributes = Attributes(records)

    def view(self, instance: ContainerInstance) -> dict[str, Any]:
        """An instance as DescribeContainerInstances shows it."""
        return self._instances.view(instance)

    def operations(self) -> Mapping[str, Operation]:
        """Every operation that is built, by AWS's name."""
        instances, attributes = self._instances, self._attributes
        return {
            "RegisterContainerInstance": Operation(
                instances.register, note="only EC2 instances with a body here run tasks"
            ),
            "DeregisterContainerInstance": Operation(instances.deregister),
            "DescribeContainerInstances": Operation(instances.describe),
            "ListContainerInstances": Operation(instances.list_),
            "UpdateContainerInstancesState": Operation(instances.update_state),
            "PutAttributes": Operation(attributes.put),
            "DeleteAttributes": Operation(attributes.delete),
            "ListAttributes": Operation(attributes.list_),
        }
