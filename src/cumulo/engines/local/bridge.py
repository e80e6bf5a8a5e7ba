"""The bridge of an instance's pods, and their links to it.  All of this blocks for a millisecond or less."""

import array
import contextlib
import errno
import fcntl
import os
import random
import socket
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from cumulo.engines.local import addresses, namespaces, rules
from cumulo.sandbox.netlink import Netlink
from cumulo.sandbox.network import free_subnet, parse_routes

_SIOCGIFADDR = 0x8915
_SIOCETHTOOL = 0x8946
_ETHTOOL_GLINK = 0x0A
_TRIES = 5


class Bridge(msgspec.Struct, frozen=True):
    """It is there.  `fresh`: it was made just now, and has no ports yet; `mtu` is that of the way out, in bytes."""

    name: str
    index: int
    subnet: int
    mtu: int
    fresh: bool


def establish(instance: str, remembered: int, protect: Callable[[int], None]) -> Bridge:
    """Find or make the bridge; OSError.

    remembered   the subnet that it had (0: none), taken again when it is free
    protect      applies the rules for a subnet: before the bridge is there, so that it is never without
    """
    name = addresses.bridge_name(instance)
    _, ways = _routes()
    subnet = _subnet_of(name)
    fresh = subnet == 0
    if fresh:
        with contextlib.suppress(OSError):
            remove_link(name)  # one without an address: half made
        subnet = _make(instance, name, remembered, protect)
    else:
        protect(subnet)
    index = socket.if_nametoindex(name)
    _with_netlink(lambda netlink: netlink.link_up(index))
    with contextlib.suppress(OSError):  # a kernel without IPv6
        namespaces.put_setting(f"ipv6/conf/{name}/disable_ipv6", "1")
    # Packets from the host's loopback to mapped ports, and from pods to the host's loopback: only where rules lead.
    namespaces.put_setting(f"ipv4/conf/{name}/route_localnet", "1")
    for link in (name, *ways):
        namespaces.put_setting(f"ipv4/conf/{link}/forwarding", "1")
    return Bridge(name, index, subnet, _mtu(ways), fresh)


def _make(instance: str, name: str, remembered: int, protect: Callable[[int], None]) -> int:
    for _ in range(_TRIES):
        taken, _ways = _routes()
        subnet = _choose(instance, remembered, taken)
        protect(subnet)
        gateway = rules.gateway(subnet)
        hardware = addresses.hardware(gateway)
        _with_netlink(lambda netlink, at=gateway, mac=hardware: netlink.make_bridge(name, at, 16, mac))  # type: ignore[misc]
        if [network for network, _ in _routes()[0]].count((10 << 24) | (subnet << 16)) <= 1:
            return subnet
        remove_link(name)  # another instance took it in the same moment
        remembered = 0
        taken.append(((10 << 24) | (subnet << 16), 0xFFFF0000))
    raise OSError(errno.EADDRINUSE, "others take every subnet that is tried")


def _choose(instance: str, remembered: int, taken: list[tuple[int, int]]) -> int:
    wanted = (10 << 24) | (remembered << 16)
    if remembered and all(
        wanted & mask & 0xFFFF0000 != network & 0xFFFF0000 & mask for network, mask in taken
    ):
        return remembered
    return free_subnet(f"{instance}/pods/{random.randrange(4)}", taken)


def attach(instance: str, bridge: Bridge, serial: int, path: Path) -> None:
    """A new namespace at `path`, linked to the bridge.  This thread, which must be of its own, is in it after."""
    link = addresses.link_name(instance, serial)
    address = addresses.pod_address(bridge.subnet, serial)
    outside = Netlink()  # goes on speaking to the host's namespace
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # this too
    try:
        namespaces.make(path)
        inside = Netlink()
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _link(outside, link, bridge, fd, addresses.hardware(address))
            index = socket.if_nametoindex("eth0")
            inside.add_address(index, address, addresses.PREFIX)
            inside.link_up(index)
            inside.default_route(index, rules.gateway(bridge.subnet))
            _notice(asking, link)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking_inside:
                _notice(asking_inside, "eth0")
        finally:
            os.close(fd)
            inside.close()
    finally:
        asking.close()
        outside.close()


