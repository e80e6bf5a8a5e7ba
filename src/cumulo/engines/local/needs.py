"""What the local engine needs of others: unpacked layers, and a network for each pod.  They are handed to it."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from cumulo.engines.engine import NetworkMode, Port


class LayerStore(Protocol):
    """Unpacked layers of images."""

    def folder(self, diff_id: str) -> Path:
        """A layer that is ready to be a lowerdir of overlayfs: whiteouts are devices 0/0, opaque folders have
        trusted.overlay.opaque.
        """
        ...


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What network a pod wants.  When a pod is adopted, `ports` has the host's ports that it had."""

    mode: NetworkMode
    hostname: str
    names: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """The network of a pod.

    namespace  the file of its network namespace, bind-mounted; None for the host's
    address    its own, and the gateway's; empty where it has none
    ports      with the host's real ports
    dns        name servers for /etc/resolv.conf; empty: as the host
    """

    namespace: Path | None = None
    address: str = ""
    gateway: str = ""
    ports: tuple[Port, ...] = ()
    dns: tuple[str, ...] = ()


class PodNetwork(Protocol):
    """Networks of pods.  Errors are EngineError; a port that is taken is StartFailed of kind `port`."""

    async def open(
        self, pod: str, mode: NetworkMode, *, hostname: str, names: tuple[str, ...], ports: tuple[Port, ...]
    ) -> Connection:
        """Make the network of a pod; the one it has when it has one."""
        ...

    async def close(self, pod: str) -> None:
        """Give it back.  Harmless when there is none."""
        ...

    def listen_inside(self, pod: str, port: int, address: str = "127.0.0.1") -> socket.socket:
        """A listening socket at address:port inside.  Quick, and may be called in any thread."""
        ...

    async def host_address(self, name: str) -> str:
        """An address of the machine's own, for this name: the one it has when it has one."""
        ...

    async def free_host_address(self, name: str) -> None:
        """Give it back.  Harmless when there is none."""
        ...

    def host_addresses(self) -> Mapping[str, str]:
        """Those that there are, by name."""
        ...

    def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:
        """Names that pods resolve: all of an owner's from now on."""
        ...

    def traffic(self, pod: str) -> tuple[int, int]:
        """Bytes received and sent since it was made; zeros where that cannot be known.  In any thread."""
        ...

    async def adopt(self, pods: Mapping[str, Wish]) -> Mapping[str, Connection]:
        """After a restart: these pods exist.  Their networks go on, or are made anew when they are gone (the machine
        was restarted); whatever else is left of this instance is given back.  One whose network cannot be had is
        left out of the answer.
        """
        ...

    async def start(self) -> None:
        """Make what all pods share (bridge, rules, names)."""
        ...

    async def stop(self) -> None:
        """Let go in this process; networks of pods live on."""
        ...
