"""What becomes of an integration's answer: the integration response that is for it, and its template."""

from collections.abc import Callable
from typing import Final

from cumulo.gateway.definitions.v2 import Integration, IntegrationResponse
from cumulo.gateway.websocket.expressions import mapping, selection
from cumulo.gateway.websocket.requests import handled
from cumulo.gateway.websocket.templates import DEFAULT, Templates
from cumulo.gateway.websocket.turn import Reply, Turn, Unanswered

Shape = Callable[[Turn, Reply], Reply]

_ERROR_MESSAGE: Final = "$integration.response.body.errorMessage"
_STATUS: Final = "$integration.response.statuscode"
_HEADER: Final = "route.response.header."


def compile_answer(integration: Integration, *, of_function: bool) -> Shape:
    """How answers of this integration are changed; proxies' and those without integration responses are not."""
    responses = integration.integration_responses
    if integration.integration_type.endswith("_PROXY") or not responses:
        return lambda _turn, reply: reply
    expression = integration.integration_response_selection_expression
    select = selection(expression or (_ERROR_MESSAGE if of_function else _STATUS))
    rows = [
        (_matcher(response.key), _shape(response))
        for response in responses.values()
        if response.key != DEFAULT
    ]
    default = next((_shape(response) for response in responses.values() if response.key == DEFAULT), None)

    def shape(turn: Turn, reply: Reply) -> Reply:
        key = select(turn, reply)
        chosen = default
        if key is not None:
            chosen = next((row for matches, row in rows if matches(key)), default)
        if chosen is None:
            raise Unanswered(500, kind="API_CONFIGURATION_ERROR")
        return chosen(turn, reply)

    return shape


def _matcher(key: str) -> Callable[[str], bool]:
    r"""`/4\d\d/` matches the whole; everything else is itself."""
    if len(key) < 2 or key[0] != "/" or key[-1] != "/":
        return lambda text: text == key
    from cumulo.wire.patterns import compile_pattern

    return compile_pattern(key[1:-1]) or (lambda _text: False)


def _shape(response: IntegrationResponse) -> Shape:
    templates = Templates(response.response_templates, response.template_selection_expression)
    rows = [
        (target.removeprefix(_HEADER), mapping(source))
        for target, source in response.response_parameters.items()
        if target.startswith(_HEADER)
    ]
    handling = response.content_handling_strategy

    def shape(turn: Turn, reply: Reply) -> Reply:
        body = handled(reply.body, handling)
        key = templates.choose(turn, reply)
        if key is not None:
            body = templates.render(key, turn, body)
        found = ((name, source(turn, reply)) for name, source in rows)
        headers = tuple((name, value) for name, value in found if value)
        return Reply(reply.status, headers, body)

    return shape
