"""The tags of what is on the bill, asked of whoever has the resource."""

from collections.abc import Callable, Mapping

from cumulo.base.arn import parse_arn

TagsOf = Callable[[str, str, str], Mapping[str, str]]
"""Account, region and the name under which usage was recorded; the tags, none when the resource is not there."""


class Labels:
    """`meter.Tags`.  `find` says who knows those of a service; a resource with an ARN belongs to the ARN's service."""

    def __init__(self, find: Callable[[str], TagsOf | None]) -> None:
        self._find = find

    def tags_of(self, account: str, region: str, service: str, resource: str) -> Mapping[str, str]:
        """See Tags.  An address that a task had is on EC2's bill, and has the task's tags."""
        arn = parse_arn(resource)
        source = self._find(arn.service if arn is not None else service)
        return source(account, region, resource) if source is not None else {}
