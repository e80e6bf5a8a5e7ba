"""What a client is answered when the integration is no proxy: the integration response that fits, and its mappings."""

from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

import msgspec

from cumulo.gateway.definitions.rest import IntegrationResponse, Method
from cumulo.gateway.rest import mappings
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import misconfigured
from cumulo.gateway.rest.headers import Pairs, odd, returned, value_of
from cumulo.gateway.rest.integration_request import replaced, texts
from cumulo.gateway.rest.mappings import Endpoint
from cumulo.gateway.rest.payloads import JSON, IsBinary, response_body
from cumulo.gateway.rest.templates import NOTHING, Templates
from cumulo.wire.patterns import Matches, compile_pattern

STATUS_MIN: Final = 200  # below are interim answers, which end nothing


class MethodAnswer(msgspec.Struct, frozen=True):
    """What a method answers, before the gateway adds what it says itself."""

    status: int
    headers: Pairs
    body: bytes | AsyncIterator[bytes]


class _Choice(NamedTuple):
    matches: Matches | None  # None: for all that nothing else is for
    response: IntegrationResponse
    mapping: mappings.Response
    templates: Templates


Finish = Callable[[Call, Endpoint, str], MethodAnswer]
"""Makes the method's answer of an integration's; the text is what selection patterns are compared with."""


def compile_incoming(method: Method, is_binary: IsBinary) -> Finish:
    """How answers of the method's integration become the method's.  Refused where none fits: 500."""
    assert method.integration is not None
    choices = [_choice(response) for response in method.integration.integration_responses.values()]
    known = frozenset(method.method_responses)

    def finish(call: Call, endpoint: Endpoint, selector: str) -> MethodAnswer:
        choice = select(choices, selector)
        if choice is None:
            raise misconfigured(
                "No match for output mapping and no default output mapping configured. "
                f"Endpoint Response Status Code: {endpoint.status}"
            )
        response = choice.response
        if response.status_code not in known:
            raise misconfigured(
                f"Output mapping refers to an invalid method response: {response.status_code}"
            )
        accept = call.headers.get("accept")
        body = response_body(
            endpoint.body,
            binary=is_binary(value_of(endpoint.headers, "content-type") or ""),
            wanted=is_binary(accept[0] if accept else ""),
            handling=response.content_handling,
        )
        mapped = choice.mapping(call, Endpoint(endpoint.status, endpoint.headers, body))
        name = choice.templates.for_response(accept)
        if name is not None:
            body = choice.templates.render(name, call, body)
        override = call.overrides or NOTHING
        headers = list(texts(replaced(mapped, override.response_header)).items())
        status = status_of(override.status) or int(response.status_code)
        wrong = odd(key for key, _ in headers)
        if wrong is not None or status < STATUS_MIN:
            raise misconfigured(
                f"Invalid {'status code' if wrong is None else 'header name'} in the response"
            )
        if not any(key.lower() == "content-type" for key, _ in headers):
            headers.insert(0, ("Content-Type", JSON if name is None or name == "$default" else name))
        return MethodAnswer(status, returned(headers), body)

    return finish


def select(choices: list[_Choice], selector: str) -> _Choice | None:
    """The first whose pattern is the whole selector's; else the one for all others."""
    for choice in choices:
        if choice.matches is not None and choice.matches(selector):
            return choice
    return next((choice for choice in choices if choice.matches is None), None)


def _choice(response: IntegrationResponse) -> _Choice:
    pattern = response.selection_pattern
    return _Choice(
        _matcher(pattern) if pattern else None,
        response,
        mappings.compile_response(response.response_parameters),
        Templates(response.response_templates),
    )


def _matcher(pattern: str) -> Matches:
    """The pattern as Java's `matches` has it; one that cannot be compiled is only equal to itself."""
    made = compile_pattern(pattern)
    return made if made is not None else pattern.__eq__


def status_of(value: int | None) -> int:
    """A status that a template set; 0 when it is none (which AWS ignores)."""
    return value if value is not None and STATUS_MIN <= value < 600 else 0
