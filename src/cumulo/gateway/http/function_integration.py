"""AWS_PROXY to a function: the request as an event, the function's words as the answer."""

from typing import Any, Final

import msgspec

from cumulo.base.ports import InvokeResult
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
        self._function = arn and FunctionCall(
            arn,
            source_arn=source_arn(place, route.route_key),
            place=place,
            tools=tools,
            credentials=integration.credentials_arn,
        )

    async def ask(self, visit: Visit, asked: Asked, grant: Grant | None) -> Response:
        """Call the function; Refused when that comes to nothing."""
        if not self._function:
            raise Refused(INTERNAL, "The integration's uri names no function")
        request_id = self._ids.uuid()
        told: dict[str, Any] = {"requestId": request_id}
        visit.context["integration"] = told
        try:
            result = await self._function.invoke(
                self._event(visit, asked, grant), seconds=self._seconds, request_id=request_id
            )
        except FunctionFailed as failed:
            told |= {"integrationStatus": failed.status or None, "error": failed.message}
            raise Refused(_KINDS.get(failed.why, INTERNAL)) from failed
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
