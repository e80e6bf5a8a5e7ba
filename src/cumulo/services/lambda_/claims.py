"""Who may bring the answer to the call that is inside an environment: the last that asked, until one has brought it."""

from cumulo.services.lambda_.runtime_api import Connection
from cumulo.services.lambda_.runtime_contract import Verdict


class Claim:
    """The right to answer.  A connection that goes away gives it back, unless its answer has begun to leave."""

    __slots__ = ("_current", "_holder", "_last", "_sealed")

    def __init__(self) -> None:
        self._current = ""
        self._last = ""
        self._holder: Connection | None = None
        self._sealed = False

    def open(self, request_id: str) -> None:
        """A call was handed over."""
        self._current = self._last = request_id
        self._holder = None

    def close(self) -> None:
        """It is over."""
        self._current = ""
        self._holder = None
        self._sealed = False

    def seal(self) -> None:
        """The first of the answer has left: nobody else may bring another."""
        self._sealed = True

    def take(self, connection: Connection, request_id: str) -> Verdict:
        """Ask for the right."""
        if request_id == self._current:
            if self._holder is not None:
                if self._sealed:
                    return Verdict.WRONG_STATE
                # Half an answer is none: the runtime may have given that connection up, and asks again on another
                # before we hear of the first one's end.
                self._holder.overtaken()
            self._holder = connection
            return Verdict.WELCOME
        return Verdict.WRONG_STATE if request_id == self._last else Verdict.WRONG_ID

    def give_back(self, connection: Connection) -> bool:
        """It went away without an answer; whether half of one is out."""
        if self._holder is not connection:
            return False
        if not self._sealed:
            self._holder = None
        return self._sealed
