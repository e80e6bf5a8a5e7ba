# ruff: noqa: PTH123
# (pathlib would cost the warden and every cell a megabyte)
"""The way out of a sandbox: a bridge of this instance, translated by the host, closed towards the host.

    sandbox eth0 --veth--> bridge (10.n.0.1/16) --forward, masquerade--> the world

Bridge ports are isolated from one another; nothing on the bridge reaches a service of the host, a metadata
address (169.254.0.0/16) or another instance's sandboxes.  What a sandbox needs of the host it has as sockets.
"""

import binascii
import os
import socket
import struct
from typing import TYPE_CHECKING

from cumulo.sandbox.netlink import Netlink

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = 16
SUBNETS = tuple(range(180, 252))  # the second byte of 10.n.0.0/16
HOSTS = 65_000

_RULES = """
table inet {table} {{
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname "{bridge}" drop
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    iifname "{bridge}" ip saddr != {subnet} drop
    iifname "{bridge}" ip daddr {{ 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4 }} drop
    iifname "{bridge}" oifname "cu*" drop
    iifname "{bridge}" meta nfproto ipv6 drop
    oifname "{bridge}" ct state established,related accept
    oifname "{bridge}" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} oifname != "{bridge}" masquerade
  }}
}}
"""


def short(instance: str) -> str:
    """Six characters for an instance: link names have room for fifteen."""
    return f"{binascii.crc32(instance.encode()) & 0xFFFFFF:06x}"


def bridge_name(instance: str) -> str:
    """The bridge of an instance."""
    return f"cu{short(instance)}br"


def table_name(instance: str) -> str:
    """The nft table of an instance."""
    return f"cumulo_{short(instance)}"


def link_name(instance: str, serial: int) -> str:
    """The host's end of a cell's link; never used twice soon, since the kernel removes links late."""
    return f"cu{short(instance)}{serial % 0xFFFFFFF:x}"


def address(subnet: int, serial: int) -> str:
    """A cell's address."""
    number = 2 + serial % HOSTS
    return f"10.{subnet}.{number >> 8}.{number & 255}"


def free_subnet(instance: str, taken: "Iterable[tuple[int, int]]") -> int:
    """The second byte of a 10.n.0.0/16 that overlaps no (network, mask) of `taken`; OSError when none is left."""
    busy = list(taken)
    start = int(short(instance), 16) % len(SUBNETS)
    for offset in range(len(SUBNETS)):
        second = SUBNETS[(start + offset) % len(SUBNETS)]
        base, mask = (10 << 24) | (second << 16), 0xFFFF0000
        if all(base & mask & other != network & mask & other for network, other in busy):
            return second
    raise OSError("no 10.n.0.0/16 is free")


def parse_routes(text: str) -> tuple[list[tuple[int, int]], list[str]]:
    """The (network, mask) of each route in /proc/net/route but the default's, and the default's links."""
    networks: list[tuple[int, int]] = []
    ways: list[str] = []
    for line in text.splitlines()[1:]:
        words = line.split()
        network, mask = (struct.unpack("<I", struct.pack(">I", int(words[i], 16)))[0] for i in (1, 7))
        if mask:
            networks.append((network, mask))
        else:
            ways.append(words[0])
    return networks, ways


class Network:
    """The bridge and the rules of one instance."""

    def __init__(self, instance: str, nft: str) -> None:
        with open("/proc/net/route", encoding="ascii") as file:
            taken, ways = parse_routes(file.read())
        self.instance = instance
        self.subnet = free_subnet(instance, taken)
        self.gateway = f"10.{self.subnet}.0.1"
        bridge = bridge_name(instance)
        self._nft = nft
        rules = _RULES.format(
            table=table_name(instance), bridge=bridge, subnet=f"10.{self.subnet}.0.0/{PREFIX}"
        )
        apply_rules(nft, rules)  # before the bridge: there is no moment without them
        netlink = Netlink()
        try:
            self.bridge = netlink.make_bridge(bridge, self.gateway, PREFIX)
        except OSError:
            remove(instance, nft)
            raise
        finally:
            netlink.close()
        _put(f"/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6", "1")
        for link in (bridge, *ways):
            _put(f"/proc/sys/net/ipv4/conf/{link}/forwarding", "1")

    def link(self, serial: int) -> tuple[str, int, str, int, str]:
        """What a new cell needs for its link."""
        return (
            link_name(self.instance, serial),
            self.bridge,
            address(self.subnet, serial),
            PREFIX,
            self.gateway,
        )

    def close(self) -> None:
        """Remove bridge and rules."""
        remove(self.instance, self._nft)


def remove(instance: str, nft: str) -> None:
    """Remove what an instance has, or had before it was killed."""
    bridge = bridge_name(instance)
    if bridge in (name for _, name in socket.if_nameindex()):
        netlink = Netlink()
        try:
            netlink.remove_link(bridge)
        except OSError:
            pass
        finally:
            netlink.close()
    if nft:
        table = table_name(instance)
        # Adding first makes deleting succeed whether it was there or not.
        apply_rules(nft, f"add table inet {table}\ndelete table inet {table}\n")


def apply_rules(nft: str, rules: str) -> None:
    """Hand a rule set to nft, which applies all of it or nothing."""
    fd = os.memfd_create("rules")
    try:
        os.write(fd, rules.encode())
        os.lseek(fd, 0, os.SEEK_SET)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        actions = [
            (os.POSIX_SPAWN_DUP2, fd, 0),
            (os.POSIX_SPAWN_DUP2, null, 1),
            (os.POSIX_SPAWN_DUP2, null, 2),
        ]
        pid = os.posix_spawn(
            nft, [nft, "-f", "-"], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, file_actions=actions
        )
        os.close(null)
    finally:
        os.close(fd)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise OSError("nft refused the rules")


def forward_blocker(nft: str) -> str:
    """The chain to which the host's own firewall (Docker's, for one) wants exceptions added; empty when none is needed."""
    import subprocess  # only the server asks this

    done = subprocess.run(
        [nft, "list", "chain", "ip", "filter", "FORWARD"], capture_output=True, text=True, check=False
    )
    if "policy drop" not in done.stdout or '"cu*"' in done.stdout:
        return ""
    return "DOCKER-USER" if "DOCKER-USER" in done.stdout else "FORWARD"


def _put(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
