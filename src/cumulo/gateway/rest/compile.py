"""REST APIs compiled: a stage with its deployment (and its canary's), ready to answer.

request ─▶ canary? ─▶ route ─▶ authorization ─▶ API key, usage plan ─▶ throttle ─▶ body ─▶ method (method.py) ─▶ answer
                        └──────────────── anything refused ─▶ gateway response ──────────────────────────────┘
"""

import random
from collections.abc import Callable

from cumulo.gateway.definitions.rest import Method, Resource, RestDefinition, RestStage
from cumulo.gateway.rest.answering import Answering
from cumulo.gateway.rest.caches import ResponseCache
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.gateway_responses import GatewayResponses
from cumulo.gateway.rest.guarding import Guard
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.method import Ground, Integrate, compile_method
from cumulo.gateway.rest.payloads import binary_types
from cumulo.gateway.rest.proxy_event import identity_of
from cumulo.gateway.rest.request_body import read_body, refuse_large
from cumulo.gateway.rest.request_log import tell_request
from cumulo.gateway.rest.routes import Route, Routes
from cumulo.gateway.rest.settings import setting_of
from cumulo.gateway.security.compile import Authorize, rest_authorization
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.traces import root_of, sampled
from cumulo.gateway.visit import Refused, Visit
from cumulo.wire.http import Response

Authorization = Callable[[RestDefinition, RestStage, Resource, Method, Tools], Authorize | None]


def compile_rest(
    definition: RestDefinition,
    stage: RestStage,
    tools: Tools,
    canary_definition: RestDefinition | None = None,
    *,
    chance: Callable[[], float] = random.random,
    authorization: Authorization = rest_authorization,
) -> "RestCompiled":
    """A stage, ready to answer.  `chance` gives numbers from 0 to 1, which say who gets the canary."""
    return RestCompiled(definition, stage, tools, canary_definition, chance, authorization)


def place_of(definition: RestDefinition, stage: str) -> Place:
    """Where a REST API's stage is."""
    return Place(
        account=definition.account,
        region=definition.region,
        api_id=definition.api_id,
        stage=stage,
        kind="REST",
        api_name=definition.name,
        disable_execute_api_endpoint=definition.disable_execute_api_endpoint,
    )


class RestCompiled:
    """A stage of a REST API."""

    def __init__(
        self,
        definition: RestDefinition,
        stage: RestStage,
        tools: Tools,
        canary_definition: RestDefinition | None,
        chance: Callable[[], float],
        authorization: Authorization,
    ) -> None:
        self.place = place_of(definition, stage.stage_name)
        self._chance = chance
        self._authorizers = tools.memory.authorizers
        cache = self._cache(stage, tools, "")
        canary = stage.canary
        self._caches = [] if cache is None else [cache]
        self._main = Deployment(
            definition,
            stage,
            stage.deployment_id,
            dict(stage.variables),
            self.place,
            tools,
            cache,
            authorization,
        )
        self._canary: Deployment | None = None
        self._canary_part = 0.0
        if canary is not None and canary.percent_traffic > 0:
            own_cache = cache if canary.use_stage_cache else self._cache(stage, tools, "canary")
            if own_cache is not None and own_cache is not cache:
                self._caches.append(own_cache)
            self._canary_part = canary.percent_traffic / 100
            self._canary = Deployment(
                canary_definition or definition,
                stage,
                canary.deployment_id,
                {**stage.variables, **canary.stage_variable_overrides},
                self.place,
                tools,
                own_cache,
                authorization,
                is_canary=True,
            )

    def _cache(self, stage: RestStage, tools: Tools, part: str) -> ResponseCache | None:
        place = self.place
        if stage.cache_size:
            return tools.caches.of(place.api_id, place.stage, part, stage.cache_size)
        tools.caches.forget(place.api_id, place.stage)
        return None

    async def answer(self, visit: Visit) -> Response:
        """Answer a request.  Never raises for what a client did."""
        if self._canary is not None and self._chance() < self._canary_part:
            return await self._canary.answer(visit)
        return await self._main.answer(visit)

    def flush_cache(self) -> None:
        """Forget what the stage's caches keep."""
        for cache in self._caches:
            cache.flush()

    def flush_authorizers(self) -> None:
        """Forget what authorizers said."""
        self._authorizers.flush(self.place.api_id, self.place.stage)


