"""API Gateway, built when it is first needed (late.py), and what the rest asks of it meanwhile."""

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cumulo.late import Slot
from cumulo.wire.http import Handler, Headers

if TYPE_CHECKING:
    from cumulo.apis import Apis, ApisGround
    from cumulo.gateway.front import Front
    from cumulo.gateway.observing.passages import Passage


class ApisSlot(Slot["Apis", "ApisGround"]):
    """The slot of API Gateway."""

    names = ("apigateway", "apigatewayv2", "apigatewaymanagementapi")

    def make(self, ground: "ApisGround") -> "Apis":
        """Build it."""
        from cumulo.apis import Apis

        return Apis(ground)

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
