"""Lambda's control plane: what it is built from, and what it can do.

operations --+-> registry (store) --> transitions (run.py) --+-> preparation --> runtimes
             +-> intake --> code (blobs, trees)              +-> fleet (the data plane)
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports import ObjectReader
from cumulo.base.ports.networks import Networks
from cumulo.sandbox.contract import Early, RuntimeHost, Runtimes
from cumulo.services.lambda_.account import Account
from cumulo.services.lambda_.code import CodeStore
from cumulo.services.lambda_.concurrency import Concurrency
from cumulo.services.lambda_.functions import Functions
from cumulo.services.lambda_.images import LOST_CODES, FunctionImages
from cumulo.services.lambda_.intake import Intake
from cumulo.services.lambda_.links import Links
from cumulo.services.lambda_.model import Fleet, Ready, State, Version
from cumulo.services.lambda_.names import Target
from cumulo.services.lambda_.permissions import FunctionPermissions
from cumulo.services.lambda_.policies import Policies
from cumulo.services.lambda_.preparation import NotPreparable, Preparation
from cumulo.services.lambda_.refresh import Refresh
from cumulo.services.lambda_.registry import Registry
from cumulo.services.lambda_.resolver import FunctionResolver
from cumulo.services.lambda_.run import Transitions
from cumulo.services.lambda_.states import Outcome
from cumulo.services.lambda_.tags import Tags
from cumulo.services.lambda_.versions import Versions
from cumulo.state.blobs import Blobs
from cumulo.state.store import Store
from cumulo.wire.http import Request, Response
from cumulo.wire.service import Operation, Service


class Lambda:
    """The control plane; `model.Resolver` for the data plane.

    blobs         its own folder: unused zips are deleted from it
    code_root     the folder of unpacked zips
    machine       this machine's processor, in the words of `platform.machine()`
    code_in_use   whether an execution environment still looks at an unpacked tree; without it, unused trees
                  are kept for as long as the longest call could take
    networks      who knows the networks of subnets; without it, functions show none
    expect        hears which runtimes are about to be wanted
    images        for functions from images; without it they are refused
    """

    def __init__(
        self,
        *,
        store: Store,
        blobs: Blobs,
        code_root: Path,
        objects: ObjectReader,
        runtimes: Runtimes,
        fleet: Fleet,
        clock: Clock,
        ids: Ids,
        concurrency: int,
        machine: str,
        code_in_use: Callable[[Path], bool] | None = None,
        networks: Networks | None = None,
        expect: Callable[[Early], None] | None = None,
        images: FunctionImages | None = None,
    ) -> None:
        self._code = CodeStore(blobs, code_root, clock, in_use=code_in_use)
        self._registry = Registry(store)
        self._reserved: dict[tuple[str, str], int] = {}
        self._registry.on_change(self._reserved.clear)
        self._fleet = fleet
        self.preparation = Preparation(self._code, runtimes, machine, expect, images)
        self._transitions = Transitions(
            self._registry, self.preparation, self._code, fleet, clock, ids, images
        )
        self._resolver = FunctionResolver(self._registry, self._code)
        self._links = Links(self._code, clock, ids)
        self._policies = Policies(self._registry, store, ids)
        self.permissions = FunctionPermissions(self._policies)
        account = Account(self._registry, concurrency)
        versions = Versions(self._registry, self._transitions, self._policies, ids)
        functions = Functions(
            registry=self._registry,
            versions=versions,
            intake=Intake(self._code, objects, self._transitions, images),
            transitions=self._transitions,
            policies=self._policies,
            links=self._links,
            account=account,
            fleet=fleet,
            clock=clock,
            ids=ids,
            networks=networks,
        )
        self._operations: dict[str, Operation] = {
            **functions.operations(),
            **versions.operations(),
            **Tags(self._registry, ids).operations(),
            **account.operations(),
            **Concurrency(self._registry, account, concurrency).operations(),
            **self._policies.operations(),
            **Refresh(self._registry).operations(),
        }

    # -- for the door ------------------------------------------------------------------------------------------

    def operations(self, data_plane: Mapping[str, Operation] | None = None) -> Mapping[str, Operation]:
        """Every operation that is built, with the data plane's (Invoke) when they are given."""
        return self._operations | dict(data_plane or {})

    def service(self, data_plane: Mapping[str, Operation] | None = None) -> Service:
        """The same, as the door wants it."""
        return Service("lambda", self.operations(data_plane))

    async def download(self, request: Request) -> Response:
        """Answer a request below `links.PREFIX`: the code of a function."""
        return await self._links.download(request)

    # -- for the data plane ------------------------------------------------------------------------------------

    def resolve(self, caller: Caller, function: str, qualifier: str | None) -> Ready:
        """Find what to call; see `model.Resolver`."""
        return self._resolver.resolve(caller, function, qualifier)

    def host_of(self, version: Version) -> RuntimeHost | None:
        """How this machine runs a version; None when that must be found out first, with `ready`."""
        return self.preparation.host_of(version)

    async def ready(self, version: Version) -> RuntimeHost:
        """How this machine runs a version, its code unpacked: after a restart that is done at the first call."""
        try:
            host = await self.preparation.ready(version)
        except AwsError as error:
            cause = error.__cause__
            if isinstance(cause, NotPreparable) and cause.code in LOST_CODES:
                lost = Outcome(reason=cause.reason, reason_code=cause.code)
                await self._transitions.changed(version, lost)
            raise
        if version.state is State.INACTIVE:
            await self._transitions.changed(version, None)
        return host

    def reserved_total(self, account: str, region: str) -> int:
        """The concurrency that functions have reserved; kept until a function changes."""
        key = (account, region)
        found = self._reserved.get(key)
        if found is None:
            functions = self._registry.functions(Caller(account=account, region=region))
            found = self._reserved[key] = sum(function.reserved_concurrency or 0 for function in functions)
        return found

    def tags_of(self, account: str, region: str, resource: str) -> Mapping[str, str]:
        """The tags of a function (by its ARN), for the bill."""
        found = self._registry.find(
            Target(account, region, resource.rsplit(":function:", maxsplit=1)[-1].partition(":")[0])
        )
        return found.tags if found is not None else {}

    def count(self) -> int:
        """How many functions there are, in all accounts."""
        return len(self._registry.everything())

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Clear away what a crash left and take up what it interrupted."""
        self._code.remove_leftovers()
        await self._code.sweep(self._registry.digests())
        self._transitions.start()
        served = [function.serving for function in self._registry.everything() if function.serving]
        if served:  # the first call after a restart is likely to be one of what was worked on last
            self.preparation.foresee(max(served, key=lambda version: version.last_modified))

    async def settled(self) -> None:
        """Return when no transition is under way."""
        await self._transitions.settled()

    async def close(self) -> None:
        """Stop; what is unfinished goes on at the next start."""
        await self._transitions.close()
        await self.preparation.close()

    async def reset(self) -> None:
        """Remove every function of every account."""
        await self.close()
        functions = [function.latest for function in self._registry.everything()]
        for latest in functions:
            self._transitions.release_code(latest)
        self._registry.clear()
        self._policies.clear()
        await self._registry.commit()
        for latest in functions:
            self._fleet.forget(latest.account, latest.region, latest.name)
        await self._code.clear()
        self._transitions.start()
        served = [function.serving for function in self._registry.everything() if function.serving]
        if served:  # the first call after a restart is likely to be one of what was worked on last
            self.preparation.foresee(max(served, key=lambda version: version.last_modified))
