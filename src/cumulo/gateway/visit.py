"""One request to an API on its way: where it goes, what is known of it, and how it may be refused."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.wire.http import Request


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Which API and stage a request is for.

    path       what routes match: percent-encoded, begins with a slash, without stage and base path
    raw_path   as the client asked for it at this API's host: with the stage (when it has a name) or the base path
    domain     the name in the Host header, without a port; `domain_prefix` its first label
    base_path  of the custom domain's mapping, without slashes; empty: none
    """

    api_id: str
    stage: str
    path: str
    raw_path: str
    domain: str
    base_path: str = ""
    custom: bool = False

    @property
    def domain_prefix(self) -> str:
        """The first label of the domain."""
        return self.domain.partition(".")[0]


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a client showed for mutual TLS, in the words of `identity.clientCert`."""

    pem: str
    subject: str
    issuer: str
    serial: str
    not_before: str
    not_after: str


class Visit:
    """A request to an API between its arrival and its answer.

    context      AWS's `$context`, nested: {"requestId": ..., "identity": {"sourceIp": ...}, "authorizer": {...}, "error": {...},
                 "integration": {...}}; filled along the way; what templates, mappings, events and access logs read
    body         the whole body once it was read, else None
    started      monotonic seconds; `started_ms` since the epoch
    log          lines of the execution log (milliseconds, text) where one is kept, else None
    trace        the X-Amzn-Trace-Id of this request
    facts        Grant.facts, where `$context.authorizer` has them not (WebSocket APIs): access logs tell them
    authorizer_span, integration_span   when each was asked (seconds after `started`) and for how long; None: it was not
    """

    __slots__ = (
        "address",
        "authorizer_span",
        "body",
        "certificate",
        "context",
        "facts",
        "integration_ms",
        "integration_span",
        "log",
        "request",
        "started",
        "started_ms",
        "trace",
    )

    def __init__(
        self,
        request: Request,
        address: Address,
        *,
        started: float,
        started_ms: int,
        trace: str,
        context: dict[str, Any],
        certificate: ClientCertificate | None = None,
    ) -> None:
        self.request = request
        self.address = address
        self.started = started
        self.started_ms = started_ms
        self.trace = trace
        self.context = context
        self.certificate = certificate
        self.body: bytes | None = None
        self.integration_ms = 0
        self.log: list[tuple[int, str]] | None = None
        self.facts: Mapping[str, Any] = {}
        self.authorizer_span: tuple[float, float] | None = None
        self.integration_span: tuple[float, float] | None = None

    def asked_authorizer(self, began: float, ended: float) -> None:
        """It was asked between these moments (monotonic seconds)."""
        self.authorizer_span = (began - self.started, ended - began)

    def asked_integration(self, began: float, ended: float) -> None:
        """It was asked between these moments (monotonic seconds); when it is asked again, it is one span."""
        if self.integration_span is not None:
            began = self.started + self.integration_span[0]
        self.integration_span = (began - self.started, ended - began)
        self.integration_ms = int((ended - began) * 1000)


class Refused(Exception):
    """The gateway itself answers.  `kind` is one of AWS's gateway response types (ACCESS_DENIED, THROTTLED, ...).

    message     `$context.error.message`; None: the kind's default (gateway/refusals.py)
    fields      more of `$context.error`: `validationErrorString`
    headers     that the answer has besides the usual ones: `www-authenticate`
    error_type  `x-amzn-errortype` where it is not the kind's usual one
    """

    def __init__(
        self,
        kind: str,
        message: str | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        error_type: str = "",
    ) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.fields: Mapping[str, str] = fields or {}
        self.headers: Mapping[str, str] = headers or {}
        self.error_type = error_type


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What an authorizer found out about a caller.

    kind       who found it out: IAM, LAMBDA, JWT, COGNITO; empty: nobody was asked
    context    `$context.authorizer`, and what events have there (of payload 2.0: under `lambda`, `jwt` or `iam`)
    facts      more of `$context.authorizer` that only access logs tell: latency, status, requestId
    principal  `$context.authorizer.principalId` of HTTP APIs, whose events do not have it (REST's context has it)
    identity   more of `$context.identity`: of IAM callers (accessKey, accountId, caller, user, userArn, ...)
    usage_key  the API key's value that a Lambda authorizer names (usageIdentifierKey)
    settled    whether the API's resource policy was asked together with the authorizer
    """

    kind: str = ""
    context: Mapping[str, Any] = {}
    facts: Mapping[str, Any] = {}
    principal: str = ""
    identity: Mapping[str, Any] = {}
    usage_key: str = ""
    settled: bool = False
