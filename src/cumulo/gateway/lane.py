"""The short cut for the most frequent request to an API: an HTTP API's route to a function that nothing stands before.

No coroutine and no task: the event goes to an environment at once, and the answer leaves from the callback of the
runtime's own POST.  Whatever is unusual about a request sends it down the ordinary path.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from cumulo.wire.http import Headers, Request, Response

if TYPE_CHECKING:
    from cumulo.gateway.front import Front
    from cumulo.gateway.visit import Visit


class Quick(Protocol):
    """A compiled stage that can answer without a coroutine."""

    def takes(self, request: Request, path: str, body: bytes) -> Any | None:
        """The route for `begin`; None when the request takes the ordinary way."""
        ...

    def begin(self, visit: "Visit", match: Any, body: bytes, reply: Callable[[Response], None]) -> None:
        """Begin to answer."""
        ...


class ApiLane:
    """wire.http.Lane for requests to HTTP APIs.  `front_of` is the gateway's, or None while there is none."""

    collects = False  # a body that is still arriving may be streamed on

    def __init__(self, front_of: "Callable[[], Front | None]") -> None:
        self._front_of = front_of

    def wants(self, method: str, path: str, headers: Headers) -> bool:  # noqa: ARG002 - the port's
        """Whether this is for an API."""
        front = self._front_of()
        return front is not None and front.wants(headers.get("host"), path, headers)

    def take(self, request: Request, body: bytes, reply: Callable[[Response], None]) -> bool:
        """Begin to answer; False hands the request to the ordinary path."""
        front = self._front_of()
        return front is not None and front.begin(request, body, reply)
