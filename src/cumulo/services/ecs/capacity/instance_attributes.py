"""The attributes of container instances: what the agent says of its instance, and what users add.  Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from cumulo.base.instances import Host
from cumulo.services.ecs.model import Document

CUSTOM_MAX: Final = 10
ADDRESS: Final = "cumulo.address"  # where this machine and tasks reach the host ports of an instance
_AGENTS: Final = ("ecs.", "com.amazonaws.ecs.", "cumulo.")


def is_custom(name: str) -> bool:
    """Whether users gave it, and not the agent."""
    return not name.startswith(_AGENTS)


def registered_attributes(host: Host, capabilities: Sequence[str]) -> tuple[Document, ...]:
    """What an agent registers: what it can do, where it is, and what user data says."""
    said = {
        "ecs.ami-id": host.image,
        "ecs.availability-zone": host.zone,
        "ecs.cpu-architecture": host.architecture,
        "ecs.instance-type": host.kind,
        "ecs.os-family": "LINUX",
        "ecs.os-type": "linux",
        "ecs.subnet-id": host.subnet,
        "ecs.vpc-id": host.network,
        ADDRESS: host.address,
    }
    own: list[Document] = [{"name": name} for name in capabilities]
    own += [{"name": name, "value": value} for name, value in said.items() if value]
    own += [attribute(name, value) for name, value in list(host.agent.attributes.items())[:CUSTOM_MAX]]
    return tuple(own)


def attribute(name: str, value: str) -> Document:
    """One attribute; without a value when that is empty."""
    return {"name": name, "value": value} if value else {"name": name}


def located(have: Sequence[Document], address: str) -> tuple[Document, ...]:
    """The attributes of an instance that is reached there now."""
    rest = tuple(one for one in have if one["name"] != ADDRESS)
    return (*rest, attribute(ADDRESS, address)) if address else rest


def put(have: Sequence[Document], more: Mapping[str, str]) -> tuple[Document, ...]:
    """The attributes with more of them, each name once."""
    kept = [one for one in have if one["name"] not in more]
    return (*kept, *(attribute(name, value) for name, value in more.items()))


def custom_count(have: Sequence[Document]) -> int:
    """How many of them are users'."""
    return sum(is_custom(str(one["name"])) for one in have)
