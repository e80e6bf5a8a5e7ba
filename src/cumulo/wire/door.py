"""The AWS door: from one HTTP request to one operation of a service of ours, and back.

    route -> authenticate -> read the body -> parse -> validate -> run -> render

What is not ours goes to the companions with its body unread.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from cumulo.base import limits
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError, not_implemented
from cumulo.base.ids import Ids
from cumulo.wire import bodies, validate
from cumulo.wire.authenticate import Authenticator
from cumulo.wire.errors import Errors, bare_errors, words_for
from cumulo.wire.http import BytesBody, Handler, Headers, Request, Response, lines_of
from cumulo.wire.keys import Keys
from cumulo.wire.models import Models, OperationModel, ServiceModel
from cumulo.wire.patterns import Patterns
from cumulo.wire.protocols.base import Codec, Malformed, Parse, Raw, Render
from cumulo.wire.protocols.registry import codec
from cumulo.wire.protocols.rest import form
from cumulo.wire.routing import FORM, Found, Operations, Router
from cumulo.wire.service import Run, Service, Values
from cumulo.wire.sigv4 import Scope

Lenient = Iterable[tuple[str, str, str]]

# API definitions have 6 MB at the most; as a text within JSON they may be twice as long.
_SERVICES_BODY_BYTES_MAX = dict.fromkeys(("apigateway", "apigatewayv2"), 12 * limits.MIB)
_LAMBDA_CODE_BYTES_MAX = 70_167_211
_BODY_BYTES_MAX: Mapping[tuple[str, str], int] = {
    ("lambda", "CreateFunction"): _LAMBDA_CODE_BYTES_MAX,
    ("lambda", "UpdateFunctionCode"): _LAMBDA_CODE_BYTES_MAX,
    ("lambda", "PublishLayerVersion"): _LAMBDA_CODE_BYTES_MAX,
}


class Ready(msgspec.Struct, frozen=True):
    """One operation, compiled."""

    parse: Parse
    faults: Callable[[Values], list[validate.Fault]]
    render: Render
    run: Run
    tokens: tuple[str, ...]  # members that get a random token when the client sent none


class Served:
    """One service of ours: its model, and what was compiled of it so far."""

    def __init__(
        self,
        service: Service,
        model: ServiceModel,
        operations: Operations,
        lenient: Iterable[tuple[str, str]],
    ) -> None:
        self.service = service
        self.model = model
        self.operations = operations
        words = words_for(model.name, model.metadata.protocol)
        self._validators = validate.Validators(model, Patterns(), lenient, words.manner)
        self._codecs: dict[str, tuple[Codec, Errors]] = {}
        self._ready: dict[tuple[str, str], Ready] = {}

    def errors(self, protocol: str) -> Errors:
        """Who answers errors in a protocol."""
        return self._speak(protocol)[1]

    def ready(self, protocol: str, operation: OperationModel) -> Ready:
        """The compiled operation; AwsError 501 when the service does not have it."""
        key = (protocol, operation.name)
        found = self._ready.get(key)
        if found is None:
            found = self._ready[key] = self._compile(protocol, operation)
        return found

    def _speak(self, protocol: str) -> tuple[Codec, Errors]:
        if protocol not in self._codecs:
            made = codec(self.model, protocol)
            self._codecs[protocol] = (made, Errors(self.model, protocol, made))
        return self._codecs[protocol]

    def _compile(self, protocol: str, operation: OperationModel) -> Ready:
        ours = self.service.operations.get(operation.name)
        if ours is None:
            raise not_implemented(self.service.name, operation.name)
        speaker, _ = self._speak(protocol)
        tokens: tuple[str, ...] = ()
        if operation.input is not None:
            members = self.model.members(self.model.shape(operation.input))
            tokens = tuple(name for name, member in members.items() if member.idempotency_token)
        return Ready(
            speaker.parser(operation),
            self._validators.faults(operation),
            speaker.renderer(operation),
            ours.run,
            tokens,
        )


class Door:
    """Answers every AWS request."""

    def __init__(
        self,
        services: Mapping[str, Service],
        companions: Handler,
        *,
        models: Models,
        keys: Keys,
        ids: Ids,
        clock: Clock,
        verify: bool,
        account: str,
        region: str,
        lenient: Lenient = (),
    ) -> None:
        self.services = services
        self._companions = companions
        self._models = models
        self._ids = ids
        self._lenient = tuple(lenient)
        self._router = Router(models, list(services))
        self._served: dict[str, Served] = {}
        self.authenticate = Authenticator(
            keys=keys, ids=ids, clock=clock, verify=verify, account=account, region=region
        )

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        name = self._router.service(request, self.authenticate.scope(request))
        if name is not None:
            return await self._serve(self._service(name), request, None)
        if self.authenticate.scope(request) is None and self._router.wants_form(request):
            return await self._serve_form(request)
        return await self._accompany(request)

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
    ) -> Response | None:
        """A request of the cloud's own in the name of `caller`, when `service` (a signature's scope) is ours; else None."""
        scope = Scope(access_key=caller.account, date="", region=caller.region, service=service)
        raw = Headers(lines_of(({"host": "localhost"} | dict(headers or {})).items()))
        request = Request(method, path, query, raw, BytesBody(body))
        name = self._router.service(request, scope)
        if name is None:
            return None
        return await self._serve(self._service(name), request, body, caller)

    def refuse(self, service: str, error: AwsError, request_id: str) -> Response:
        """How an error of one of our services looks on the wire, for lanes."""
        served = self._service(service)
        return served.errors(served.model.metadata.protocol).answer(error, request_id)

    # -- ours ----------------------------------------------------------------------------------------------

    def _service(self, name: str) -> Served:
        served = self._served.get(name)
        if served is None:
            lenient = [(operation, member) for service, operation, member in self._lenient if service == name]
            served = self._served[name] = Served(
                self.services[name], self._models.service(name), self._router.operations(name), lenient
            )
        return served

    async def _serve(
        self, served: Served, request: Request, body: bytes | None, caller: Caller | None = None
    ) -> Response:
        protocol, request_id = served.operations.protocol, ""
        try:
            found = served.operations.find(request)
            if found is not None:
                protocol = found.protocol
            if caller is None:
                self.authenticate.identify(request)
            if body is None:
                body = await self._read(served, request, found)
            if caller is None:
                caller = self.authenticate(request, body)
            request_id = caller.request_id
            body = bodies.unwrap(request.headers, body, _body_bytes_max(served.service.name)) if body else b""
            if found is None:
                found = served.operations.find_action(form(request.query, body))
                protocol = found.protocol
            return await self._run(served, request, found, caller, body)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it becomes an answer
            return served.errors(protocol).answer(exc, request_id or self._ids.uuid())

    async def _run(
        self, served: Served, request: Request, found: Found, caller: Caller, body: bytes
    ) -> Response:
        if found.operation is None:
            raise served.errors(found.protocol).unknown_operation(found.name)
        ready = served.ready(found.protocol, found.operation)
        values = _understand(served, ready, found, Raw(request.headers, request.query, found.labels, body))
        for token in ready.tokens:
            if values.get(token) is None:
                values[token] = self._ids.uuid()
        answer = await ready.run(caller, values)
        return ready.render(answer or {}, caller.request_id)

    async def _read(self, served: Served, request: Request, found: Found | None) -> bytes:
        operation = found.operation.name if found is not None and found.operation is not None else ""
        name = served.service.name
        bytes_max = _BODY_BYTES_MAX.get((name, operation)) or _body_bytes_max(name)
        try:
            return await request.body.read(bytes_max)
        except AwsError as error:
            if error.status == 413 and operation:
                raise AwsError(
                    error.code, f"{error.message} for the {operation} operation", status=413
                ) from None
            raise

    async def _serve_form(self, request: Request) -> Response:
        """An unsigned form: its body says whose it is."""
        body = b""
        try:
            if request.headers.get("content-type").lower().startswith(FORM):
                body = await request.body.read(limits.BODY_BYTES_MAX)
            name = self._router.service_of_form(form(request.query, body))
        except Exception as exc:  # noqa: BLE001 - whatever it is, it becomes an answer
            return bare_errors("query").answer(exc, self._ids.uuid())
        if name is not None:
            return await self._serve(self._service(name), request, body)
        return await self._accompany(_with_body(request, body) if body else request)

    # -- not ours ------------------------------------------------------------------------------------------

    async def _accompany(self, request: Request) -> Response:
        if not self.authenticate.verifies:
            return await self._companions(request)
        scope = self.authenticate.scope(request)
        service = scope.service if scope is not None else ""
        try:
            if service.startswith("s3"):
                self.authenticate(request, None)
                return await self._companions(request)
            self.authenticate.identify(request)
            body = await request.body.read(limits.BODY_BYTES_MAX)
            self.authenticate(request, body)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it becomes an answer
            return bare_errors(_guess_protocol(request, service), service).answer(exc, self._ids.uuid())
        return await self._companions(_with_body(request, body))


def _body_bytes_max(service: str) -> int:
    return _SERVICES_BODY_BYTES_MAX.get(service, limits.BODY_BYTES_MAX)


def _understand(served: Served, ready: Ready, found: Found, raw: Raw) -> Values:
    """Parse and validate."""
    errors = served.errors(found.protocol)
    try:
        values = ready.parse(raw)
        faults = ready.faults(values)
    except RecursionError:
        raise errors.malformed(Malformed("The request is nested too deeply", "json")) from None
    if faults:
        raise errors.validation(faults)
    return values


def _with_body(request: Request, body: bytes) -> Request:
    return Request(
        request.method,
        request.path,
        request.query,
        request.headers,
        BytesBody(body),
        scheme=request.scheme,
        peer=request.peer,
    )


def _guess_protocol(request: Request, service: str) -> str:
    """The protocol in which to refuse a request for a service that is not ours."""
    if service == "ec2":
        return "ec2"
    if "x-amz-target" in request.headers:
        return "json"
    if "Action=" in request.query or request.headers.get("content-type").lower().startswith(FORM):
        return "query"
    return "rest-xml" if service.startswith("s3") or not service else "rest-json"
