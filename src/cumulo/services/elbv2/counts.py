"""What load balancers have done: the figures that CloudWatch shows."""

from collections.abc import Mapping
from typing import Final

import msgspec

FIXED: Final = "fixed-response"
REDIRECT: Final = "redirect"
_NO_TARGET: Final = 503  # no target could take the request


class Figures(msgspec.Struct):
    """Of one load balancer or target group, since it was first seen by this process.

    requests     all that have ended; `routed` are those that a target was chosen for: RequestCount
    by_target    answers of targets by the first digit of their status: HTTPCode_Target_2XX_Count
    by_balancer  answers of the load balancer's own, the same way and by number: HTTPCode_ELB_5XX_Count, _502_Count
    redirects    of those, what rules answered with: HTTP_Redirect_Count; and `fixed`: HTTP_Fixed_Response_Count
    seconds      TargetResponseTime, summed over `timed` answers of targets
    connections  of network load balancers: NewFlowCount; `octets` that went through them: ProcessedBytes
    """

    requests: int = 0
    routed: int = 0
    by_target: dict[str, int] = {}
    by_balancer: dict[str, int] = {}
    redirects: int = 0
    fixed: int = 0
    seconds: float = 0.0
    timed: int = 0
    connection_errors: int = 0
    connections: int = 0
    octets: int = 0


Span = tuple[float, float]  # the least and the greatest of some values


class Counts:
    """Figures by ARN."""

    def __init__(self) -> None:
        self._figures: dict[str, Figures] = {}
        self._spans: dict[str, Span] = {}

    def request(
        self, balancer: str, group: str, status: int, seconds: float, *, of_target: bool, note: str = ""
    ) -> None:
        """A request has ended.  `group` is empty when no target group took part; status 0: the client went away.

        note   FIXED or REDIRECT when a rule's action was the answer
        """
        family = f"{status // 100}XX"
        for arn in (balancer, group) if group else (balancer,):
            figures = self._of(arn)
            figures.requests += 1
            if group and status != _NO_TARGET:
                figures.routed += 1
            if not status:
                continue
            if of_target:
                figures.by_target[family] = figures.by_target.get(family, 0) + 1
                figures.seconds += seconds
                figures.timed += 1
                least, most = self._spans.get(arn, (seconds, seconds))
                self._spans[arn] = (min(least, seconds), max(most, seconds))
                continue
            for name in (family, str(status)):
                figures.by_balancer[name] = figures.by_balancer.get(name, 0) + 1
            if status in (502, 504):
                figures.connection_errors += 1
            figures.redirects += note == REDIRECT
            figures.fixed += note == FIXED

    def connection(self, balancer: str, group: str, octets: int = 0) -> None:
        """A network load balancer has passed a connection on, with so many bytes to both sides."""
        for arn in (balancer, group) if group else (balancer,):
            figures = self._of(arn)
            figures.connections += 1
            figures.octets += octets

    def take_spans(self) -> Mapping[str, Span]:
        """The least and greatest seconds of answers of targets since this was last asked, by ARN."""
        taken, self._spans = self._spans, {}
        return taken

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
        self._spans.pop(arn, None)

    def clear(self) -> None:
        """Everything is gone."""
        self._figures.clear()
        self._spans.clear()

    def _of(self, arn: str) -> Figures:
        found = self._figures.get(arn)
        if found is None:
            found = self._figures[arn] = Figures()
        return found
