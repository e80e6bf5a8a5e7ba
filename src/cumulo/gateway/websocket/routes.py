"""A route, compiled: what its event must be, whom it calls, and whether the client is told what came of it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from cumulo.gateway.definitions.v2 import Integration, Route, V2Definition, V2Stage
from cumulo.gateway.integrations.functions import function_arn
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Refused
from cumulo.gateway.websocket import events
from cumulo.gateway.websocket.answers import compile_answer
from cumulo.gateway.websocket.backends import AwsBackend, Backend, HttpBackend, MockBackend
from cumulo.gateway.websocket.functions import FunctionBackend, Write, proxy_answer, raw_answer
from cumulo.gateway.websocket.models import compile_models
from cumulo.gateway.websocket.requests import compile_body, compile_outgoing
from cumulo.gateway.websocket.turn import Reply, Turn, Unanswered

CONNECT: Final = "$connect"
DISCONNECT: Final = "$disconnect"
DEFAULT: Final = "$default"

_EVENTS: Final[Mapping[str, Write]] = {CONNECT: events.connect_event, DISCONNECT: events.disconnect_event}


class CompiledRoute:
    """What one route does.

    two_way     what its integration answers goes to the client
    rate, burst of the stage's settings; None: the account's
    """

    __slots__ = (
        "_answer",
        "_call",
        "_check",
        "_monotonic",
        "_required",
        "_seconds",
        "burst",
        "key",
        "rate",
        "route",
        "two_way",
    )

    def __init__(
        self,
        definition: V2Definition,
        stage: V2Stage,
        route: Route,
        place: Place,
        tools: Tools,
        seconds_max: float,
    ) -> None:
        setting = stage.route_settings.get(route.route_key)
        every = stage.default_route_settings
        rate = setting.throttling_rate_limit if setting is not None else None
        burst = setting.throttling_burst_limit if setting is not None else None
        self.key = route.route_key
        self.route = route
        self.rate = rate if rate is not None else every.throttling_rate_limit
        self.burst = burst if burst is not None else every.throttling_burst_limit
        self.two_way = route.route_response_selection_expression == DEFAULT and any(
            response.key == DEFAULT for response in route.route_responses.values()
        )
        self._required = tuple(name for name, required in route.request_parameters.items() if required)
        self._check = compile_models(definition, route)
        integration = definition.integrations.get(route.target.removeprefix("integrations/"))
        self._seconds = seconds_max
        self._monotonic = tools.clock.monotonic
        self._call: Backend | None = None
        if integration is not None:
            self._seconds = min(integration.timeout_in_millis / 1000, seconds_max)
            of_function, self._call = _backend(integration, stage, self.key, place, tools, self._seconds)
            self._answer: Callable[[Turn, Reply], Reply] = compile_answer(
                integration, of_function=of_function
            )

    async def run(self, turn: Turn) -> Reply:
        """Check the event, call the integration, and give its answer.  Refused."""
        if self._required:
            self._check_parameters(turn)
        if self._check is not None:
            self._check(turn)
        if self._call is None:
            if self.key == CONNECT:
                return Reply(200)
            raise Unanswered(500, kind="API_CONFIGURATION_ERROR")
        began = self._monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._call(turn)
        except TimeoutError:
            raise Refused("INTEGRATION_TIMEOUT") from None
        finally:
            visit = turn.visit
            visit.asked_integration(began, self._monotonic())
            turn.context.setdefault("integration", {})["latency"] = visit.integration_ms
        return self._answer(turn, reply)

    def _check_parameters(self, turn: Turn) -> None:
        """route.request.querystring.x and route.request.header.X, of who connects."""
        missing = []
        for text in self._required:
            place, _, name = text.removeprefix("route.request.").partition(".")
            there = turn.query.get(name) if place == "querystring" else turn.headers.get(name.lower())
            if not there and self.key == CONNECT:
                missing.append(name)
        if missing:
            raise Refused(
                "BAD_REQUEST_PARAMETERS", f"Missing required request parameters: [{', '.join(missing)}]"
            )


def _backend(
    integration: Integration, stage: V2Stage, key: str, place: Place, tools: Tools, seconds: float
) -> tuple[bool, Backend]:
    """Who is called; and whether that is a function."""
    kind = integration.integration_type
    if kind == "AWS_PROXY":
        write = _EVENTS.get(key, events.message_event)
        return True, FunctionBackend(
            integration, stage.variables, key, place, tools, write=write, read=proxy_answer, seconds=seconds
        )
    if kind == "AWS" and function_arn(integration.integration_uri, stage.variables) is not None:
        body = compile_body(integration)
        return True, FunctionBackend(
            integration, stage.variables, key, place, tools, write=body, read=raw_answer, seconds=seconds
        )
    prepare = compile_outgoing(integration)
    if kind == "MOCK":
        return False, MockBackend(prepare)
    if kind == "AWS":
        return False, AwsBackend(integration, prepare, place, tools)
    return False, HttpBackend(integration, prepare, place, tools, seconds)
