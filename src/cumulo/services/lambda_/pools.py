"""The books of the fleet: who is idle, who waits, how much runs."""

from collections import deque

from cumulo.services.lambda_.calls import Call
from cumulo.services.lambda_.environment_states import Phase
from cumulo.services.lambda_.environments import Environment
from cumulo.services.lambda_.model import Ready
from cumulo.services.lambda_.plan import STARTS_BURST, Bucket, Occupant


class Pool:
    """The environments of one generation of one version, and the calls that wait for one."""

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        self.idle: list[Environment] = []  # the latest used last
        self.reset: list[Environment] = []
        self.members: dict[str, Environment] = {}
        self.waiting: deque[Call] = deque()
        self.retired = False

    @property
    def empty(self) -> bool:
        """Nothing is here and nobody waits."""
        return not self.members and not self.waiting

    def coming(self, now: float, young_s: float) -> tuple[int, int]:
        """How many start, and how many answered so recently that they are about to be free."""
        starting = settling = 0
        for environment in self.members.values():
            state = environment.state
            if state is Phase.STARTING or state is Phase.RESETTING:
                starting += 1
            elif state is Phase.SETTLING and now - environment.answered_at < young_s:
                settling += 1
        return starting, settling

    def drop(self, environment: Environment) -> None:
        """It is not available any more."""
        for shelf in (self.idle, self.reset):
            if environment in shelf:
                shelf.remove(environment)

    def occupants(self, epoch: float) -> list[Occupant]:
        """Those that do nothing; `epoch` is now, in seconds since 1970."""
        return [
            Occupant(
                e.names.sandbox,
                e.ready.version.memory_mib,
                e.used_at,
                e.born_at,
                e.expires_at - epoch if e.expires_at else float("inf"),
            )
            for e in (*self.idle, *self.reset)
        ]


class FunctionUse:
    """What one function uses now, over all its versions."""

    __slots__ = ("in_flight", "rate", "starts")

    def __init__(self, now: float) -> None:
        self.in_flight = 0
        self.rate = Bucket(now, float("inf"))
        self.starts = Bucket(now, STARTS_BURST)


class AccountUse:
    """What an account's functions without a reservation use now, in one region."""

    __slots__ = ("rate", "unreserved")

    def __init__(self, now: float) -> None:
        self.unreserved = 0
        self.rate = Bucket(now, float("inf"))
