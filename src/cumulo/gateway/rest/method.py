"""One method of a stage, compiled: everything between finding it and its answer, as closures.

request ─▶ validate ─▶ cache ─▶ integration (mapped, called, mapped back) ─▶ cache ─▶ answer
"""

from collections.abc import Awaitable, Callable
from typing import Final

from cumulo.base.arn import partition_of
from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import Integration, Method, Resource, RestDefinition, RestStage
from cumulo.gateway.rest.aws_service import AwsService
from cumulo.gateway.rest.cached import Cached
from cumulo.gateway.rest.caches import ResponseCache
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import misconfigured
from cumulo.gateway.rest.functions import Functions
from cumulo.gateway.rest.http_backend import Backend, Http, HttpProxy
from cumulo.gateway.rest.integration_request import compile_outgoing
from cumulo.gateway.rest.integration_response import MethodAnswer, compile_incoming
from cumulo.gateway.rest.lambda_custom import LambdaCustom
from cumulo.gateway.rest.lambda_proxy import LambdaProxy
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.mock import Mock
from cumulo.gateway.rest.models import Models
from cumulo.gateway.rest.payloads import IsBinary
from cumulo.gateway.rest.settings import caches, setting_of
from cumulo.gateway.rest.validation import compile_validation
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools

Integrate = Callable[[Call, Log], Awaitable[MethodAnswer]]

_LAMBDA: Final = ":lambda:path/"


class Ground:
    """What all methods of a deployment on a stage share."""

    def __init__(
        self,
        definition: RestDefinition,
        stage: RestStage,
        place: Place,
        tools: Tools,
        *,
        is_binary: IsBinary,
        cache: ResponseCache | None,
    ) -> None:
        self.definition = definition
        self.stage = stage
        self.place = place
        self.tools = tools
        self.is_binary = is_binary
        self.cache = cache
        self.models = Models(definition)


def compile_method(ground: Ground, resource: Resource, method: Method) -> Integrate:
    """What runs for a request to this method, once it may."""
    definition = ground.definition
    validator = definition.request_validators.get(method.request_validator_id)
    validate = compile_validation(method, validator, ground.models)
    integrate = _integration(ground, resource, method)
    methods = caches(ground.stage, resource.path, method.http_method)
    if ground.cache is not None and methods != frozenset() and method.integration is not None:
        setting = setting_of(ground.stage, resource.path, method.http_method)
        integrate = Cached(
            integrate, method.integration, resource.id, setting, ground.cache, ground.tools.clock, methods
        )
    if validate is None:
        return integrate

    async def run(call: Call, log: Log) -> MethodAnswer:
        validate(call)
        return await integrate(call, log)

    return run


def _integration(ground: Ground, resource: Resource, method: Method) -> Integrate:
    integration = method.integration
    if integration is None:
        return _nothing
    if integration.type == "AWS_PROXY":
        return LambdaProxy(integration, _functions(ground, resource, method, integration), ground.is_binary)
    if integration.type == "HTTP_PROXY":
        return HttpProxy(_backend(ground, integration), integration, ground.is_binary)
    prepare = compile_outgoing(integration, ground.is_binary)
    finish = compile_incoming(method, ground.is_binary)
    if integration.type == "MOCK":
        return Mock(prepare, finish)
    if integration.type == "HTTP":
        return Http(_backend(ground, integration), integration.uri, prepare, finish)
    if _LAMBDA not in integration.uri:
        return AwsService(ground.definition, integration, ground.tools, prepare, finish)
    caller = Caller(account=ground.place.account, region=ground.place.region)
    functions = _functions(ground, resource, method, integration)
    seconds = integration.timeout_in_millis / 1000
    return LambdaCustom(functions, ground.tools.aws, caller, prepare, finish, seconds)


async def _nothing(_call: Call, _log: Log) -> MethodAnswer:
    raise misconfigured("No integration defined for method")


def _backend(ground: Ground, integration: Integration) -> Backend:
    return Backend(ground.definition, integration, ground.tools)


def _functions(ground: Ground, resource: Resource, method: Method, integration: Integration) -> Functions:
    return Functions(
        integration.uri,
        integration.credentials,
        source=source_arn(ground.place, resource.path, method.http_method),
        place=ground.place,
        tools=ground.tools,
    )


def source_arn(place: Place, path: str, method: str) -> str:
    """What calls a function, for its policy: a method of a resource, ANY as `*`, variable parts as they are written."""
    verb = "*" if method == "ANY" else method
    partition = partition_of(place.region)
    return f"arn:{partition}:execute-api:{place.region}:{place.account}:{place.api_id}/{place.stage}/{verb}{path}"
