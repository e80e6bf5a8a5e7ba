"""Which pod has which address: a serial number each, from which its address and its link's name follow."""

from cumulo.sandbox.network import HOSTS, address, short

PREFIX = 16


class Addresses:
    """Serial numbers in use.  One that was given back is the last to be given again, so that nobody meets a
    neighbour's old connections.
    """

    def __init__(self, count: int = HOSTS) -> None:
        self._count = count
        self._used: set[int] = set()
        self._next = 0

    def hold(self, serial: int) -> bool:
        """Mark one that a pod already has; False when another has it."""
        if serial in self._used or not 0 <= serial < self._count:
            return False
        self._used.add(serial)
        self._next = max(self._next, serial + 1)
        return True

    def take(self) -> int:
        """A free one; OSError when there is none."""
        if len(self._used) >= self._count:
            raise OSError("every address of the subnet is in use")
        serial = self._next % self._count
        while serial in self._used:
            serial = (serial + 1) % self._count
        self._used.add(serial)
        self._next = serial + 1
        return serial

    def is_used(self, serial: int) -> bool:
        """Whether a pod has it."""
        return serial in self._used

    def give_back(self, serial: int) -> None:
        """Free one; harmless when it is."""
        self._used.discard(serial)


def pod_address(subnet: int, serial: int) -> str:
    """The address that belongs to a serial number."""
    return address(subnet, serial)


def hardware(address_: str) -> bytes:
    """The MAC address of whoever has an IPv4 address: always the same, so that no neighbour remembers a wrong one."""
    return b"\x02\x75" + bytes(int(part) for part in address_.split("."))


def bridge_name(instance: str) -> str:
    """The bridge of an instance's pods.  Cells' links continue in hexadecimal digits, never with a p."""
    return f"cu{short(instance)}pbr"


def link_name(instance: str, serial: int) -> str:
    """The host's end of a pod's link."""
    return f"{link_prefix(instance)}{serial:x}"


def link_prefix(instance: str) -> str:
    """What the links of an instance's pods begin with."""
    return f"cu{short(instance)}p"


def is_link(instance: str, name: str) -> bool:
    """Whether a link is that of a pod of the instance."""
    rest = name.removeprefix(link_prefix(instance))
    return rest not in (name, "") and all(letter in "0123456789abcdef" for letter in rest)


def table_name(instance: str) -> str:
    """The nft table of an instance's pods."""
    return f"cumulo_{short(instance)}_pods"