def _notice(asking: socket.socket, link: str) -> None:
    """Let the kernel see now that a link is up; by itself it does so later, and drops packets until then.

    Asking for the state of a link brings it up to date first (ethtool(8) does the same).
    """
    wanted = array.array("I", [_ETHTOOL_GLINK, 0])
    request = struct.pack("16sQ16x", link.encode(), wanted.buffer_info()[0])
    with contextlib.suppress(OSError):  # then it takes the kernel's time
        fcntl.ioctl(asking, _SIOCETHTOOL, request)


def _link(netlink: Netlink, link: str, bridge: Bridge, namespace: int, hardware: bytes) -> None:
    def make() -> None:
        netlink.make_veth(
            link, bridge.index, "eth0", namespace, isolated=False, mtu=bridge.mtu, hardware=hardware
        )

    try:
        make()
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
        netlink.remove_link(link)  # left by a control plane that was killed
        make()


def rejoin(bridge: Bridge, links: list[str]) -> None:
    """Make links ports of the bridge again, after it was lost and made anew."""
    netlink = Netlink()
    try:
        for link in links:
            with contextlib.suppress(OSError):
                netlink.join_bridge(link, bridge.index)
    finally:
        netlink.close()


def hold(bridge: Bridge, wanted: Iterable[str]) -> None:
    """Give the bridge further addresses; harmless when it has them.  OSError."""
    netlink = Netlink()
    try:
        for address in wanted:
            try:
                netlink.add_address(bridge.index, address, 32)
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise
    finally:
        netlink.close()


def let_go(bridge: Bridge, address: str) -> None:
    """Take a further address from the bridge; harmless when it has none.  OSError."""
    try:
        _with_netlink(lambda netlink: netlink.remove_address(bridge.index, address, 32))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):
            raise


def stop_link(name: str) -> None:
    """Let nothing through a link any more; harmless when there is none.  It goes with its namespace."""
    _if_there(lambda netlink: netlink.link_down(name))


def remove_link(name: str) -> None:
    """Remove a link; harmless when there is none.  The kernel takes 10 to 40 ms, and does nothing else meanwhile."""
    _if_there(lambda netlink: netlink.remove_link(name))


def _if_there(work: Callable[[Netlink], object]) -> None:
    try:
        _with_netlink(work)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def links(instance: str) -> dict[str, int]:
    """The links of pods that are there, by name, with their serial numbers."""
    prefix = addresses.link_prefix(instance)
    return {
        name: int(name.removeprefix(prefix), 16)
        for _, name in socket.if_nameindex()
        if addresses.is_link(instance, name)
    }


def is_there(name: str) -> bool:
    """Whether there is a link of that name."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def traffic(link: str) -> tuple[int, int]:
    """Bytes that went into and came out of the pod: the host's end sees them the other way round."""
    folder = Path("/sys/class/net", link, "statistics")
    try:
        return int((folder / "tx_bytes").read_text()), int((folder / "rx_bytes").read_text())
    except (OSError, ValueError):
        return 0, 0


def _with_netlink(work: Callable[[Netlink], object]) -> None:
    netlink = Netlink()
    try:
        work(netlink)
    finally:
        netlink.close()


def _routes() -> tuple[list[tuple[int, int]], list[str]]:
    return parse_routes(Path("/proc/thread-self/net/route").read_text(encoding="ascii"))


def _mtu(ways: list[str]) -> int:
    """The smallest of the ways out: a pod's packets need not be cut on any."""
    found = []
    for link in ways:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path("/sys/class/net", link, "mtu").read_text()))
    return min(found, default=0)


def _subnet_of(name: str) -> int:
    """The second byte of a bridge's 10.n.0.1; 0 without a bridge or an address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("16s240x", name.encode()))
        except OSError:
            return 0
    first, second = answer[20], answer[21]
    return second if first == 10 else 0
