"""Who may call a method, and how often: authorization, API key and usage plan, throttle, in AWS's order."""

from cumulo.gateway.definitions.rest import Method, MethodSetting, Resource
from cumulo.gateway.rest.call import NOBODY
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.method import Ground
from cumulo.gateway.security.compile import Authorize
from cumulo.gateway.visit import Grant, Refused, Visit


class Guard:
    """Admits requests to a method, and fills `$context` with what was found out."""

    def __init__(
        self,
        ground: Ground,
        resource: Resource,
        method: Method,
        setting: MethodSetting,
        authorize: Authorize | None,
    ) -> None:
        self._place = ground.place
        self._tools = ground.tools
        self._by_authorizer = ground.definition.api_key_source == "AUTHORIZER"
        self._path = resource.path
        self._resource_id = resource.id
        self._method = method
        self._api_stage = f"{ground.place.api_id}/{ground.place.stage}"
        self._scope = f"{method.http_method} {resource.path}"
        self._setting = setting
        self._authorize = authorize

    async def admit(self, visit: Visit, log: Log) -> Grant:
        """Let a request pass, and say what its authorizer found out.  Refused."""
        if log.on:
            log.tell(f"Extended Request Id: {visit.context['extendedRequestId']}")
        grant = NOBODY
        if self._authorize is not None:
            grant = await self._authorized(visit, self._authorize)
            if grant.context or grant.facts:
                visit.context["authorizer"] = {**grant.facts, **grant.context}
            visit.context["identity"].update(grant.identity)
        self._check_plan(visit, grant, log)
        setting = self._setting
        if not self._tools.throttles.admit(
            self._place, self._scope, rate=setting.throttling_rate_limit, burst=setting.throttling_burst_limit
        ):
            log.fault(
                f"Method throttle limit exceeded for RestApi {self._place.api_id}, Stage {self._place.stage}, "
                f"Resource {self._resource_id}, HttpMethod {visit.request.method}."
            )
            raise Refused("THROTTLED")
        return grant

    async def _authorized(self, visit: Visit, authorize: Authorize) -> Grant:
        monotonic = self._tools.clock.monotonic
        began = monotonic()
        try:
            return await authorize(visit)
        finally:
            visit.asked_authorizer(began, monotonic())

    def _check_plan(self, visit: Visit, grant: Grant, log: Log) -> None:
        value = grant.usage_key if self._by_authorizer else visit.request.headers.get("x-api-key")
        if log.on:
            self._tell_plan(visit, covered(value), log)
        if self._method.api_key_required:
            use = self._tools.plans.admit(self._place, value, path=self._path, method=visit.request.method)
            visit.context["identity"].update(apiKey=value, apiKeyId=use.key_id)
        if log.on:
            log.tell(
                f"Usage Plan check succeeded for API Key {covered(value)} and API Stage {self._api_stage}"
            )

    def _tell_plan(self, visit: Visit, key: str, log: Log) -> None:
        request_id = visit.context["requestId"]
        log.tell(
            f"Verifying Usage Plan for request: {request_id}. API Key: {key} API Stage: {self._api_stage}"
        )
        if not self._method.api_key_required:
            log.tell(
                f"API Key {key}{' ' if key else ''}authorized because method '{visit.request.method} {self._path}' "
                "does not require API Key. Request will not contribute to throttle or quota limits"
            )


def covered(value: str) -> str:
    """An API key as logs show it."""
    return "*" * max(len(value) - 6, 0) + value[-6:] if value else ""
