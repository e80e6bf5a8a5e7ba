"""What is sent to an integration that is no proxy: mapped parameters, and a body from a template or passed through."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cumulo.gateway.definitions.rest import Integration
from cumulo.gateway.rest import mappings
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import misconfigured
from cumulo.gateway.rest.headers import clean, illegal, odd
from cumulo.gateway.rest.payloads import IsBinary, request_body
from cumulo.gateway.rest.templates import NOTHING, Templates


class Outgoing(NamedTuple):
    """An integration request: header names as the API's owner wrote them."""

    headers: dict[str, str]
    query: dict[str, str | list[str]]
    path: dict[str, str]
    body: bytes


Prepare = Callable[[Call], Outgoing]


def compile_outgoing(integration: Integration, is_binary: IsBinary) -> Prepare:
    """How requests for this integration are made.  Refused: 415 where no template fits, 500 for a wrong mapping."""
    mapping = mappings.compile_request(integration.request_parameters)
    templates = Templates(integration.request_templates)
    kind, handling = integration.type, integration.content_handling
    passthrough = integration.passthrough_behavior

    def prepare(call: Call) -> Outgoing:
        mapped = mapping(call)
        name = templates.for_request(call.content_type, passthrough)
        binary = is_binary(call.content_type)
        body = request_body(call.body, binary=binary, handling=handling) if call.body else b""
        if name is not None:
            body = templates.render(name, call, body)
        override = call.overrides or NOTHING
        headers = texts(replaced(mapped.header, override.header))
        wrong = illegal(headers, kind)
        if wrong is not None:
            raise misconfigured(f"{wrong} header already present")
        if odd(headers) is not None:
            raise misconfigured("Invalid header name in the request")
        return Outgoing(
            headers,
            _fields({**mapped.querystring, **override.querystring}),
            texts({**mapped.path, **override.path}),
            body,
        )

    return prepare


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as texts that may stand in a head; several are joined by commas."""
    return {
        name: clean(",".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in values.items()
        if value is not None
    }


def _fields(values: Mapping[str, Any]) -> dict[str, str | list[str]]:
    return {
        name: [str(one) for one in value] if isinstance(value, list) else str(value)
        for name, value in values.items()
        if value is not None
    }


def replaced(mapped: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Mapped headers, and those that templates set in their place whatever the case of their names."""
    if not override:
        return dict(mapped)
    names = {name.lower() for name in override}
    return {name: value for name, value in mapped.items() if name.lower() not in names} | dict(override)
