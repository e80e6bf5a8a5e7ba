"""The short cut for the most frequent request of all: a synchronous Invoke of a function that is ready.

No coroutine, no task, no future: the request is resolved and handed to an environment at once, and the
answer leaves from the callback of the runtime's own POST.  Whatever is unusual about a request sends it down
the ordinary path (`take` returns False), before anything was begun.
"""

import base64
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.lambda_.calls import PAYLOAD_BYTES_MAX, Call, Outcome
from cumulo.services.lambda_.fleet import EnvironmentFleet
from cumulo.services.lambda_.invoke import Tracer
from cumulo.services.lambda_.model import Resolver
from cumulo.services.lambda_.payloads import well_formed
from cumulo.wire.http import Headers, Request, Response

_PREFIX = "/2015-03-31/functions/"
_SUFFIX = "/invocations"
_UNUSUAL = frozenset(
    {b"x-amz-client-context", b"x-amz-tenant-id", b"x-amz-durable-execution-name", b"content-encoding"}
)
_OPTIONS = frozenset({b"x-amz-invocation-type", b"x-amz-log-type", b"x-amzn-trace-id"})

Authenticate = Callable[[Request, bytes], Caller]
Refuse = Callable[[AwsError, Caller], Response]


class InvokeLane:
    """wire.http.Lane for `POST /2015-03-31/functions/{name}/invocations`.

    authenticate   who asks; AwsError when the signature is wrong
    refuse         how an error looks on the wire
    """

    def __init__(
        self,
        *,
        resolver: Resolver,
        fleet: EnvironmentFleet,
        authenticate: Authenticate,
        refuse: Refuse,
        ids: Ids,
        tracer: Tracer,
    ) -> None:
        self._resolver = resolver
        self._fleet = fleet
        self._authenticate = authenticate
        self._refuse = refuse
        self._ids = ids
        self._tracer = tracer

    collects = True

    def wants(self, method: str, path: str, headers: Headers) -> bool:  # noqa: ARG002 - the port's
        """Whether this is an Invoke."""
        return path.endswith(_SUFFIX) and path.startswith(_PREFIX) and method == "POST"

    def take(self, request: Request, body: bytes, reply: Callable[[Response], None]) -> bool:
        """Begin to answer; False hands the request to the ordinary path."""
        headers = request.headers
        plain = headers.lacks(_OPTIONS)
        if not (plain or _usual_options(headers)) or not _usual(headers, body):
            return False
        try:
            name, qualifier = _named(request)
            caller = self._authenticate(request, body)
            ready = self._resolver.resolve(caller, name, qualifier)
        except (AwsError, ValueError):
            return False
        trace = "" if plain else headers.get("x-amzn-trace-id")
        trace = self._tracer.kept(trace) if trace else self._tracer.header()
        request_id = caller.request_id or self._ids.uuid()
        want_log = not plain and headers.get("x-amz-log-type") == "Tail"

        def on_done(outcome: Outcome) -> None:
            if outcome.refusal is None:
                reply(_answer(outcome, request_id, trace, want_log=want_log))
            else:
                reply(self._refuse(outcome.refusal, caller))

        call = Call(
            ready=ready,
            payload=body or b"{}",
            request_id=request_id,
            on_done=on_done,
            trace_id=trace,
            want_log=want_log,
        )
        try:
            self._fleet.invoke(call)
        except AwsError as error:
            reply(self._refuse(error, caller))
        return True


def _usual_options(headers: Headers) -> bool:
    """Whether what the client asks for is done here."""
    if headers.get("x-amz-invocation-type", "RequestResponse") != "RequestResponse":
        return False
    return headers.get("x-amz-log-type", "None") in {"None", "Tail"}


def _usual(headers: Headers, body: bytes) -> bool:
    """Whether nothing about this request needs the ordinary path."""
    if len(body) > PAYLOAD_BYTES_MAX or not headers.lacks(_UNUSUAL):
        return False
    return not body or well_formed(body)


def _named(request: Request) -> tuple[str, str | None]:
    """Function and qualifier; ValueError for a query that is not just a qualifier."""
    name = request.path[len(_PREFIX) : -len(_SUFFIX)]
    if "%" in name:
        name = unquote(name)
    if not request.query:
        return name, None
    ((key, value),) = parse_qsl(request.query)
    if key != "Qualifier":
        raise ValueError(key)
    return name, value


def _answer(outcome: Outcome, request_id: str, trace: str, *, want_log: bool) -> Response:
    headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-RequestId", request_id),
        ("X-Amz-Executed-Version", outcome.version),
        ("X-Amzn-Trace-Id", trace),
    ]
    if outcome.function_error:
        headers.append(("X-Amz-Function-Error", outcome.function_error))
    if want_log:
        headers.append(("X-Amz-Log-Result", base64.b64encode(outcome.log_tail).decode()))
    return Response(200, headers, outcome.payload)
