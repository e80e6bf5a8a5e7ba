"""A REST API as a deployment keeps it.  Members are named as in AWS's answers, in snake case."""

from collections.abc import Mapping

import msgspec


class IntegrationResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an integration's answer becomes a method's; the one without a pattern is for all other answers.

    selection_pattern    a regular expression over the status (HTTP) or the error message (Lambda); None: the default one
    response_parameters  method.response.header.X to integration.response.header.Y, integration.response.body..., 'literal'
    response_templates   content types to templates
    content_handling     CONVERT_TO_TEXT, CONVERT_TO_BINARY, or empty
    shown_empty          AWS's names of members that were given empty: they are shown so, not left out
    """

    status_code: str
    selection_pattern: str | None = None
    response_parameters: Mapping[str, str] = {}
    response_templates: Mapping[str, str | None] = {}
    content_handling: str = ""
    shown_empty: tuple[str, ...] = ()


class Integration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a method calls.  `type` is AWS, AWS_PROXY, HTTP, HTTP_PROXY or MOCK.

    request_parameters      integration.request.header.X to method.request.querystring.Y, context..., 'literal'
    request_templates       content types to templates
    passthrough_behavior    WHEN_NO_MATCH, WHEN_NO_TEMPLATES, NEVER
    connection_type         INTERNET or VPC_LINK (`connection_id`: the link, maybe a stage variable)
    response_transfer_mode  BUFFERED or STREAM
    """

    type: str
    http_method: str = ""
    uri: str = ""
    connection_type: str = "INTERNET"
    connection_id: str = ""
    integration_target: str = ""
    credentials: str = ""
    request_parameters: Mapping[str, str] = {}
    request_templates: Mapping[str, str | None] = {}
    passthrough_behavior: str = "WHEN_NO_MATCH"
    content_handling: str = ""
    timeout_in_millis: int = 29_000
    cache_namespace: str = ""
    cache_key_parameters: tuple[str, ...] = ()
    integration_responses: Mapping[str, IntegrationResponse] = {}
    insecure_skip_verification: bool = False
    response_transfer_mode: str = "BUFFERED"


class MethodResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a method may answer: method.response.header.X to whether it must be there, content types to models.

    shown_empty  AWS's names of members that were given empty: they are shown so, not left out
    """

    status_code: str
    response_parameters: Mapping[str, bool] = {}
    response_models: Mapping[str, str] = {}
    shown_empty: tuple[str, ...] = ()


class Method(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A method of a resource; `http_method` may be ANY.  `authorization_type`: NONE, AWS_IAM, CUSTOM, COGNITO_USER_POOLS.

    request_parameters  method.request.(path|querystring|header).X to whether it must be there
    request_models      content types to names of models
    """

    http_method: str
    authorization_type: str = "NONE"
    authorizer_id: str = ""
    authorization_scopes: tuple[str, ...] = ()
    api_key_required: bool = False
    request_validator_id: str = ""
    operation_name: str = ""
    request_parameters: Mapping[str, bool] = {}
    request_models: Mapping[str, str] = {}
    method_responses: Mapping[str, MethodResponse] = {}
    integration: Integration | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource: the root has no parent and no path part.  `path` is whole (`/pets/{id}`)."""

    id: str
    path: str
    parent_id: str = ""
    path_part: str = ""
    methods: Mapping[str, Method] = {}
    cors: Mapping[str, str] = {}


class Authorizer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is asked about callers.  `type` is TOKEN, REQUEST or COGNITO_USER_POOLS.

    identity_source  method.request.header.Authorization, or several with commas
    ttl              seconds that an answer is kept; None: the default of 300
    """

    id: str
    name: str
    type: str
    provider_arns: tuple[str, ...] = ()
    auth_type: str = ""
    authorizer_uri: str = ""
    authorizer_credentials: str = ""
    identity_source: str = ""
    identity_validation_expression: str = ""
    ttl: int | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON Schema (draft 4, as text) for bodies of a content type."""

    id: str
    name: str
    content_type: str = "application/json"
    description: str = ""
    schema: str = ""


class RequestValidator(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is checked before an integration is called."""

    id: str
    name: str
    validate_request_body: bool = False
    validate_request_parameters: bool = False


class GatewayResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the gateway itself answers, in place of AWS's default.  `status_code` may be empty: as the default."""

    response_type: str
    status_code: str = ""
    response_parameters: Mapping[str, str] = {}
    response_templates: Mapping[str, str] = {}


class RestDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A REST API, whole.

    authorizers, request_validators   by id;  models  by name;  gateway_responses  by type
    minimum_compression_size          bytes from which answers are compressed; None: never
    policy                            a resource policy as JSON text, or empty
    api_key_source                    HEADER or AUTHORIZER
    """

    api_id: str
    account: str
    region: str
    name: str = ""
    root_resource_id: str = ""
    resources: tuple[Resource, ...] = ()
    authorizers: Mapping[str, Authorizer] = {}
    models: Mapping[str, Model] = {}
    request_validators: Mapping[str, RequestValidator] = {}
    gateway_responses: Mapping[str, GatewayResponse] = {}
    binary_media_types: tuple[str, ...] = ()
    minimum_compression_size: int | None = None
    policy: str = ""
    api_key_source: str = "HEADER"
    endpoint_types: tuple[str, ...] = ("EDGE",)
    disable_execute_api_endpoint: bool = False


class MethodSetting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage says of a method, or (`*/*`) of all.  Throttles of None are the account's."""

    metrics_enabled: bool = False
    logging_level: str = "OFF"
    data_trace_enabled: bool = False
    throttling_burst_limit: int | None = None
    throttling_rate_limit: float | None = None
    caching_enabled: bool = False
    cache_ttl_in_seconds: int = 300
    cache_data_encrypted: bool = False
    require_authorization_for_cache_control: bool = True
    unauthorized_cache_control_header_strategy: str = "SUCCEED_WITH_RESPONSE_HEADER"


class Canary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which part of a stage's requests another deployment answers."""

    deployment_id: str
    percent_traffic: float = 0.0
    stage_variable_overrides: Mapping[str, str] = {}
    use_stage_cache: bool = False


class RestStage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stage as the data plane needs it.

    method_settings   by `<path without its first slash, / as ~1>/<METHOD>`, `*/*` for all: AWS's keys
    cache_size        GB of the cache cluster; empty: none
    access_log_arn    a log group (or a Firehose stream); `access_log_format` as AWS's
    """

    stage_name: str
    deployment_id: str
    variables: Mapping[str, str] = {}
    method_settings: Mapping[str, MethodSetting] = {}
    canary: Canary | None = None
    cache_size: str = ""
    client_certificate_id: str = ""
    access_log_arn: str = ""
    access_log_format: str = ""
    tracing_enabled: bool = False
