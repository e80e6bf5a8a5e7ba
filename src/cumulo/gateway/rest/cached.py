"""An integration behind its stage's cache."""

from collections.abc import Awaitable, Callable

from cumulo.base.clock import Clock
from cumulo.gateway.definitions.rest import Integration, MethodSetting
from cumulo.gateway.rest.caches import Kept, Key, ResponseCache
from cumulo.gateway.rest.caching import WARNING, asks_for_fresh, key_of
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.integration_response import MethodAnswer
from cumulo.gateway.rest.log import Log
from cumulo.gateway.visit import Refused


class Cached:
    """Answers from the cache what it can.

    Who asks for fresh data gets it, and renews the entry, when they may: where authorization is wanted, a caller whose
    signature was checked may.
    """

    def __init__(
        self,
        integrate: Callable[[Call, Log], Awaitable[MethodAnswer]],
        integration: Integration,
        resource_id: str,
        setting: MethodSetting,
        cache: ResponseCache,
        clock: Clock,
        methods: frozenset[str] | None,
    ) -> None:
        self._methods = methods
        self._integrate = integrate
        self._namespace = integration.cache_namespace or resource_id
        self._parameters = integration.cache_key_parameters
        self._mapped = integration.request_parameters
        self._setting = setting
        self._cache = cache
        self._clock = clock

    async def __call__(self, call: Call, log: Log) -> MethodAnswer:
        """From the cache, or from the integration.  Refused as the integration's; 403 for an unwanted invalidation."""
        if self._methods is not None and call.visit.request.method not in self._methods:
            return await self._integrate(call, log)
        key = key_of(call, self._namespace, self._parameters, self._mapped)
        fresh, warn = self._freshness(call)
        now = self._clock.monotonic()
        kept = None if fresh else self._cache.get(key, now)
        if kept is not None:
            log.tell("Cache hit for key")
            call.context["cacheHit"] = True
            return _warned(MethodAnswer(kept.status, list(kept.headers), kept.body), warn=warn)
        call.context["cacheHit"] = False
        answer = await self._integrate(call, log)
        self._keep(key, answer)
        return _warned(answer, warn=warn)

    def _freshness(self, call: Call) -> tuple[bool, bool]:
        """Whether the entry is to be renewed, and whether to warn that it was not."""
        if not asks_for_fresh(call):
            return False, False
        setting = self._setting
        if not setting.require_authorization_for_cache_control or call.context["identity"].get("userArn"):
            return True, False
        strategy = setting.unauthorized_cache_control_header_strategy
        if strategy == "FAIL_WITH_403":
            raise Refused("ACCESS_DENIED")
        return False, strategy == "SUCCEED_WITH_RESPONSE_HEADER"

    def _keep(self, key: Key, answer: MethodAnswer) -> None:
        if isinstance(answer.body, bytes) and 200 <= answer.status < 300:
            until = self._clock.monotonic() + self._setting.cache_ttl_in_seconds
            self._cache.put(key, Kept(answer.status, tuple(answer.headers), answer.body, until))


def _warned(answer: MethodAnswer, *, warn: bool) -> MethodAnswer:
    if not warn:
        return answer
    return MethodAnswer(answer.status, [*answer.headers, ("Warning", WARNING)], answer.body)
