"""What compiled stages stand on: the rest of the house, each as a port."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports.functions import FunctionStarter, Invoker
from cumulo.gateway.rest.caches import ResponseCaches
from cumulo.gateway.security.memory import SecurityMemory
from cumulo.gateway.stages import Place
from cumulo.gateway.visit import Visit
from cumulo.wire.keys import Key

Pairs = Sequence[tuple[str, str]]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody out there answered; the body is an iterator when it is asked for as a stream."""

    status: int
    headers: Pairs
    body: bytes | AsyncIterator[bytes] = b""


class CallFailed(Exception):
    """Nobody answered.  `timed_out`, or the network failed."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class HttpCalls(Protocol):
    """Speaks HTTP/1.1 to backends, over connections that are kept."""

    async def send(
        self,
        method: str,
        url: str,
        headers: Pairs,
        body: bytes | AsyncIterator[bytes],
        *,
        seconds: float,
        verify: bool = True,
        server_name: str = "",
        stream: bool = False,
        bytes_max: int = 0,
    ) -> Answer:
        """Ask, and give the answer; names and order of headers as sent.  CallFailed.

        seconds     for connecting and the answer's head (and the body, when it is not streamed)
        stream      give the body piece by piece, with back-pressure
        bytes_max   of a body that is not streamed: CallFailed beyond it; 0: 10 MB
        """
        ...


class AwsCalls(Protocol):
    """Speaks to AWS services (ours and the companions) in the name of an account, for AWS integrations."""

    async def call(
        self,
        caller: Caller,
        service: str,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """One request, signed with whatever is needed; `service` as in a signature's scope (sqs, sns, dynamodb, s3)."""
        ...


class PrivateTargets(Protocol):
    """Finds what VPC links lead to."""

    async def url_of(self, account: str, region: str, target: str) -> str:
        """http(s)://address:port of a listener's ARN, a Network Load Balancer's ARN or a Cloud Map service's ARN; CallFailed."""
        ...


class Functions(Protocol):
    """Lambda functions by what integrations and authorizers call them."""

    async def allowed(self, function_arn: str, *, source_arn: str, source_account: str) -> bool:
        """Whether API Gateway may call the function from there (always, where permissions are not enforced)."""
        ...


class Observer(Protocol):
    """Writes access logs and metrics, meters, and keeps traces, after an answer left."""

    def done(self, visit: Visit, place: Place, *, status: int, response_bytes: int) -> None:
        """A request was answered.  Returns at once; reads everything else from the visit's context."""
        ...


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """An API key that may be used: its id, and the usage plan's (empty: none asked for one)."""

    key_id: str
    plan_id: str = ""


class Throttles(Protocol):
    """Token buckets, of the account and of whatever a stage limits."""

    def admit(self, place: Place, scope: str, *, rate: float | None, burst: int | None) -> bool:
        """Whether one more request may pass: the account's bucket, and `scope`'s (`GET /pets`) where rate or burst is given."""
        ...


class Plans(Protocol):
    """API keys and usage plans."""

    def admit(self, place: Place, value: str, *, path: str, method: str) -> KeyUse:
        """Count a use of the key with this value at `path` (a resource's) and `method`.

        Refused INVALID_API_KEY (unknown, disabled, in no plan of this stage, or none was sent), THROTTLED, QUOTA_EXCEEDED.
        """
        ...


class KeyFinder(Protocol):
    """The access keys that the cloud knows."""

    def find(self, access_key: str) -> Key | None:
        """The key, which may have expired; None when it is unknown."""
        ...


class NoKeys:
    """A cloud that knows no access key: whoever signs is a stranger."""

    def find(self, access_key: str) -> Key | None:  # noqa: ARG002 - the port's
        """None."""
        return None


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """All of them.  `shared`: a cloud whose callers are verified (mode shared).

    keys    whose signatures hold where a method or route asks for AWS_IAM
    starter begins calls of functions without a coroutine; None: nobody does
    memory  what authorizers keep between requests; FlushStageAuthorizersCache flushes `memory.authorizers`
    caches  what stages with a cache cluster keep of answers
    """

    clock: Clock
    ids: Ids
    invoker: Invoker
    functions: Functions
    http: HttpCalls
    aws: AwsCalls
    private: PrivateTargets
    observer: Observer
    throttles: Throttles
    plans: Plans
    shared: bool = False
    starter: FunctionStarter | None = None
    keys: KeyFinder = NoKeys()
    memory: SecurityMemory = msgspec.field(default_factory=SecurityMemory)
    caches: ResponseCaches = msgspec.field(default_factory=ResponseCaches)
