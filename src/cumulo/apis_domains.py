"""Custom domain names and what goes with them, built together for apis.py: their desk, TLS, names inside sandboxes.

desk ─after the commit─▶ directory ◀─ front        showing ◀─ the TLS port, and port 443 of every sandbox
                     └─▶ the TLS port is opened    names ──▶ the launcher: /etc/hosts of sandboxes, whom they trust
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.log import Log
from cumulo.base.ports import Certificates, ObjectReader
from cumulo.base.tasks import cancel_all
from cumulo.gateway.domains.desk import ApiBook, DomainDesk
from cumulo.gateway.domains.directory import Directory
from cumulo.gateway.domains.records import DomainRecords
from cumulo.gateway.domains.showing import Showing
from cumulo.gateway.stages import Stages
from cumulo.net.authority import Authority
from cumulo.sandbox.contract import Reach
from cumulo.state.store import Store
from cumulo.wire.secure import Contexts

TLS_PORT: Final = 4567
SETTLE_SECONDS: Final = 0.05  # of names that come and go together, before sandboxes are told
SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

_log = Log("apis")


class DomainsGround(msgspec.Struct, frozen=True, kw_only=True):
    """What custom domain names stand on.

    listen     opens a port for TLS at the cloud's address, and gives its number; OSError
    tls_port   the port; None: the usual one, opened when there is a domain name
    host       the cloud's address
    note       takes a sentence for `cumulo status`
    reach      tells sandboxes what they can reach by name
    """

    data: Path
    store: Store
    clock: Clock
    ids: Ids
    certificates: Certificates
    objects: ObjectReader
    listen: Callable[[int, Contexts], Awaitable[int]]
    tls_port: int | None
    host: str
    note: Callable[[str], None]
    reach: Callable[[Reach], None]


class ApiDomains:
    """Everything of custom domain names.  `start` before requests are served."""

    def __init__(self, ground: DomainsGround, stages: Stages, book: ApiBook) -> None:
        self._ground = ground
        self._stages = stages
        self._records = DomainRecords(ground.store)
        self.directory = Directory(self._records)
        self.authority = Authority(ground.data / "ca", ground.clock)
        self.showing = Showing(
            self.directory, self.authority, ground.certificates, ground.clock, (ground.host,)
        )
        self.desk = DomainDesk(
            self._records,
            clock=ground.clock,
            ids=ground.ids,
            certificates=ground.certificates,
            objects=ground.objects,
            book=book,
            after=self._changed,
        )
        self.port = 0  # for TLS, once it is open
        self._noted = False
        self._telling: asyncio.TimerHandle | None = None
        self._told: tuple[str, ...] = ()
        self._bundling = asyncio.Lock()
        self._bundled: Path | None = (
            None  # written once by each process: the machine's roots may have changed
        )
        self._tasks: set[asyncio.Task[None]] = set()
        stages.watchers.append(self._names_changed)

    async def start(self) -> None:
        """Open the port for TLS if it is wanted, and tell sandboxes what there is."""
        if self._ground.tls_port is not None or self.directory.names():
            await self._open()
        await self._tell()

    async def close(self) -> None:
        """Let go."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        await cancel_all(self._tasks)

    async def reset(self) -> None:
        """Forget every domain name; the authority stays: it was trusted by hand."""
        self._records.clear()
        await self._ground.store.commit()
        self.directory.refresh()
        self._names_changed()

    async def context_for(self, name: str) -> ssl.SSLContext | None:
        """What TLS shows."""
        return await self.showing.context_for(name)

    def names(self) -> tuple[str, ...]:
        """All host names by which sandboxes can reach APIs: custom ones, and each API's own in AWS's form and in ours."""
        own = [
            f"{place.api_id}.execute-api.{domain}"
            for place in self._stages.places()
            for domain in ("localhost", f"{place.region}.amazonaws.com")
        ]
        custom = [name for name in self.directory.names() if not name.startswith("*")]
        return (*custom, *sorted(set(own)))

    # -- details -----------------------------------------------------------------------------------------

    async def _changed(self, key: str) -> None:
        """A domain name (or a mapping of it) was changed and committed."""
        self.directory.refresh(key)
        self._names_changed()
        if self.directory.names():
            await self._open()

    async def _open(self) -> None:
        if self.port:
            return
        wanted = TLS_PORT if self._ground.tls_port is None else self._ground.tls_port
        self.port = -1  # somebody opens it
        try:
            self.port = await self._ground.listen(wanted, self)
        except OSError as error:
            self.port = 0
            if not self._noted:
                self._noted = True
                self._ground.note(
                    f"port {wanted} cannot be had for TLS ({error.strerror or error}): APIs answer by plain HTTP only "
                    "(--tls-port names another port; 0 takes a free one)"
                )

    def _names_changed(self) -> None:
        if self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(SETTLE_SECONDS, self._tell_soon)

    def _tell_soon(self) -> None:
        self._telling = None
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        """Tell sandboxes the names, unless they know; they are told nothing before there is an API."""
        names = self.names()
        if names == self._told:
            return
        self._told = names
        try:
            async with self._bundling:
                if self._bundled is None:
                    self._bundled = await asyncio.to_thread(self._bundle)
                bundle = self._bundled
        except (OSError, ValueError) as error:
            _log.error("sandboxes cannot be told whom to trust", error=str(error))
            self._told = ()
            return
        if names is self._told:  # else there are others by now, and who found them tells them
            self._ground.reach(Reach(names=names, bundle=bundle, ca=self.authority.path))

    def _bundle(self) -> Path:
        """Write whom sandboxes trust: whomever this machine does, and the cloud's own authority."""
        ours = self.authority.certificate()
        path = self.authority.folder / "bundle.pem"
        aside = path.with_suffix(".new")
        aside.write_text(f"{_system_roots().rstrip()}\n{ours}")
        aside.replace(path)
        return path


def _system_roots() -> str:
    for path in SYSTEM_BUNDLES:
        try:
            return Path(path).read_text()
        except OSError:
            continue
    import botocore

    return (Path(botocore.__file__).parent / "cacert.pem").read_text()  # a machine without any of its own


class Book:
    """Which APIs there are: those of the two control planes.

    rest, v2   give an API's kind, and whether it has a stage
    """

    def __init__(self, planes: "Callable[[], tuple[ApiBook, ...]]") -> None:
        self._planes = planes

    def kind(self, account: str, region: str, api_id: str) -> str:
        """REST, HTTP or WEBSOCKET; empty when there is no such API."""
        return next((kind for one in self._planes() if (kind := one.kind(account, region, api_id))), "")

    def has_stage(self, account: str, region: str, api_id: str, stage: str) -> bool:
        """Whether the API has such a stage."""
        return any(one.has_stage(account, region, api_id, stage) for one in self._planes())


def refuse_mapped(what: str, kind: str, names: list[str]) -> None:
    """BadRequestException while domain names lead to what is to be deleted."""
    if names:
        raise AwsError(
            "BadRequestException",
            f"Deleting {what} failed. Please remove all base path mappings related to the {kind} in your domains: "
            + ", ".join(names),
        )
