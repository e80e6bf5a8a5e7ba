"""API Gateway, built when it is first needed: a cloud must start at once and stay small.

A cloud that has used it once builds it at its start from then on: there are stages to publish.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cumulo.wire.http import Handler, Headers
from cumulo.wire.service import Service

if TYPE_CHECKING:
    from cumulo.apis import Apis, ApisGround
    from cumulo.gateway.front import Front
    from cumulo.gateway.observing.passages import Passage


class ApisSlot:
    """Builds it once.

    ground   what it stands on
    begin    starts and runs what was built, beside the server
    marker   a file that says that it was built before
    """

    names = ("apigateway", "apigatewayv2", "apigatewaymanagementapi")

    def __init__(
        self, ground: "Callable[[], ApisGround]", begin: "Callable[[Apis], None]", marker: Path
    ) -> None:
        self._ground = ground
        self._begin = begin
        self._marker = marker
        self.built: Apis | None = None

    @property
    def was_used(self) -> bool:
        """Whether an earlier process has built it."""
        return self._marker.exists()

    def build(self) -> "Apis":
        """Build it, and run nothing yet; the one that is there when it is."""
        if self.built is None:
            from cumulo.apis import Apis

            self._marker.touch(mode=0o600)
            self.built = Apis(self._ground())
        return self.built

    def get(self) -> "Apis":
        """The one that is there, or one that is built and begun now."""
        if self.built is None:
            self._begin(self.build())
        assert self.built is not None
        return self.built

    def services(self) -> Mapping[str, Service]:
        """As the door wants them."""
        return self.get().services()

    def handler_for(self, host: str, path: str, headers: Headers) -> Handler | None:
        """Who answers a request to an API; None when it is none."""
        built = self.built
        if built is not None:
            return built.front.answer if built.front.wants(host, path, headers) else None
        if ".execute-api." in host or path.startswith("/_aws/execute-api/"):
            return self.get().front.answer  # which says that there is no such API
        return None

    async def context_for(self, name: str) -> ssl.SSLContext | None:
        """What TLS shows to a client that asks for a name; nothing while there are no APIs."""
        return await self.built.domains.context_for(name) if self.built is not None else None

    def passages(self) -> "Iterator[Passage]":
        """The last requests to APIs, the latest first."""
        return iter(self.built.observing.passages) if self.built is not None else iter(())

    def front(self) -> "Front | None":
        """Who answers requests to APIs, once there is one."""
        return self.built.front if self.built is not None else None
