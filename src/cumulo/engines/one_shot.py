"""Runs one container from its start to its end, and gives its output as it comes: what `cumulo image run` is.

pull ─▶ create ─▶ start ─▶ output ... ─▶ exit ─▶ remove
                    └── the caller goes away: remove at once
"""

import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import NamedTuple

import msgspec

from cumulo.base.ids import Ids
from cumulo.engines.engine import (
    ContainerSpec,
    Engine,
    EngineError,
    Exit,
    Limits,
    Mount,
    MountKind,
    NetworkMode,
    PodSpec,
    Port,
    StartFailed,
)
from cumulo.engines.images import Image

OWNER = "run"
CONTAINER = "main"
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_PORT = re.compile(r"(?:(?P<host>\d{1,5}):)?(?P<container>\d{1,5})(?:/(?P<protocol>tcp|udp))?")

Pull = Callable[[str], Awaitable[Image]]


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run.  Empty and 0 mean: as the image says, or without a bound.

    ports    HOST:CONTAINER[/udp], or CONTAINER for a free port of the host
    mounts   SOURCE:TARGET[:ro]; SOURCE is a path of the server's machine or the name of a volume
    """

    image: str
    command: tuple[str, ...] = ()
    entrypoint: str = ""
    env: Mapping[str, str] = {}
    user: str = ""
    cwd: str = ""
    memory_mib: int = 0
    vcpus: float = 0.0
    ports: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    read_only: bool = False
    network: NetworkMode = NetworkMode.BRIDGE


class BadOrder(Exception):
    """The order cannot be read; the message says which part of it, and how it should look."""


class Started(NamedTuple):
    """The container runs."""

    pod: str
    address: str
    ports: tuple[Port, ...]


class Output(NamedTuple):
    """Some of its output, with the line's end unless it goes on."""

    stream: str
    data: bytes


def pod_of(order: Order, image: Image, name: str) -> PodSpec:
    """The pod of an order.  BadOrder."""
    container = ContainerSpec(
        name=CONTAINER,
        image=image.id,
        entrypoint=(order.entrypoint,) if order.entrypoint else None,
        command=order.command or None,
        env=order.env,
        user=order.user,
        cwd=order.cwd,
        read_only=order.read_only,
        mounts=tuple(_mount(text) for text in order.mounts),
        limits=Limits(memory_mib=order.memory_mib, vcpus=order.vcpus),
    )
    return PodSpec(
        name=name,
        owner=OWNER,
        containers=(container,),
        network=order.network,
        ports=tuple(_port(text) for text in order.ports),
    )


class OneShots:
    """Runs orders on an engine, which is asked for when it is needed."""

    def __init__(self, engine: Callable[[], Awaitable[Engine]], pull: Pull, ids: Ids) -> None:
        self._engine = engine
        self._pull = pull
        self._ids = ids

    async def reap(self) -> None:
        """Remove what an earlier process of ours was running when it was killed."""
        engine = await self._engine()
        for pod in await engine.pods(OWNER):
            await engine.remove(pod.name)

    async def run(self, order: Order) -> AsyncGenerator[Started | Output | Exit, None]:
        """Started, then its output, then its exit.  BadOrder, PullError, EngineError."""
        engine = await self._engine()
        name = f"run-{self._ids.uuid()}"
        image = await self._pull(order.image)
        spec = pod_of(order, image, name)
        try:
            pod = await engine.create(spec)  # goes on when we are cancelled: removing waits for its end
            try:
                await engine.start(name, CONTAINER)
            except StartFailed as error:
                code = 127 if error.kind == "entrypoint" else 125
                yield Exit(code, error=str(error))
                return
            yield Started(name, pod.address, pod.ports)
            async for line in engine.logs(name, CONTAINER, follow=True):
                yield Output(line.stream, line.text if line.partial else line.text + b"\n")
            yield await engine.wait(name, CONTAINER)
        finally:
            with contextlib.suppress(EngineError):  # what is left is reaped at the next start
                await engine.remove(name)


def _mount(text: str) -> Mount:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise BadOrder(f"the mount {text!r} is not SOURCE:/TARGET[:ro]")
    if not source.startswith("/") and not _VOLUME_NAME.fullmatch(source):
        raise BadOrder(f"the mount {text!r} names neither an absolute path nor a volume")
    kind = MountKind.BIND if source.startswith("/") else MountKind.VOLUME
    return Mount(target=target, kind=kind, source=source, read_only=mode == "ro")


def _port(text: str) -> Port:
    match = _PORT.fullmatch(text)
    if match is None:
        raise BadOrder(f"the port {text!r} is not [HOST:]CONTAINER[/udp]")
    host, container = int(match["host"] or 0), int(match["container"])
    if not (0 <= host <= 65535 and 1 <= container <= 65535):
        raise BadOrder(f"the port {text!r} is not between 1 and 65535")
    return Port(container=container, host=host, protocol=match["protocol"] or "tcp", address="127.0.0.1")
