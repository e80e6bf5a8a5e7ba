"""What an integration is sent: mapped headers and parameters, and the message, through a template where there is one."""

import base64
import binascii
from collections.abc import Callable
from typing import NamedTuple

from cumulo.gateway.definitions.v2 import Integration
from cumulo.gateway.visit import Refused
from cumulo.gateway.websocket.expressions import mapping
from cumulo.gateway.websocket.templates import Templates
from cumulo.gateway.websocket.turn import Turn, Unanswered


class Outgoing(NamedTuple):
    """Names as the API's owner wrote them."""

    header: dict[str, str]
    querystring: dict[str, str]
    path: dict[str, str]
    body: bytes


Prepare = Callable[[Turn], Outgoing]


def compile_outgoing(integration: Integration) -> Prepare:
    """How requests for this integration are made.  Refused: 415 where no template fits, 500 for a wrong mapping."""
    targets = (
        (_target(target), mapping(source)) for target, source in integration.request_parameters.items()
    )
    rows = [(*target, source) for target, source in targets if target is not None]
    shape = compile_body(integration)

    def prepare(turn: Turn) -> Outgoing:
        outgoing = Outgoing({}, {}, {}, shape(turn))
        for place, name, source in rows:
            value = source(turn, None)
            if value:
                getattr(outgoing, place)[name] = _clean(value) if place == "header" else value
        return outgoing

    return prepare


def compile_body(integration: Integration) -> Callable[[Turn], bytes]:
    """The body: proxies get the message itself."""
    if integration.integration_type.endswith("_PROXY"):
        return lambda turn: turn.body
    templates = Templates(integration.request_templates, integration.template_selection_expression)
    passthrough = integration.passthrough_behavior or "WHEN_NO_MATCH"
    handling = integration.content_handling_strategy

    def shape(turn: Turn) -> bytes:
        body = handled(turn.body, handling)
        key = templates.choose(turn, None)
        if key is not None:
            return templates.render(key, turn, body)
        if passthrough == "NEVER" or (passthrough == "WHEN_NO_TEMPLATES" and templates):
            raise Refused("UNSUPPORTED_MEDIA_TYPE")
        return body

    return shape


def handled(body: bytes, handling: str) -> bytes:
    """A body as its contentHandlingStrategy wants it: text is base64 of what is binary.  Unanswered: 500."""
    if handling == "CONVERT_TO_TEXT":
        return base64.b64encode(body)
    if handling == "CONVERT_TO_BINARY":
        try:
            return base64.b64decode(body)
        except (binascii.Error, ValueError):
            raise Unanswered(500, kind="API_CONFIGURATION_ERROR") from None
    return body


def _target(text: str) -> tuple[str, str] | None:
    place, _, name = text.removeprefix("integration.request.").partition(".")
    return (place, name) if place in Outgoing._fields and name else None


def _clean(value: str) -> str:
    """A value that can stand in a head: without line ends and other controls."""
    return value if value.isprintable() else "".join(char for char in value if char.isprintable())
