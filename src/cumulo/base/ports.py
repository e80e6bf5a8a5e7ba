"""What services need of one another, each as a small Protocol; `app.py` hands the real ones over."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError

SourceT = TypeVar("SourceT")


class LogEvent(NamedTuple):
    """One line for CloudWatch Logs."""

    timestamp_ms: int
    message: str


class LogSink(Protocol):
    """Takes the output of functions and containers."""

    def append(self, account: str, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        """Add events to a stream; group and stream come into being when they are missing.

        Returns at once.  The events are safe from a kill of the process after `Journal.flush()`.
        """
        ...


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What was used: `quantity` of `kind` by `resource`, between two moments.

    `service` and `kind` name a line of the price book (`lambda`, `requests`); `quantity` is in that line's
    unit (requests, GB-seconds, ...), not in money.
    """

    account: str
    region: str
    service: str
    kind: str
    resource: str
    quantity: float
    start_ms: int
    end_ms: int


class UsageSink(Protocol):
    """Takes usage records; committed together with what caused them."""

    def record(self, *records: Usage) -> None:
        """Add records.  Returns at once; safe from a kill of the process after `Journal.flush()`."""
        ...


class UsageLedger(Protocol):
    """Takes usage records that must count exactly once, as part of a change of the store."""

    def keep(self, *records: Usage) -> None:
        """Add records in the store's transaction of this moment: they are kept with its next commit, or not at all."""
        ...


class ObjectReader(Protocol):
    """Reads objects of S3, wherever the companion for S3 lives."""

    async def read_object(
        self, caller: Caller, bucket: str, key: str, version: str | None, *, bytes_max: int
    ) -> bytes:
        """The object's bytes.  AwsError NoSuchBucket, NoSuchKey, NoSuchVersion, or EntityTooLarge."""
        ...


class Secrets(Protocol):
    """Reads secrets of Secrets Manager, wherever its companion lives."""

    async def secret(self, account: str, region: str, secret: str) -> str:
        """The text of a secret (name or ARN).  AwsError as Secrets Manager says it."""
        ...


class EventBus(Protocol):
    """The default event bus of EventBridge, wherever its companion lives."""

    async def put(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
        *,
        at: float | None = None,
    ) -> None:
        """Deliver one event, which happened at `at` (seconds since the epoch).

        AwsError: with a status of 500 or more it may be tried again, otherwise the event is refused.
        """
        ...

    async def listens(self, account: str, region: str) -> bool:
        """Whether any rule there could take an event now; who has many events asks once.  AwsError as above."""
        ...


class Networks(Protocol):
    """Knows which network subnets belong to, wherever the companion for EC2 lives."""

    async def network_of(self, caller: Caller, subnets: Sequence[str]) -> str:
        """The id of the subnets' network.  AwsError as EC2 says it when one of them is not there."""
        ...


class SecurityGroups(Protocol):
    """Knows security groups, wherever the companion for EC2 lives."""

    async def check_security_groups(self, caller: Caller, groups: Sequence[str]) -> None:
        """AwsError as EC2 says it when one of them (ids) is not there."""
        ...


class Subnet(msgspec.Struct, frozen=True):
    """A subnet: its id, its network's (VPC's) id, and the name of its Availability Zone."""

    id: str
    network: str
    zone: str


class SubnetFacts(Protocol):
    """Knows subnets and networks, wherever the companion for EC2 lives."""

    async def subnets(self, caller: Caller, ids: Sequence[str]) -> list[Subnet]:
        """The subnets in the order of their ids.  AwsError as EC2 says it when one of them is not there."""
        ...

    async def has_network(self, caller: Caller, network: str) -> bool:
        """Whether there is a network with this id."""
        ...


class InstanceFact(msgspec.Struct, frozen=True):
    """What EC2 says of an instance: its state by name, and its network."""

    state: str
    network: str


