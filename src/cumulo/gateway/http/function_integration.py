"""AWS_PROXY to a function: the request as an event, the function's words as the answer."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.v2 import Integration, Route, V2Definition, V2Stage
from cumulo.gateway.http.answers import BadAnswer, Told, answer_1, answer_2
from cumulo.gateway.http.events import Asked, event_1, event_2
from cumulo.gateway.http.refusals import INTERNAL
from cumulo.gateway.integrations.functions import FunctionCall, FunctionFailed, Why, function_arn
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Grant, Refused, Visit
from cumulo.wire.http import Response

_KINDS: Final = {
    Why.THROTTLED: "INTEGRATION_FAILURE",
    Why.TIMED_OUT: "INTEGRATION_TIMEOUT",
    Why.TOO_LARGE: "REQUEST_TOO_LARGE",
}
Done = Callable[[Response | Refused], None]
MALFORMED: Final = "The response from the Lambda function doesn't match the format that API Gateway expects."


class FunctionIntegration:
    """One route's calls of one function."""

    wants_body: Final = True

    def __init__(
        self,
        definition: V2Definition,
        stage: V2Stage,
        place: Place,
        route: Route,
        integration: Integration,
        tools: Tools,
    ) -> None:
        self._ids = tools.ids
        self._seconds = integration.timeout_in_millis / 1000
        if integration.payload_format_version == "2.0":
            self._event = event_2(place, route, stage.variables, simple=_is_simple(definition, route))
            self._answer = answer_2
        else:
            self._event = event_1(place, route, stage.variables)
            self._answer = answer_1
        arn = function_arn(integration.integration_uri, stage.variables)
        self._function = (
            FunctionCall(
                arn,
                source_arn=source_arn(place, route.route_key),
                place=place,
                tools=tools,
                credentials=integration.credentials_arn,
            )
            if arn
            else None
        )

    async def ask(self, visit: Visit, asked: Asked, grant: Grant | None) -> Response:
        """Call the function; Refused when that comes to nothing."""
        if self._function is None:
            raise Refused(INTERNAL, "The integration's uri names no function")
        event, request_id = self._asked(visit, asked, grant)
        try:
            result = await self._function.invoke(
                event, seconds=self._seconds, request_id=request_id, trace_id=visit.trace
            )
        except FunctionFailed as failed:
            raise _refused(visit, failed) from failed
        return self._answered(visit, result)

    @property
    def is_quick(self) -> bool:
        """Whether `begin` may be used: nothing but the function itself is asked."""
        return self._function is not None and self._function.is_quick

    def begin(self, visit: Visit, asked: Asked, done: Done) -> None:
        """The same as `ask` without a coroutine: `done` is called once, now or later."""
        assert self._function is not None, "is_quick says so"
        event, request_id = self._asked(visit, asked, None)

        def ended(result: InvokeResult | FunctionFailed) -> None:
            try:
                if isinstance(result, FunctionFailed):
                    raise _refused(visit, result)
                done(self._answered(visit, result))
            except Refused as refused:
                done(refused)

        self._function.begin(event, ended, seconds=self._seconds, request_id=request_id, trace_id=visit.trace)

    def _asked(self, visit: Visit, asked: Asked, grant: Grant | None) -> tuple[bytes, str]:
        """The event, and the call's request id."""
        request_id = self._ids.uuid()
        visit.context["integration"] = {"requestId": request_id}
        return self._event(visit, asked, grant), request_id

    def _answered(self, visit: Visit, result: InvokeResult) -> Response:
        told: dict[str, Any] = visit.context["integration"]
        told["integrationStatus"] = 200
        answer = self._understand(result, told)
        told["status"] = answer.status
        return Response(answer.status, answer.headers, answer.body)

    def _understand(self, result: InvokeResult, told: dict[str, Any]) -> Told:
        if result.function_error:
            told["error"] = _error_of(result.payload)
            raise Refused(INTERNAL)
        try:
            return self._answer(result.payload)
        except BadAnswer:
            told["error"] = MALFORMED
            raise Refused(INTERNAL) from None


def _refused(visit: Visit, failed: FunctionFailed) -> Refused:
    visit.context["integration"] |= {"integrationStatus": failed.status or None, "error": failed.message}
    return Refused(_KINDS.get(failed.why, INTERNAL))


def source_arn(place: Place, route_key: str) -> str:
    """What functions' permissions know a route by: .../<stage>/GET/pets/{id}, or .../<stage>/$default."""
    method, _, path = route_key.partition(" ")
    shown = "*" if method == "ANY" else method
    return f"arn:aws:execute-api:{place.region}:{place.account}:{place.api_id}/{place.stage}/{shown}{path}"


def _is_simple(definition: V2Definition, route: Route) -> bool:
    authorizer = definition.authorizers.get(route.authorizer_id)
    return authorizer is not None and authorizer.enable_simple_responses


def _error_of(payload: bytes) -> str:
    """The message of what a function raised."""
    try:
        said = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        said = None
    message = said.get("errorMessage") if isinstance(said, dict) else None
    return message if isinstance(message, str) else "The Lambda function returned an error."
