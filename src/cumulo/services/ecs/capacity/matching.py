"""The cluster query language over container instances, as ListContainerInstances filters with it."""

from collections.abc import Callable

from cumulo.services.ecs.capacity.container_instances import Matches
from cumulo.services.ecs.model import ContainerInstance
from cumulo.services.ecs.placement.constraints import query_of
from cumulo.services.ecs.placement.ledger import Ledger


def matching(ledger: Ledger) -> Matches:
    """What compiles an expression into a test of instances that the ledger knows."""

    def compiled(expression: str) -> Callable[[ContainerInstance], bool]:
        test = query_of(expression)

        def passes(instance: ContainerInstance) -> bool:
            facts = ledger.host(instance.arn)
            return facts is not None and test(facts)

        return passes

    return compiled