class NetworkFacts(SubnetFacts, SecurityGroups, Protocol):
    """Knows security groups and instances too."""

    async def default_security_group(self, caller: Caller, network: str) -> str:
        """The id of a network's default security group; empty when there is none."""
        ...

    async def instances(self, caller: Caller, ids: Sequence[str]) -> Mapping[str, InstanceFact]:
        """Those of the instances that are there, by id."""
        ...


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate with its key, in PEM.

    chain         what leads from it to its authority
    names         the domain names that it is for; wildcards as they are
    self_signed   whether it was made here, because the keeper does not give the real key away
    """

    arn: str
    certificate: str
    key: str
    chain: str = ""
    names: tuple[str, ...] = ()
    self_signed: bool = False


class Certificates(Protocol):
    """Certificates of ACM and of IAM, wherever their companions live."""

    async def certificate(self, caller: Caller, arn: str) -> Certificate | None:
        """The certificate with this ARN; None when there is none.  AwsError when its keeper cannot be asked."""
        ...


class Credentials(msgspec.Struct, frozen=True):
    """Temporary keys of a role."""

    access_key: str
    secret_key: str
    session_token: str
    expires_at: float


class RoleSessions(Protocol):
    """Gives running code the temporary keys of its role."""

    def issue(self, account: str, role_arn: str, session_name: str) -> Credentials:
        """Make keys that the door recognises as this role of this account."""
        ...


class InvokeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a function's run came to.

    payload         the answer, or a JSON object with errorType and errorMessage
    function_error  empty, or Unhandled
    error_type      what kind of error: what the runtime said, or Sandbox.Timedout, Runtime.ExitError, ...
    waited_ms       from the call's arrival until a runtime had it, the start of an environment included
    init_ms         how long the environment's initialisation took before this call, its first; None for later ones
    duration_ms     how long the run took
    """

    payload: bytes
    function_error: str = ""
    error_type: str = ""
    log_tail: bytes = b""
    executed_version: str = "$LATEST"
    request_id: str = ""
    trace_id: str = ""
    waited_ms: float = 0.0
    init_ms: float | None = None
    duration_ms: float = 0.0


class InvokeStream(Protocol):
    """A function's answer while it is being made.  Iterate over it, then read `result`; `close` it in any case.

    Whoever reads slowly slows the function down.  Closing it early lets the function run on, unheard.
    """

    content_type: str
    """What the function's runtime said of its answer; empty when the answer is in one piece."""
    executed_version: str
    request_id: str
    trace_id: str

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces as they come; one when the function does not stream, none when it failed before.

        AwsError when the run was not brought to its end by a fault of the cloud.
        """
        ...

    @property
    def result(self) -> InvokeResult:
        """What it came to, after the last piece.  `payload` is empty, or says what the error was."""
        ...

    def close(self) -> None:
        """Hear no more of it; harmless at any time."""
        ...


class Invoker(Protocol):
    """Calls functions; used by API Gateway, events and the like."""

    async def invoke(
        self,
        caller: Caller,
        function: str,
        payload: bytes,
        *,
        client_context: str = "",
        want_log: bool = False,
        trace_id: str = "",
    ) -> InvokeResult:
        """Run a function (name or ARN, maybe with a qualifier) and wait for its answer.

        `client_context` is base64 of JSON; `trace_id` an X-Amzn-Trace-Id header, made when there is none.  AwsError
        as Invoke says it.
        """
        ...

    async def invoke_stream(
        self,
        caller: Caller,
        function: str,
        payload: bytes,
        *,
        client_context: str = "",
        want_log: bool = False,
        trace_id: str = "",
    ) -> InvokeStream:
        """Run a function and return when its answer begins, or it failed.  AwsError as Invoke says it."""
        ...


class FunctionStarter(Protocol):
    """Calls functions where even a coroutine would cost too much."""

    def begin(
        self,
        caller: Caller,
        function: str,
        event: bytes,
        done: "Callable[[InvokeResult | AwsError], None]",
        *,
        trace_id: str = "",
    ) -> None:
        """Run a function; `done` is called exactly once, now or later, on the loop.  `event` must be JSON."""
        ...


class InvokePermissions(Protocol):
    """Knows what the policies of functions permit to services.  Whether to ask is the business of who calls."""

    def allows(self, function_arn: str, *, principal: str, source_arn: str, source_account: str) -> bool:
        """Whether `principal` (apigateway.amazonaws.com) may call a function for its resource `source_arn`.

        `function_arn` is whole, with the qualifier that the call has.
        """
        ...


class ResolvedImage(msgspec.Struct, Generic[SourceT], frozen=True, kw_only=True):
    """An image that a registry has, pinned.

    uri           with the digest in place of the tag, as clients are shown it
    reference     the same for an engine to pull; the same digest always gives the same reference
    digest        of its manifest or index: sha256:<64 hex>
    media_type    of that
    architecture  in OCI's words (amd64, arm64); empty when it is an index, or cannot be known yet
    ours          whether it lies in this cloud's own registry
    source        where an engine gets it from; None: the registry that the reference names
    """

    uri: str
    reference: str
    digest: str
    media_type: str = ""
    architecture: str = ""
    ours: bool = False
    source: SourceT | None = None


class ImageRegistry(Protocol[SourceT]):
    """Finds images by what callers call them: in this cloud's registry, or in any other."""

    async def resolve(self, caller: Caller, uri: str) -> ResolvedImage[SourceT]:
        """The image that a reference (with a tag or a digest) means now.

        AwsError InvalidParameterException (no reference, or one without a tag where that is wanted),
        RepositoryNotFoundException, ImageNotFoundException, AccessDeniedException, or ServerException when the
        registry cannot be reached.
        """
        ...


