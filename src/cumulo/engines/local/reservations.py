"""Ports of the host that lead into pods: each is held by a socket, so that nobody else can take it meanwhile.

The socket never gets anything to do, as the kernel translates packets before they reach it.  Mappings of other
instances, whose control plane may be dead and hold nothing, are read from the rules.
"""

import errno
import ipaddress
import json
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from cumulo.engines.engine import Port, StartFailed
from cumulo.engines.local.rules import ANY

_TRIES_MAX = 64
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Mapped(msgspec.Struct, frozen=True):
    """A port that some table leads elsewhere."""

    protocol: str
    address: str
    port: int


def parse_maps(text: str, own_table: str) -> frozenset[Mapped]:
    """What `nft -j list maps inet` says of other instances' ports."""
    found: set[Mapped] = set()
    for item in json.loads(text or "{}").get("nftables", []):
        what = item.get("map", {})
        table = str(what.get("table", ""))
        if not (table.startswith("cumulo_") and table.endswith("_pods")) or table == own_table:
            continue
        for key, _ in what.get("elem", []):
            words = [str(word) for word in key["concat"]]
            address = words[0] if what["name"] == "ports_at" else ANY
            found.add(Mapped(words[-2], address, int(words[-1])))
    return frozenset(found)


def check(ports: Iterable[Port]) -> None:
    """StartFailed of kind `port` for what can never be mapped."""
    for port in ports:
        if port.protocol not in _KINDS:
            raise StartFailed("port", f"port {port.container}: no protocol {port.protocol!r}; tcp or udp")
        if not 1 <= port.container <= 65535 or not 0 <= port.host <= 65535:
            raise StartFailed("port", f"{port.host} to {port.container}: ports are 1 to 65535")
        try:
            ipaddress.IPv4Address(port.address)
        except ValueError:
            raise StartFailed("port", f"{port.address!r} is no IPv4 address") from None


class Reservations:
    """The host's ports that are held.

    ours   whether an address of the machine is there for us alone
    """

    def __init__(self, ours: Callable[[str], bool] = lambda _: False) -> None:
        self._ours = ours
        self._held: dict[tuple[str, str, int], socket.socket] = {}

    def take(self, ports: tuple[Port, ...], elsewhere: frozenset[Mapped]) -> tuple[Port, ...]:
        """Hold all of them, free ones for those without a number; or none and StartFailed."""
        taken: list[Port] = []
        try:
            for port in ports:
                taken.append(self._take_one(port, elsewhere))  # noqa: PERF401 - what was taken is given back
        except StartFailed:
            self.give_back(taken)
            raise
        return tuple(taken)

    def take_again(self, ports: Iterable[Port]) -> list[Port]:
        """Hold what is mapped already; returns those that somebody else took while no control plane ran.

        The mapping goes on all the same: the kernel translates before it looks for listeners.
        """
        lost = []
        for port in ports:
            if _key(port) in self._held:
                continue
            try:
                self._held[_key(port)] = self._hold(port)
            except OSError:
                lost.append(port)
        return lost

    def give_back(self, ports: Iterable[Port]) -> None:
        """Let go of ports; harmless when they are not held."""
        for port in ports:
            held = self._held.pop(_key(port), None)
            if held is not None:
                held.close()

    def close(self) -> None:
        """Let go of all."""
        for held in self._held.values():
            held.close()
        self._held.clear()

    def _take_one(self, port: Port, elsewhere: frozenset[Mapped]) -> Port:
        refused: list[socket.socket] = []
        try:
            for _ in range(_TRIES_MAX):
                try:
                    held = self._hold(port)
                except OSError as error:
                    raise StartFailed("port", _sentence(port, error)) from None
                real = msgspec.structs.replace(port, host=held.getsockname()[1] or port.host)
                if _is_free(real, elsewhere):
                    self._held[_key(real)] = held
                    return real
                refused.append(held)  # kept until the end, so that the kernel offers another
                if port.host:
                    raise StartFailed("port", f"{_spell(port)} leads to a container of another Cumulo")
            raise StartFailed("port", f"no free {port.protocol} port at {port.address}")
        finally:
            for held in refused:
                held.close()

    def _hold(self, port: Port) -> socket.socket:
        """Hold a port.  OSError.

        What listens at every address does not keep one from us that is ours alone: packets are translated before they
        come to it.  As long as it listens nobody can take the port, so the socket need not.
        """
        try:
            return _hold(port)
        except OSError as error:
            free = port.host and _key(port) not in self._held and self._ours(port.address)
            if error.errno != errno.EADDRINUSE or not free or _has_listener(port):
                raise
            return socket.socket(socket.AF_INET, _KINDS[port.protocol])


def _has_listener(port: Port) -> bool:
    """Whether some socket has exactly this address and port."""
    number = int.from_bytes(socket.inet_aton(port.address), sys.byteorder)
    place = f"{number:08X}:{port.host:04X}"
    with Path("/proc/thread-self/net", port.protocol).open(encoding="ascii") as lines:
        return any(line.split(maxsplit=2)[1] == place for line in lines)


def _key(port: Port) -> tuple[str, str, int]:
    return port.protocol, port.address, port.host


def _is_free(port: Port, elsewhere: frozenset[Mapped]) -> bool:
    return not any(
        other.protocol == port.protocol
        and other.port == port.host
        and (ANY in (other.address, port.address) or other.address == port.address)
        for other in elsewhere
    )


def _hold(port: Port) -> socket.socket:
    held = socket.socket(socket.AF_INET, _KINDS[port.protocol])
    try:
        if port.protocol == "tcp":
            # Past connections of an earlier listener do not count; listeners do.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((port.address, port.host))
        if port.protocol == "tcp":
            held.listen(1)
    except OSError:
        held.close()
        raise
    return held


def _spell(port: Port) -> str:
    return f"{port.protocol} port {port.host} of {port.address}"


def _sentence(port: Port, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{_spell(port)} is already in use"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{port.address} is not an address of this machine"
    return f"{_spell(port)}: {error.strerror}"
