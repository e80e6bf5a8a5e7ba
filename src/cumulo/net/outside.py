"""Where requests of a cloud that many use may lead: everywhere but to the machine itself and what only it may ask.

A backend's name is looked up first, and then the address is what counts: names that lead inside, numbers written in odd
ways and answers that change between two look-ups come to the same.
"""

import ipaddress
from typing import Final

# Load balancers and instances of the cloud have their addresses there where the machine gives them no others.
OF_THE_CLOUD: Final = ipaddress.ip_network("127.66.0.0/16")
# What providers tell their machines alone, beside what is link-local.
_METADATA: Final = frozenset(
    ipaddress.ip_address(one) for one in ("fd00:ec2::254", "fd00:ec2::23", "100.100.100.200")
)
_THIS_NETWORK: Final = ipaddress.ip_network("0.0.0.0/8")


class Outside:
    """Whether a backend may be connected to.  `port`: the cloud's own, which asks everybody who they are."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, address: str, port: int) -> bool:
        """False for this machine's own services, for what is on its link (so the metadata of its host), and for no one."""
        where: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
        if where.version == 6:
            where = where.ipv4_mapped or where.sixtofour or where
        if where.is_loopback:
            return port == self._port or (where.version == 4 and where in OF_THE_CLOUD)
        nobody = where.is_unspecified or where.is_multicast or (where.version == 4 and where in _THIS_NETWORK)
        return not (nobody or where.is_link_local or where in _METADATA)
