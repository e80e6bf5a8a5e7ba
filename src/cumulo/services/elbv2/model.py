"""The nouns: load balancers, listeners, rules, target groups and registered targets."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

Document = Mapping[str, Any]  # a structure of the API as it was sent, and checked
Tags = Mapping[str, str]
DEFAULT_PRIORITY = 0  # of a listener's default rule: it comes last, whatever the number says


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """An Availability Zone that a load balancer is enabled in, and its subnet there."""

    name: str
    subnet: str
    mapping: Document = {}  # AllocationId, PrivateIPv4Address, IPv6Address as they were asked for


class LoadBalancer(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer.  `kind` is application or network.

    address     where it listens, an address of this machine for it alone; empty until it is active
    attributes  those that were set; the others have their defaults
    asked       what CreateLoadBalancer was told, to know the same request again
    """

    account: str
    region: str
    name: str
    arn: str
    kind: str
    scheme: str
    dns_name: str
    created_at: float
    network: str = ""
    zones: tuple[Zone, ...] = ()
    security_groups: tuple[str, ...] = ()
    ip_address_type: str = "ipv4"
    state: str = "provisioning"
    state_reason: str = ""
    address: str = ""
    attributes: Mapping[str, str] = {}
    tags: Tags = {}
    enforce_private_link: str = ""
    source_nat: str = ""
    asked: Document = {}

    @property
    def is_application(self) -> bool:
        """Whether it understands HTTP."""
        return self.kind == "application"

    @property
    def identifier(self) -> str:
        """The last part of the ARN: 16 hexadecimal digits."""
        return self.arn.rpartition("/")[2]


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a load balancer.  `certificate` is the default one's ARN, `certificates` those for SNI."""

    arn: str
    load_balancer: str
    protocol: str
    port: int
    actions: tuple[Document, ...]
    created_at: float
    certificate: str = ""
    certificates: tuple[str, ...] = ()
    ssl_policy: str = ""
    alpn: tuple[str, ...] = ()
    mutual: Document = {}
    attributes: Mapping[str, str] = {}
    tags: Tags = {}


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener does with requests that fit.  The default rule's actions are its listener's."""

    arn: str
    listener: str
    priority: int  # 1 to 50000; DEFAULT_PRIORITY for the default rule
    conditions: tuple[Document, ...] = ()
    actions: tuple[Document, ...] = ()
    tags: Tags = {}

    @property
    def is_default(self) -> bool:
        """Whether it is the one for everything that fits no other."""
        return self.priority == DEFAULT_PRIORITY


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How targets are checked.  `port` is a number or traffic-port; times in seconds."""

    enabled: bool = True
    protocol: str = "HTTP"
    port: str = "traffic-port"
    path: str = "/"
    interval: int = 30
    timeout: int = 5
    healthy: int = 5
    unhealthy: int = 2
    codes: str = "200"  # HTTP codes that pass: 200, 200-299, 200,202


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A target group.  `target_type` is instance, ip, lambda or alb; protocol and port are empty for lambda."""

    account: str
    region: str
    name: str
    arn: str
    target_type: str
    created_at: float
    protocol: str = ""
    protocol_version: str = ""
    port: int = 0
    network: str = ""
    ip_address_type: str = "ipv4"
    check: HealthCheck = HealthCheck()
    attributes: Mapping[str, str] = {}
    tags: Tags = {}
    asked: Document = {}

    @property
    def is_http(self) -> bool:
        """Whether application load balancers forward to it."""
        return self.protocol in ("HTTP", "HTTPS") or self.target_type == "lambda"


class Health(StrEnum):
    """What checks have found of a target; draining, unused and unavailable come from elsewhere."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A target's health, and how many checks in a row have spoken against it."""

    health: Health = Health.INITIAL
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    against: int = 0


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A target of a group.  `id` is an address, an instance's id, or the ARN of a function or a load balancer.

    drains_until   0 while it takes requests; else the moment at which it is gone at the latest
    """

    group: str
    id: str
    port: int
    registered_at: float
    zone: str = ""
    standing: Standing = Standing()
    drains_until: float = 0.0

    @property
    def is_draining(self) -> bool:
        """Whether it is on its way out."""
        return self.drains_until > 0
