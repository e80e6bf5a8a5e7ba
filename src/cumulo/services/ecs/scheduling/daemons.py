"""On which container instances a DAEMON service wants a task."""

from collections.abc import Sequence

from cumulo.services.ecs.arns import arn
from cumulo.services.ecs.model import Service, Task, TaskDefinition
from cumulo.services.ecs.placement.daemon import daemon_instances
from cumulo.services.ecs.placement.demand import demand_of
from cumulo.services.ecs.placement.ledger import Ledger
from cumulo.services.ecs.places import rules_of
from cumulo.services.ecs.scheduling.facts import Eligible


def suited_instances(ledger: Ledger) -> Eligible:
    """Those that have what the definition requires, and meet the constraints of service and definition."""

    def eligible(service: Service, definition: TaskDefinition) -> Sequence[str]:
        constraints, _ = rules_of(
            definition, service.document.get("placementConstraints", ()), (), service=True
        )
        group = f"service:{service.name}"
        provider = str(service.strategy[0]["capacityProvider"]) if service.strategy else ""
        sample = Task(
            account=service.account,
            region=service.region,
            id="",
            arn=arn(service.region, service.account, "task", ""),
            cluster_arn=service.cluster_arn,
            definition_arn=definition.arn,
            group=group,
            capacity_provider=provider,
        )
        demand = demand_of(definition, sample, constraints=constraints)
        return daemon_instances(ledger.hosts(service.cluster_arn), demand).suited

    return eligible