class Deployment:
    """A deployment on a stage: methods are compiled when they are first asked for."""

    def __init__(
        self,
        definition: RestDefinition,
        stage: RestStage,
        deployment_id: str,
        variables: dict[str, str],
        place: Place,
        tools: Tools,
        cache: ResponseCache | None,
        authorization: Authorization,
        *,
        is_canary: bool = False,
    ) -> None:
        is_binary = binary_types(definition.binary_media_types)
        self._ground = Ground(definition, stage, place, tools, is_binary=is_binary, cache=cache)
        self._deployment_id = deployment_id
        self._variables = variables
        self._is_canary = is_canary
        self._traces = stage.tracing_enabled
        self._authorization = authorization
        self._routes = Routes(definition.resources)
        self._compresses = definition.minimum_compression_size is not None
        self._responses = GatewayResponses(definition.gateway_responses)
        self._answering = Answering(definition, place, tools)
        self._methods: dict[tuple[str, str], _Compiled] = {}

    async def answer(self, visit: Visit) -> Response:
        """Answer a request.  Never raises for what a client did."""
        context = visit.context
        context["deploymentId"] = self._deployment_id
        context["identity"] = identity_of(context["identity"], visit.certificate)
        if self._is_canary:
            context["isCanaryRequest"] = True
        if self._traces:
            visit.trace = sampled(visit.trace, self._ground.tools.ids.hex(16))
            context["xrayTraceId"] = root_of(visit.trace)
        route = self._routes.find(visit.request.method, visit.address.path)
        if route is None:
            return self._refuse(Refused("MISSING_AUTHENTICATION_TOKEN"), visit, {}, None)
        compiled = self._method(route)
        context["resourceId"], context["resourcePath"] = route.resource.id, route.resource.path
        if route.method.operation_name:
            context["operationName"] = route.method.operation_name
        log = compiled.log(visit, self._ground.tools)
        try:
            refuse_large(visit)
            grant = await compiled.guard.admit(visit, log)
            call = Call(visit, route.resource, route.method, route.parameters, self._variables, grant)
            call.body = await read_body(visit, decompress_it=self._compresses, call=call)
            tell_request(call, log)
            answer = await compiled.run(call, log)
        except Refused as refused:
            return self._refuse(refused, visit, route.parameters, log)
        return self._answering.answer(call, answer, log)

    def _refuse(
        self, refused: Refused, visit: Visit, parameters: dict[str, str], log: Log | None
    ) -> Response:
        status, headers, body = self._responses.answer(refused, visit, self._variables, parameters)
        return self._answering.refuse(visit, refused, status, headers, body, log)

    def _method(self, route: Route) -> "_Compiled":
        key = (route.resource.id, route.method.http_method)
        found = self._methods.get(key)
        if found is None:
            found = self._methods[key] = _Compiled(self._ground, route, self._authorization)
        return found


class _Compiled:
    """A method and what guards it."""

    def __init__(self, ground: Ground, route: Route, authorization: Authorization) -> None:
        resource, method = route.resource, route.method
        self._setting = setting_of(ground.stage, resource.path, method.http_method)
        authorize = authorization(ground.definition, ground.stage, resource, method, ground.tools)
        self.guard = Guard(ground, resource, method, self._setting, authorize)
        self._ground = ground
        self._route = route
        self._run: Integrate | None = None

    def log(self, visit: Visit, tools: Tools) -> Log:
        """Where this method's requests are told of."""
        setting = self._setting
        return Log(visit, tools.clock, level=setting.logging_level, trace=setting.data_trace_enabled)

    @property
    def run(self) -> Integrate:
        """The method; Refused when its definition cannot be compiled."""
        if self._run is None:
            self._run = compile_method(self._ground, self._route.resource, self._route.method)
        return self._run