class Parameters(Protocol):
    """Reads parameters of Systems Manager, wherever its companion lives."""

    async def parameter(self, account: str, region: str, name: str) -> str:
        """The decrypted value of a parameter (name or ARN).  AwsError as Systems Manager says it."""
        ...


class Namespace(msgspec.Struct, frozen=True):
    """A namespace of Cloud Map.  `kind` is DNS_PRIVATE, DNS_PUBLIC or HTTP."""

    id: str
    arn: str
    name: str
    kind: str


class DiscoveryService(msgspec.Struct, frozen=True, kw_only=True):
    """A service of Cloud Map, whose instances have the name `<name>.<namespace>`.

    record_types   of DNS: A, AAAA, SRV, CNAME; none in an HTTP namespace
    custom_health  whether somebody else than Cloud Map says which instances are well
    """

    id: str
    arn: str
    name: str
    namespace: str  # its id
    record_types: tuple[str, ...] = ()
    custom_health: bool = False


class CloudMap(Protocol):
    """Service discovery, wherever its companion lives.  AwsError as Cloud Map says it (ServiceNotFound, ...)."""

    async def namespace(self, account: str, region: str, which: str, *, make: bool = False) -> Namespace:
        """The namespace with this name, id or ARN; with `make` one for HTTP is made when no name is like that."""
        ...

    async def service(self, account: str, region: str, service_id: str) -> DiscoveryService:
        """A service."""
        ...

    async def service_named(
        self, account: str, region: str, namespace_id: str, name: str
    ) -> DiscoveryService:
        """The service of this name in a namespace, for API calls alone; made when there is none."""
        ...

    async def register(
        self, account: str, region: str, service_id: str, instance: str, attributes: Mapping[str, str]
    ) -> None:
        """Add an instance, or give it these attributes."""
        ...

    async def deregister(self, account: str, region: str, service_id: str, instance: str) -> None:
        """Take an instance out; harmless when it, or the service, is not there."""
        ...

    async def set_health(
        self, account: str, region: str, service_id: str, instance: str, *, healthy: bool
    ) -> None:
        """Say whether an instance of a service with custom health is well."""
        ...

    async def names(self, account: str, region: str) -> Mapping[str, Sequence[str]]:
        """The names in private namespaces that have instances which ECS did not register, with their addresses."""
        ...

    def watch(self, changed: Callable[[str, str], None]) -> None:
        """Tell of each account and region where a client changed something that may change names.  Returns at once."""
        ...


