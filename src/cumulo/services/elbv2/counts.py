"""What load balancers have done: the figures that CloudWatch shows."""

from collections.abc import Mapping

import msgspec


class Figures(msgspec.Struct):
    """Of one load balancer or target group, since it was first seen by this process.

    by_target    answers of targets by the first digit of their status: HTTPCode_Target_2XX_Count
    by_balancer  answers of the load balancer's own: HTTPCode_ELB_5XX_Count
    seconds      TargetResponseTime, summed over `timed` answers of targets
    connections  of network load balancers: NewFlowCount
    """

    requests: int = 0
    by_target: dict[str, int] = {}
    by_balancer: dict[str, int] = {}
    seconds: float = 0.0
    timed: int = 0
    connection_errors: int = 0
    connections: int = 0


class Counts:
    """Figures by ARN."""

    def __init__(self) -> None:
        self._figures: dict[str, Figures] = {}

    def request(self, balancer: str, group: str, status: int, seconds: float, *, of_target: bool) -> None:
        """A request has ended.  `group` is empty when no target group took part; status 0: the client went away."""
        for arn in (balancer, group) if group else (balancer,):
            figures = self._of(arn)
            figures.requests += 1
            if not status:
                continue
            family = f"{status // 100}XX"
            if of_target:
                figures.by_target[family] = figures.by_target.get(family, 0) + 1
                figures.seconds += seconds
                figures.timed += 1
            else:
                figures.by_balancer[family] = figures.by_balancer.get(family, 0) + 1
                if status in (502, 504):
                    figures.connection_errors += 1

    def connection(self, balancer: str, group: str) -> None:
        """A network load balancer has passed a connection on."""
        for arn in (balancer, group) if group else (balancer,):
            self._of(arn).connections += 1

    def snapshot(self) -> Mapping[str, Figures]:
        """A copy of everything, by ARN of load balancers and target groups."""
        return {
            arn: msgspec.structs.replace(
                one, by_target=dict(one.by_target), by_balancer=dict(one.by_balancer)
            )
            for arn, one in self._figures.items()
        }

    def forget(self, arn: str) -> None:
        """Something is gone."""
        self._figures.pop(arn, None)

    def clear(self) -> None:
        """Everything is gone."""
        self._figures.clear()

    def _of(self, arn: str) -> Figures:
        found = self._figures.get(arn)
        if found is None:
            found = self._figures[arn] = Figures()
        return found
