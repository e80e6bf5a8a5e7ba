"""Headers that the door adds for the companions' process, and that clients cannot send."""

from typing import Final

ACCOUNT_HEADER: Final = "x-cumulo-account"
SERVICE_HEADER: Final = "x-cumulo-service"
PASSING_HEADER: Final = "x-cumulo-passing"  # what this request changes is not written to the journal
OWN_HEADER: Final = "x-cumulo-own"  # a request of the cloud's own, not of a client
MOTO_ACCOUNT_HEADER: Final = "x-moto-account-id"  # moto's own, which would let a client choose its account

INTERNAL: Final = frozenset({ACCOUNT_HEADER, SERVICE_HEADER, PASSING_HEADER, OWN_HEADER, MOTO_ACCOUNT_HEADER})

UNKNOWN_HEADER: Final = "x-cumulo-unknown-service"  # of an answer: moto has no such service