class Target(msgspec.Struct, frozen=True):
    """Where a load balancer sends: an address (or an instance's id) and a port."""

    id: str
    port: int


class TargetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What others may know of a target group.  `target_type` is ip, instance, lambda or alb."""

    arn: str
    account: str = ""
    target_type: str
    protocol: str
    port: int
    network: str = ""  # the VPC's id
    load_balancers: tuple[str, ...] = ()  # ARNs of those whose listeners forward to it


class TargetGroups(Protocol):
    """Target groups of load balancers, for those who fill them."""

    def group(self, arn: str) -> TargetGroup | None:
        """The target group, or None."""
        ...

    async def register(self, arn: str, targets: Sequence[Target]) -> None:
        """Add targets; committed when it returns.  Harmless for those that are there; one that drains is back."""
        ...

    async def deregister(self, arn: str, targets: Sequence[Target]) -> None:
        """Let targets drain and leave; committed when it returns.  Harmless for those that are not there."""
        ...

    def health(self, arn: str) -> Mapping[Target, str]:
        """initial, healthy, unhealthy, draining, unused or unavailable, by target; draining ones stay until gone."""
        ...


class InstanceAddresses(Protocol):
    """Knows under which address this machine reaches an instance's host ports."""

    def address_of(self, instance_id: str) -> str:
        """The address; empty when it is none of this machine's."""
        ...


class Datum(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a metric, or a set of values (sum, count, least, greatest) of one period."""

    name: str
    dimensions: Mapping[str, str]
    value: float
    unit: str = "None"
    at: float = 0.0
    count: float = 1.0
    minimum: float | None = None
    maximum: float | None = None


class Metrics(Protocol):
    """CloudWatch's metrics, wherever its companion lives."""

    async def put(self, account: str, region: str, namespace: str, data: Sequence[Datum]) -> None:
        """Keep values.  AwsError: with a status of 500 or more it may be tried again."""
        ...

    async def statistic(
        self,
        account: str,
        region: str,
        *,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        statistic: str,
        period: int,
        start: float,
        end: float,
    ) -> list[tuple[float, float]]:
        """Times and values of a statistic (Average, Sum, ...) in periods of so many seconds, oldest first."""
        ...


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm of CloudWatch over one metric.  `period` in seconds; `missing` as TreatMissingData says it."""

    name: str
    namespace: str = ""
    metric: str = ""
    dimensions: Mapping[str, str] = {}
    statistic: str = "Average"
    period: int = 60
    periods: int = 1
    datapoints: int = 1
    threshold: float = 0.0
    comparison: str = "GreaterThanThreshold"
    missing: str = "missing"
    actions: tuple[str, ...] = ()
    enabled: bool = True
    description: str = ""
    state: str = "INSUFFICIENT_DATA"
    state_since: float = 0.0


class Alarms(Protocol):
    """CloudWatch's alarms, wherever its companion lives."""

    async def put_alarm(self, account: str, region: str, alarm: Alarm) -> None:
        """Make or change an alarm."""
        ...

    async def delete_alarms(self, account: str, region: str, names: Sequence[str]) -> None:
        """Delete alarms; harmless for those that are not there."""
        ...

    async def alarms_with(self, account: str, region: str, action: str) -> list[Alarm]:
        """The alarms one of whose actions begins so."""
        ...

    async def set_alarm_state(self, account: str, region: str, name: str, state: str, reason: str) -> None:
        """OK, ALARM or INSUFFICIENT_DATA."""
        ...


class ScalableServices(Protocol):
    """Services of ECS, for Application Auto Scaling."""

    def desired_count(self, account: str, region: str, resource: str) -> int | None:
        """Of `service/<cluster>/<name>`; None when there is no such ACTIVE service."""
        ...

    async def set_desired_count(self, account: str, region: str, resource: str, count: int) -> None:
        """Change it; committed when it returns.  AwsError as UpdateService says it."""
        ...
