"""nodeProperties: multi-node parallel jobs.  Pure; AwsError ClientException.

targetNodes   `0:3`  `0:`  `:3`  `:`  `2`;  a range within another one wins over it where both hold
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from cumulo.services.batch.errors import unbuilt, unfit
from cumulo.services.batch.model import Document
from cumulo.services.batch.task_rules import container_properties, ecs_properties

NODES_MAX = 1000
RANGES_MAX = 5
_RANGE = re.compile(r"([0-9]{0,4})(:?)([0-9]{0,4})")


class Range(NamedTuple):
    """Numbers of nodes, both ends included; `is_open` when no end was written."""

    first: int
    last: int
    is_open: bool = False


def node_properties(properties: Document) -> dict[str, Any]:
    """nodeProperties, checked."""
    count, main, ranges = properties["numNodes"], properties["mainNode"], properties["nodeRangeProperties"]
    if not 1 <= count <= NODES_MAX:
        raise unfit(f"Number of nodes must be between 1 and {NODES_MAX}.")
    if main < 0 or main >= count:
        raise unfit("Main node index is out of range, must be less than numNodes.")
    if not ranges:
        raise unfit("Node range properties must be provided.")
    if len(ranges) > RANGES_MAX:
        raise unfit(f"Maximum allowed size of node range properties is {RANGES_MAX}")
    check_cover([parse_range(one["targetNodes"], count) for one in ranges], count)
    return {"numNodes": count, "mainNode": main, "nodeRangeProperties": [_range(one) for one in ranges]}


def parse_range(text: str, nodes: int) -> Range:
    """What `targetNodes` means in a job of so many nodes; the range may still lie outside of it."""
    found = _RANGE.fullmatch(text)
    if not found or not text:
        raise unfit("targetNodes should contain only digits.")
    first = int(found[1] or 0)
    if not found[2]:
        return Range(first, first)
    is_open = not found[3]
    return Range(first, max(nodes - 1, first) if is_open else int(found[3]), is_open)


def check_cover(ranges: Sequence[Range], nodes: int) -> None:
    """Ranges lie within the job, one within another or apart, and leave no node out."""
    for one in ranges:
        if one.first > one.last or one.last >= nodes:
            raise unfit(f"Node range {one.first}:{one.last} is out of range, must be less than numNodes.")
        for other in ranges:
            if one.first < other.first <= one.last < other.last:
                raise unfit("Node ranges cannot overlap in part.")
    if len({(one.first, one.last) for one in ranges}) < len(ranges):
        raise unfit("Node ranges must be unique.")
    covered = {number for one in ranges for number in range(one.first, one.last + 1)}
    if len(covered) < nodes:
        raise unfit("Node ranges must account for all nodes.")


def range_of(ranges: Sequence[Range], number: int) -> int:
    """Which of the ranges holds for a node: the innermost around it."""
    around = [
        (-one.first, one.last, index) for index, one in enumerate(ranges) if one.first <= number <= one.last
    ]
    return min(around)[2]


def _range(one: Document) -> dict[str, Any]:
    target = one["targetNodes"]
    if "eksProperties" in one:
        raise unbuilt("RegisterJobDefinition", "eksProperties")
    if "consumableResourceProperties" in one:
        raise unbuilt("RegisterJobDefinition", "consumableResourceProperties")
    if "container" in one and "ecsProperties" in one:
        raise unfit("NodeRangeProperties can not use both ecsProperties and container fields")
    if "ecsProperties" in one:
        return {**one, "ecsProperties": ecs_properties(one["ecsProperties"], "EC2")}
    if "container" not in one:
        raise unfit(f"Must specify container for node range {target}")
    if one.get("instanceTypes"):
        raise unfit("Using instanceTypes with nodeRangeProperty is only allowed for ecsProperties jobs.")
    return {**one, "container": container_properties(one["container"], "EC2", node=True)}
