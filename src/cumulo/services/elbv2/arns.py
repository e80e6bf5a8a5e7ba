"""Names of load balancing's things, how to read them, and under which names load balancers are found.

arn:aws:elasticloadbalancing:<region>:<account>:loadbalancer/app/<name>/<16 hex>
                                                listener/app/<name>/<16 hex>/<16 hex>
                                                listener-rule/app/<name>/<16 hex>/<16 hex>/<16 hex>
                                                targetgroup/<name>/<16 hex>
"""

import re
from collections.abc import Mapping
from typing import Final

from cumulo.base.arn import Arn, parse_arn, partition_of

_SERVICE: Final = "elasticloadbalancing"
_SHAPES: Final[Mapping[str, re.Pattern[str]]] = {
    "load balancer": re.compile(r"loadbalancer/(app|net|gwy)/[^/]+/[0-9a-f]{1,64}"),
    "listener": re.compile(r"listener/(app|net|gwy)/[^/]+/[0-9a-f]+/[0-9a-f]+"),
    "listener rule": re.compile(r"listener-rule/(app|net|gwy)/[^/]+/[0-9a-f]+/[0-9a-f]+/[0-9a-f]+"),
    "target group": re.compile(r"targetgroup/[^/]+/[0-9a-f]+"),
}
SHORT: Final[Mapping[str, str]] = {"application": "app", "network": "net"}

_ZONES_APPLICATION: Final[Mapping[str, str]] = {
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
    "ca-central-1": "ZQSVJUPU6J1EY",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-west-2": "ZHURV8PSTC4K8",
    "eu-west-3": "Z3Q77PNBQS71R4",
    "eu-north-1": "Z23TAZ6LKFMNIO",
    "ap-northeast-1": "Z14GRHDCWA56QT",
    "ap-northeast-2": "ZWKZPGTI48KDX",
    "ap-southeast-1": "Z1LMS91P8CMLE5",
    "ap-southeast-2": "Z1GM3OXH4ZPM65",
    "ap-south-1": "ZP97RAFLXTNZK",
    "sa-east-1": "Z2P70J7HTTTPLU",
}
_ZONES_NETWORK: Final[Mapping[str, str]] = {
    "us-east-1": "Z26RNL4JYFTOTI",
    "us-east-2": "ZLMOA37VPKANP",
    "us-west-1": "Z24FKFUX50B4VW",
    "us-west-2": "Z18D5FSROUN65G",
    "ca-central-1": "Z2EPGBW3API2WT",
    "eu-central-1": "Z3F0SRJ5LGBH90",
    "eu-west-1": "Z2IFOLAFXWLO4F",
    "eu-west-2": "ZD4D7Y8KGAS4G",
    "eu-west-3": "Z1CMS0P5QUZ6D5",
    "eu-north-1": "Z1UDT6IFJ4EJM",
    "ap-northeast-1": "Z31USIVHYNEOWT",
    "ap-northeast-2": "ZIBE1TIR4HY56",
    "ap-southeast-1": "ZKVM4W9LS7TM",
    "ap-southeast-2": "ZCT6FZBF4DROD",
    "ap-south-1": "ZVDDRBQ08TROA",
    "sa-east-1": "ZTK26PT1VY4CU",
}


def make(region: str, account: str, resource: str) -> str:
    """An ARN of this service."""
    return str(Arn(_SERVICE, region, account, resource, partition_of(region)))


def is_of(text: str, kind: str, region: str) -> bool:
    """Whether a text is an ARN of this kind (`load balancer`, `listener`, `listener rule`, `target group`) here."""
    arn = parse_arn(text)
    if arn is None or arn.service != _SERVICE or arn.region != region:
        return False
    return _SHAPES[kind].fullmatch(arn.resource) is not None


def kind_of(text: str) -> str:
    """The kind of thing that an ARN of this service names; empty for anything else."""
    arn = parse_arn(text)
    if arn is None or arn.service != _SERVICE:
        return ""
    return next((kind for kind, shape in _SHAPES.items() if shape.fullmatch(arn.resource)), "")


def below(arn: str, kind: str, identifier: str) -> str:
    """The ARN of a listener (below its load balancer's), or of a rule (below its listener's)."""
    head, _, resource = arn.rpartition(":")
    _, _, rest = resource.partition("/")
    return f"{head}:{kind}/{rest}/{identifier}"


def last_part(arn: str) -> str:
    """What CloudWatch calls it: `app/<name>/<hex>`, `targetgroup/<name>/<hex>`."""
    resource = arn.rpartition(":")[2]
    return resource.removeprefix("loadbalancer/")


def dns_name(kind: str, name: str, identifier: str, region: str, *, internal: bool) -> str:
    """Under which name a load balancer is found; `identifier` is the last part of its ARN.

    As AWS's, with `localhost` in place of amazonaws.com, so that it leads to this machine everywhere.
    """
    prefix = "internal-" if internal else ""
    if kind == "network":
        return f"{prefix}{name}-{identifier}.elb.{region}.localhost"
    digits = int(identifier, 16) % 9_000_000_000 + 1_000_000_000
    return f"{prefix}{name}-{digits}.{region}.elb.localhost"


def hosted_zone(kind: str, region: str) -> str:
    """The hosted zone of a region's load balancers; that of us-east-1 where none is known."""
    zones = _ZONES_NETWORK if kind == "network" else _ZONES_APPLICATION
    return zones.get(region, zones["us-east-1"])
