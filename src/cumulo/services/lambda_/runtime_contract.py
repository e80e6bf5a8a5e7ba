"""What a connection of the Runtime API and the execution environment behind it need of one another."""

from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cumulo.services.lambda_.runtime_api import Connection


class Verdict(Enum):
    """Whether an answer is awaited."""

    WELCOME = "welcome"
    WRONG_ID = "wrong id"
    WRONG_STATE = "wrong state"


class Runtime(Protocol):
    """What an execution environment does with what its runtime says."""

    def polled(self, connection: "Connection") -> bool:
        """The runtime wants a call; False when it may not ask now."""
        ...

    def poll_lost(self, connection: "Connection") -> None:
        """The connection that waited for a call is gone."""
        ...

    def claim(self, connection: "Connection", request_id: str) -> Verdict:
        """May this connection bring the answer to that request?  WELCOME reserves the right for it."""
        ...

    def unclaim(self, connection: "Connection") -> None:
        """It went away without bringing it."""
        ...

    def answered(self, payload: bytes) -> None:
        """The claimed answer is here."""
        ...

    def stream(self, connection: "Connection", content_type: str) -> "Sink | None":
        """The claimed answer comes in pieces; None when nobody wants it so, and it is to be collected."""
        ...

    def failed(self, payload: bytes, error_type: str) -> None:
        """The claimed answer is an error."""
        ...

    def too_large(self) -> None:
        """The claimed answer is beyond the limit."""
        ...

    def init_failed(self, payload: bytes, error_type: str) -> bool:
        """The code could not be loaded; False when it had been already."""
        ...

    def connected(self, connection: "Connection") -> bool:
        """A connection was made; False when there are too many."""
        ...

    def disconnected(self, connection: "Connection") -> None:
        """It is closed."""
        ...


class Sink(Protocol):
    """Takes the pieces of a streamed answer."""

    def put(self, piece: bytes) -> None:
        """A piece; may ask the connection to hold."""
        ...
