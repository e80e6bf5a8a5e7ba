"""What a client gets when the gateway itself refuses: AWS's gateway responses, or those that the API's owner wrote.

Their templates are no VTL: only simple references are filled in.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cumulo.gateway.definitions.rest import GatewayResponse
from cumulo.gateway.refusals import KINDS, SPACED
from cumulo.gateway.rest.call import headers_of, query_of
from cumulo.gateway.rest.headers import Pairs, clean
from cumulo.gateway.rest.integration_response import STATUS_MIN
from cumulo.gateway.rest.payloads import JSON, media_type
from cumulo.gateway.visit import Refused, Visit

_REFERENCE: Final = re.compile(
    r"\$(?:\{(?P<braced>(?:context|stageVariables|method\.request)[\w.-]*)\}"
    r"|(?P<bare>(?:context|stageVariables|method\.request)(?:\.\w[\w-]*)+))"
)
_CAPITAL: Final = frozenset({"ACCESS_DENIED"})  # whose default body says "Message"
_NOT_CUSTOMIZED: Final = frozenset({"REQUEST_TOO_LARGE"})


class GatewayResponses:
    """The gateway responses of a deployment."""

    def __init__(self, own: Mapping[str, GatewayResponse]) -> None:
        self._own = own

    def answer(
        self, refused: Refused, visit: Visit, variables: Mapping[str, str], path: Mapping[str, str]
    ) -> tuple[int, Pairs, bytes]:
        """Status, headers and body; the visit's `$context.error` says what it was."""
        kind = KINDS.get(refused.kind) or KINDS["DEFAULT_5XX"]
        own = self._custom(refused.kind, kind.status)
        message = refused.message if refused.message is not None else kind.message
        error = visit.context["error"] = {
            "message": message,
            "messageString": msgspec.json.encode(message).decode(),
            "responseType": refused.kind,
            **refused.fields,
        }
        status = getattr(refused, "status", 0) or kind.status
        error_type = refused.error_type or kind.error_type
        headers: Pairs = [("Content-Type", JSON), ("x-amzn-ErrorType", error_type)]
        for name, value in refused.headers.items():
            _put(headers, name, clean(value))
        if own is None:
            word = "Message" if refused.kind in _CAPITAL else "message"
            blank = " " if refused.kind in SPACED else ""
            return status, headers, f'{{"{word}":{blank}{error["messageString"]}}}'.encode()
        scope = _Scope(visit, variables, path)
        if own.status_code and int(own.status_code) >= STATUS_MIN:
            status = int(own.status_code)
        content_type, template = _template(own, visit)
        headers[0] = ("Content-Type", content_type)
        for target, source in own.response_parameters.items():
            text = scope.source(source)
            if text:
                _put(headers, target.removeprefix("gatewayresponse.header."), clean(text))
        return status, headers, scope.fill(template).encode()

    def _custom(self, kind: str, status: int) -> GatewayResponse | None:
        if kind in _NOT_CUSTOMIZED:
            return None
        own = self._own.get(kind)
        return own if own is not None else self._own.get("DEFAULT_5XX" if status >= 500 else "DEFAULT_4XX")


def _template(own: GatewayResponse, visit: Visit) -> tuple[str, str]:
    """The content type and the template that fit the client's Accept header; JSON else."""
    templates = own.response_templates
    if not templates:
        return JSON, '{"message":$context.error.messageString}'
    for entry in visit.request.headers.get("accept").split(",")[:16]:
        wanted = media_type(entry)
        if wanted in templates:
            return wanted, templates[wanted]
    if JSON in templates:
        return JSON, templates[JSON]
    return next(iter(templates.items()))


class _Scope:
    """What gateway responses can refer to."""

    def __init__(self, visit: Visit, variables: Mapping[str, str], path: Mapping[str, str]) -> None:
        self._visit = visit
        self._variables = variables
        self._path = path

    def fill(self, template: str) -> str:
        """The template with its references replaced; one that leads nowhere becomes nothing."""
        return _REFERENCE.sub(lambda found: self.value(found["braced"] or found["bare"]), template)

    def source(self, text: str) -> str:
        """The right side of a response parameter."""
        if len(text) > 1 and text.startswith("'") and text.endswith("'"):
            return text[1:-1]
        return self.value(text)

    def value(self, reference: str) -> str:
        """context.a.b, stageVariables.x, method.request.(header|querystring|path).x."""
        head, _, rest = reference.partition(".")
        if head == "context":
            return _text(_dig(self._visit.context, rest))
        if head == "stageVariables":
            return self._variables.get(rest, "")
        place, _, name = rest.removeprefix("request.").partition(".")
        if place == "path":
            return self._path.get(name, "")
        if place == "querystring":
            return (query_of(self._visit.request.query).get(name) or [""])[-1]
        return (headers_of(self._visit.request.headers).get(name.lower()) or [""])[-1]


def _dig(data: Any, steps: str) -> Any:
    for step in steps.split("."):
        if not isinstance(data, Mapping):
            return None
        data = data.get(step)
    return data


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _put(headers: Pairs, name: str, value: str) -> None:
    """A header, in place of one that is there."""
    lower = name.lower()
    for at, (key, _) in enumerate(headers):
        if key.lower() == lower:
            headers[at] = (name, value)
            return
    headers.append((name, value))
