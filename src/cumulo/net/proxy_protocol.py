"""PROXY protocol, version 2: tells a backend who the client is, before the first byte of the client's."""

import ipaddress
import struct
from typing import Final

from cumulo.net.messages import Link

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY: Final = 0x21  # version 2, on behalf of another
_LOCAL: Final = 0x20  # version 2, on our own behalf
_TCP4: Final = 0x11
_TCP6: Final = 0x21


def header(link: Link) -> bytes:
    """The header for a TCP connection; one that names nobody when the addresses are not both known."""
    try:
        source, target = ipaddress.ip_address(link.peer), ipaddress.ip_address(link.local_address)
    except ValueError:
        return _SIGNATURE + struct.pack("!BBH", _LOCAL, 0, 0)
    if source.version == target.version == 4:
        family = _TCP4
    else:
        family = _TCP6
        source, target = _as_ipv6(source), _as_ipv6(target)
    addresses = source.packed + target.packed + struct.pack("!HH", link.peer_port, link.local_port)
    return _SIGNATURE + struct.pack("!BBH", _PROXY, family, len(addresses)) + addresses


def _as_ipv6(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv4Address):
        return ipaddress.IPv6Address(f"::ffff:{address}")
    return address
