"""An HTTP or WebSocket API as a deployment keeps it.  Members are named as in AWS's answers, in snake case."""

from collections.abc import Mapping

import msgspec


class Cors(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the gateway itself says to browsers of other origins.  `max_age` in seconds; None: not said."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool | None = None
    max_age: int | None = None


class IntegrationResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an integration's answer goes back over a WebSocket.  `key`: `/200/`, `/4[0-9]+/`, `$default`."""

    id: str
    key: str
    content_handling_strategy: str = ""
    response_parameters: Mapping[str, str] = {}
    response_templates: Mapping[str, str] = {}
    template_selection_expression: str = ""


class Integration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What routes call.  `integration_type` is AWS, AWS_PROXY, HTTP, HTTP_PROXY or MOCK.

    integration_subtype  of AWS_PROXY without a function: SQS-SendMessage, EventBridge-PutEvents, ...
    request_parameters   of HTTP APIs: append:header.x, overwrite:path, remove:querystring.y ..., or the subtype's parameters
    response_parameters  status codes to append:header.x, overwrite:statuscode, ...
    connection_type      INTERNET or VPC_LINK
    """

    id: str
    integration_type: str
    integration_subtype: str = ""
    integration_method: str = ""
    integration_uri: str = ""
    payload_format_version: str = "1.0"
    connection_type: str = "INTERNET"
    connection_id: str = ""
    credentials_arn: str = ""
    description: str = ""
    timeout_in_millis: int = 30_000
    request_parameters: Mapping[str, str] = {}
    response_parameters: Mapping[str, Mapping[str, str]] = {}
    server_name_to_verify: str = ""
    request_templates: Mapping[str, str] = {}
    template_selection_expression: str = ""
    passthrough_behavior: str = ""
    content_handling_strategy: str = ""
    integration_response_selection_expression: str = ""
    integration_responses: Mapping[str, IntegrationResponse] = {}
    api_gateway_managed: bool = False


class RouteResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a route of a WebSocket API answers."""

    id: str
    key: str
    model_selection_expression: str = ""
    response_models: Mapping[str, str] = {}
    response_parameters: Mapping[str, bool] = {}


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A route.  `route_key`: `GET /pets/{id}`, `ANY /x/{proxy+}`, `$default`; of WebSockets also `$connect`, `sendmessage`.

    authorization_type  NONE, AWS_IAM, CUSTOM or JWT
    target              integrations/<id>, or empty
    """

    id: str
    route_key: str
    target: str = ""
    authorization_type: str = "NONE"
    authorizer_id: str = ""
    authorization_scopes: tuple[str, ...] = ()
    api_key_required: bool = False
    operation_name: str = ""
    model_selection_expression: str = ""
    request_models: Mapping[str, str] = {}
    request_parameters: Mapping[str, bool] = {}
    route_response_selection_expression: str = ""
    route_responses: Mapping[str, RouteResponse] = {}
    api_gateway_managed: bool = False


class Authorizer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is asked about callers.  `authorizer_type` is REQUEST or JWT.

    identity_source  $request.header.Authorization, $request.querystring.x, route.request.header.X, ...
    ttl              seconds that an answer is kept; 0: not at all
    """

    id: str
    name: str
    authorizer_type: str
    identity_source: tuple[str, ...] = ()
    authorizer_uri: str = ""
    authorizer_credentials_arn: str = ""
    authorizer_payload_format_version: str = ""
    enable_simple_responses: bool = False
    identity_validation_expression: str = ""
    ttl: int | None = None
    jwt_audience: tuple[str, ...] = ()
    jwt_issuer: str = ""


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON Schema (draft 4, as text)."""

    id: str
    name: str
    content_type: str = "application/json"
    description: str = ""
    schema: str = ""


class V2Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An HTTP or WebSocket API, whole.  `protocol_type` is HTTP or WEBSOCKET.

    integrations, authorizers, models  by id
    """

    api_id: str
    account: str
    region: str
    protocol_type: str
    name: str = ""
    route_selection_expression: str = "$request.method $request.path"
    api_key_selection_expression: str = "$request.header.x-api-key"
    disable_schema_validation: bool = False
    disable_execute_api_endpoint: bool = False
    cors: Cors | None = None
    routes: tuple[Route, ...] = ()
    integrations: Mapping[str, Integration] = {}
    authorizers: Mapping[str, Authorizer] = {}
    models: Mapping[str, Model] = {}


class RouteSetting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage says of a route, or of all.  Throttles of None are the account's."""

    data_trace_enabled: bool | None = None
    detailed_metrics_enabled: bool | None = None
    logging_level: str | None = None
    throttling_burst_limit: int | None = None
    throttling_rate_limit: float | None = None


class V2Stage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stage as the data plane needs it.  `route_settings` by route key."""

    stage_name: str
    deployment_id: str = ""
    variables: Mapping[str, str] = {}
    default_route_settings: RouteSetting = RouteSetting()
    route_settings: Mapping[str, RouteSetting] = {}
    access_log_arn: str = ""
    access_log_format: str = ""
