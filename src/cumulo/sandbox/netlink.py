"""The few rtnetlink requests that give a cell or a pod its network: a millisecond instead of the ten that `ip` takes."""

import os
import socket
import struct

_NLMSG_ERROR = 2
_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_NEWADDR = 20
_RTM_DELADDR = 21
_RTM_NEWROUTE = 24
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_INFO_PEER = 1
_BRPORT_HAIRPIN, _BRPORT_ISOLATED = 4, 33
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_OIF, _RTA_GATEWAY = 4, 5
_IFF_UP = 1


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def _link(index: int = 0, *, up: bool = False) -> bytes:
    flag = _IFF_UP if up else 0
    return struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, flag, flag)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_IFNAME, name.encode() + b"\0")


def _hardware(address: bytes) -> bytes:
    return _attribute(_IFLA_ADDRESS, address) if address else b""


class Netlink:
    """One rtnetlink socket; it goes on speaking to the network namespace it was made in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._serial = 0

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def loopback_up(self) -> None:
        """Start `lo`, which is always the first link."""
        self._ask(_RTM_NEWLINK, 0, _link(1, up=True))

    def make_bridge(self, name: str, address: str, prefix: int, hardware: bytes = b"") -> int:
        """A bridge with an address of its own, started; returns its index.

        hardware   its MAC address; without one it changes as ports come and go
        """
        kind = _attribute(_INFO_KIND, b"bridge")
        self._ask(
            _RTM_NEWLINK,
            _CREATE | _EXCLUSIVE,
            _link() + _name(name) + _hardware(hardware) + _attribute(_IFLA_LINKINFO, kind),
        )
        index = socket.if_nametoindex(name)
        self.add_address(index, address, prefix)
        self.link_up(index)
        return index

    def remove_link(self, name: str) -> None:
        """Remove a link by its name."""
        self._ask(_RTM_DELLINK, 0, _link() + _name(name))

    def make_veth(
        self,
        name: str,
        bridge: int,
        inside: str,
        namespace: int,
        *,
        isolated: bool = True,
        mtu: int = 0,
        hardware: bytes = b"",
    ) -> None:
        """A pair: `name` here, a port of the bridge; `inside` in another namespace.

        isolated   the port reaches no other isolated port; otherwise it reaches every port, and itself
        mtu        in bytes, of both; 0: the kernel's 1500
        hardware   the MAC address inside; empty: any
        """
        size = _attribute(_IFLA_MTU, struct.pack("I", mtu)) if mtu else b""
        peer = (
            _link()
            + _name(inside)
            + size
            + _hardware(hardware)
            + _attribute(_IFLA_NET_NS_FD, struct.pack("I", namespace))
        )
        info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_INFO_PEER, peer))
        self._ask(
            _RTM_NEWLINK,
            _CREATE | _EXCLUSIVE,
            _link()
            + _name(name)
            + size
            + _attribute(_IFLA_MASTER, struct.pack("I", bridge))
            + _attribute(_IFLA_LINKINFO, info),
        )
        manner = _attribute(_BRPORT_ISOLATED, b"\1") if isolated else _attribute(_BRPORT_HAIRPIN, b"\1")
        port = _attribute(_INFO_SLAVE_KIND, b"bridge") + _attribute(_INFO_SLAVE_DATA, manner)
        self._ask(_RTM_NEWLINK, 0, _link(up=True) + _name(name) + _attribute(_IFLA_LINKINFO, port))

    def join_bridge(self, name: str, bridge: int) -> None:
        """Make a link a port of a bridge, and start it."""
        self._ask(
            _RTM_NEWLINK,
            0,
            _link(up=True) + _name(name) + _attribute(_IFLA_MASTER, struct.pack("I", bridge)),
        )

    def link_up(self, index: int) -> None:
        """Start a link."""
        self._ask(_RTM_NEWLINK, 0, _link(index, up=True))

    def link_down(self, name: str) -> None:
        """Stop a link: nothing goes through it any more."""
        self._ask(_RTM_NEWLINK, 0, struct.pack("BxHiII", socket.AF_UNSPEC, 0, 0, 0, _IFF_UP) + _name(name))

    def add_address(self, index: int, address: str, prefix: int) -> None:
        """Give a link an IPv4 address."""
        raw = socket.inet_aton(address)
        self._ask(
            _RTM_NEWADDR,
            _CREATE | _EXCLUSIVE,
            struct.pack("BBBBi", socket.AF_INET, prefix, 0, 0, index)
            + _attribute(_IFA_LOCAL, raw)
            + _attribute(_IFA_ADDRESS, raw),
        )

    def remove_address(self, index: int, address: str, prefix: int) -> None:
        """Take an IPv4 address from a link."""
        self._ask(
            _RTM_DELADDR,
            0,
            struct.pack("BBBBi", socket.AF_INET, prefix, 0, 0, index)
            + _attribute(_IFA_LOCAL, socket.inet_aton(address)),
        )

    def default_route(self, index: int, gateway: str) -> None:
        """Send everything that is not near through a gateway."""
        main_table, by_boot, universe, unicast = 254, 3, 0, 1
        self._ask(
            _RTM_NEWROUTE,
            _CREATE | _EXCLUSIVE,
            struct.pack("BBBBBBBBI", socket.AF_INET, 0, 0, 0, main_table, by_boot, universe, unicast, 0)
            + _attribute(_RTA_GATEWAY, socket.inet_aton(gateway))
            + _attribute(_RTA_OIF, struct.pack("i", index)),
        )

    def _ask(self, kind: int, flags: int, payload: bytes) -> None:
        self._serial += 1
        header = struct.pack("IHHII", 16 + len(payload), kind, flags | _REQUEST | _ACK, self._serial, 0)
        self._socket.send(header + payload)
        answer = self._socket.recv(8192)
        if struct.unpack_from("H", answer, 4)[0] != _NLMSG_ERROR:
            raise OSError("rtnetlink gave no acknowledgement")
        number = -struct.unpack_from("i", answer, 16)[0]
        if number:
            raise OSError(number, f"rtnetlink request {kind}: {os.strerror(number)}")
