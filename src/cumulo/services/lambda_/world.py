"""What an execution environment is built from, and whom it reports to."""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ports import RoleSessions
from cumulo.sandbox.contract import Launcher, RuntimeHost, RuntimeMissing, SandboxSpec
from cumulo.services.lambda_.calls import Call
from cumulo.services.lambda_.endings import Endings
from cumulo.services.lambda_.model import Ready, Version
from cumulo.services.lambda_.process import ServeCloud, ServeSecurely
from cumulo.services.lambda_.sandbox_env import Naming, sandbox_spec

if TYPE_CHECKING:
    from cumulo.services.lambda_.environments import Environment

INIT_SECONDS_MAX = 10.0  # AWS's; what takes longer is done again inside the first call

HostOf = Callable[[Version], Awaitable[RuntimeHost]]
"""How this machine runs a version's runtime; may take a while the first time."""


class World:
    """The means of every environment."""

    def __init__(
        self,
        *,
        launcher: Launcher,
        host_of: HostOf,
        roles: RoleSessions | None,
        clock: Clock,
        endings: Endings,
        cloud: ServeCloud | None = None,
        secure: ServeSecurely | None = None,
        init_seconds_max: float = INIT_SECONDS_MAX,
    ) -> None:
        self.launcher = launcher
        self.host_of = host_of
        self.roles = roles
        self.clock = clock
        self.endings = endings
        self.cloud = cloud
        self.secure = secure
        self.init_seconds_max = init_seconds_max

    async def prepare(self, ready: Ready, names: Naming) -> tuple[RuntimeHost, SandboxSpec, float]:
        """How to run it here, what to ask of the launcher, and when its keys expire (0: never)."""
        version = ready.version
        host = await self.host_of(version)
        keys = None
        if self.roles is not None and version.role:
            keys = self.roles.issue(version.account, version.role, version.name)
        return host, sandbox_spec(ready, host, names, keys), keys.expires_at if keys else 0.0

    def today(self) -> str:
        """The date as log streams have it."""
        return f"{datetime.fromtimestamp(self.clock.now(), UTC):%Y/%m/%d}"


class Keeper(Protocol):
    """Whose environment it is."""

    def freed(self, environment: "Environment") -> None:
        """It is IDLE or RESET and may be given a call."""
        ...

    def lost(self, environment: "Environment") -> None:
        """It was idle and is not any more, without having been given a call."""
        ...

    def unstartable(self, environment: "Environment", refusal: AwsError) -> None:
        """This machine could not start it; it ends."""
        ...

    def finished(self, call: Call) -> int:
        """A call is over; how many others are not."""
        ...

    def ended(self, environment: "Environment") -> None:
        """It is STOPPED."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Own a task."""
        ...


def refusal_of(error: Exception) -> AwsError:
    """What a caller gets when this machine, and not the function, is at fault."""
    if isinstance(error, RuntimeMissing):
        return AwsError("InvalidRuntimeException", str(error), status=502, fields={"Type": "Server"})
    return AwsError("ServiceException", str(error), status=500, fields={"Type": "Server"})
