"""Mapping templates of integrations: which one is for a request or an answer, and what it is rendered with."""

from collections.abc import Mapping
from typing import Final

from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import Failed, misconfigured
from cumulo.gateway.rest.payloads import JSON, media_type
from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.scope import Overrides, Scope
from cumulo.gateway.vtl.template import Template, compile_template

NOTHING: Final = Overrides()
_DEFAULT: Final = "$default"


class Templates:
    """Templates by content type; compiled when first used."""

    def __init__(self, texts: Mapping[str, str | None]) -> None:
        self._texts = {name: text for name, text in texts.items() if text is not None}
        self._kinds = {name: name for name in texts}
        self._compiled: dict[str, Template] = {}

    def __bool__(self) -> bool:
        return bool(self._texts)

    def for_request(self, content_type: str, passthrough: str) -> str | None:
        """The content type of the template for a request's body; None passes it through.  Failed: 415."""
        kind = media_type(content_type)
        for name in (kind, _DEFAULT):
            if name in self._texts:
                return name
        if passthrough == "NEVER" or (passthrough == "WHEN_NO_TEMPLATES" and self._kinds):
            raise Failed("UNSUPPORTED_MEDIA_TYPE")
        return None

    def for_response(self, accept: list[str] | None) -> str | None:
        """The content type of the template for an answer: the client's, else JSON, else the first."""
        if not self._texts:
            return None
        wanted = media_type(accept[-1]) if accept else JSON
        for name in (wanted, JSON):
            if name in self._texts:
                return name
        return next(iter(self._texts))

    def render(self, name: str, call: Call, body: bytes) -> bytes:
        """What the template says; what it overrides is in the call afterwards.

        Failed (500) when it cannot be rendered, or the body is no text: templates are never given bytes.
        """
        try:
            body.decode()
            template = self._compiled.get(name)
            if template is None:
                template = self._compiled[name] = compile_template(self._texts[name])
            rendering = template.render(scope_of(call, body))
        except UnicodeDecodeError:
            raise misconfigured("Unable to transform binary data") from None
        except TemplateError as fault:
            raise misconfigured(f"Unable to transform request: {fault}") from None
        call.overrides = rendering.overrides
        return rendering.text.encode("utf-8", "replace")


def scope_of(call: Call, body: bytes) -> Scope:
    """What templates read."""
    return Scope(
        body=body,
        path=call.path_parameters,
        querystring=call.single_query(),
        header=call.shown_headers(),
        context=call.context,
        stage_variables=call.variables,
        overrides=call.overrides or NOTHING,
    )
