"""Ports and other things of the network that a container definition may ask for.  Pure."""

import re
from collections.abc import Iterable, Sequence

from cumulo.services.ecs.definitions.defaults import OWN_PORTS
from cumulo.services.ecs.model import Document
from cumulo.services.ecs.refusals import client

PORT_MAX = 65_535
_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})")
_NO_NETWORK_OF_ITS_OWN = (
    ("links", "Links are not supported when networkMode={mode}."),
    ("extraHosts", "Extra hosts are not supported on container when networkMode={mode}."),
    ("hostname", "hostname is not supported on container when networkMode={mode}."),
    ("dnsServers", "DNS servers are not supported on container when networkMode={mode}."),
    ("dnsSearchDomains", "DNS search domains are not supported on container when networkMode={mode}."),
    ("disableNetworking", "Disable Networking is not supported on container when networkMode={mode}."),
)


def check_network(containers: Sequence[Document], mode: str) -> None:
    """Ports, names and links of all containers of a task in a network mode."""
    for container in containers:
        if mode == "awsvpc":
            for member, sentence in _NO_NETWORK_OF_ITS_OWN:
                if container.get(member):
                    raise client(sentence.format(mode=mode))
        elif mode != "bridge" and container.get("links"):
            raise client(f"Links are not supported when networkMode={mode}.")
        for mapping in container["portMappings"]:
            _check_mapping(container["name"], mapping, mode)
    _check_taken(containers, mode)


def ports_of(mapping: Document) -> Iterable[int]:
    """The ports of a container that a mapping opens."""
    found = _RANGE.fullmatch(mapping.get("containerPortRange", ""))
    if found:
        return range(int(found[1]), int(found[2]) + 1)
    return (mapping["containerPort"],)


def _check_mapping(name: str, mapping: Document, mode: str) -> None:
    if mode == "none":
        raise client("Port mappings are not supported when networkMode=none.")
    if "containerPortRange" in mapping:
        _check_range(name, mapping, mode)
        return
    port, host = mapping.get("containerPort", 0), mapping.get("hostPort", 0)
    if not 1 <= port <= PORT_MAX:
        raise client(f"Invalid 'containerPort' setting for container '{name}'.")
    if not 0 <= host <= PORT_MAX:
        raise client(f"Invalid 'hostPort' setting for container '{name}'.")
    if mode in OWN_PORTS and host != port:
        raise client(
            f"When networkMode={mode}, the host ports and container ports in port mappings must match."
        )


def _check_range(name: str, mapping: Document, mode: str) -> None:
    if "containerPort" in mapping or "hostPort" in mapping:
        raise client(
            f"Invalid setting for container '{name}'. cannot specify both single port and port range."
        )
    found = _RANGE.fullmatch(mapping["containerPortRange"])
    if mode == "host" or found is None or not 1 <= int(found[1]) < int(found[2]) <= PORT_MAX:
        raise client(f"Invalid 'containerPortRange' setting for container '{name}'.")


def _check_taken(containers: Iterable[Document], mode: str) -> None:
    own: set[tuple[str, str, int]] = set()  # by who shares the ports
    host: set[tuple[str, int]] = set()
    names: set[str] = set()
    for container in containers:
        for mapping in container["portMappings"]:
            protocol = mapping["protocol"]
            name = mapping.get("name")
            if name is not None and name in names:
                raise client(f"When networkMode={mode}, port mapping name is already used")
            names.update(() if name is None else (name,))
            space = "" if mode in OWN_PORTS else container["name"]
            fixed = mapping.get("hostPort", 0)
            for port in ports_of(mapping):
                if mode in OWN_PORTS and (space, protocol, port) in own:
                    raise client(
                        f"{protocol.upper()} container port '{port}' is used multiple times in task "
                        f"when networkMode={mode}."
                    )
                own.add((space, protocol, port))
            if mode == "bridge" and fixed:
                if (protocol, fixed) in host:
                    raise client(
                        f"{protocol.upper()} host port '{fixed}' is used multiple times in task "
                        "when networkMode=bridge."
                    )
                host.add((protocol, fixed))
