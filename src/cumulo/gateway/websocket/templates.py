"""Mapping templates of integrations that are no proxy: which one is for a message, and what it says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from cumulo.gateway.websocket.expressions import Source, selection
from cumulo.gateway.websocket.turn import Reply, Turn, Unanswered

if TYPE_CHECKING:
    from cumulo.gateway.vtl.template import Template

DEFAULT: Final = "$default"


class Templates:
    """Templates by the key that `expression` makes; compiled when first used."""

    def __init__(self, texts: Mapping[str, str], expression: str) -> None:
        self._texts = texts
        self._select: Source | None = selection(expression) if expression else None
        self._compiled: dict[str, Template] = {}

    def __bool__(self) -> bool:
        return bool(self._texts)

    def choose(self, turn: Turn, reply: Reply | None) -> str | None:
        """The key of the template; None when there is none for this."""
        key = self._select(turn, reply) if self._select is not None else None
        if key is not None and key in self._texts:
            return key
        return DEFAULT if DEFAULT in self._texts else None

    def render(self, key: str, turn: Turn, body: bytes) -> bytes:
        """What the template says of a body.  Unanswered: 500."""
        from cumulo.gateway.vtl.errors import TemplateError
        from cumulo.gateway.vtl.scope import Scope
        from cumulo.gateway.vtl.template import compile_template

        scope = Scope(
            body=body,
            querystring={name: values[-1] for name, values in turn.query.items()},
            header={name: values[-1] for name, values in turn.headers.items()},
            context=turn.context,
            stage_variables=turn.variables,
        )
        try:
            template = self._compiled.get(key)
            if template is None:
                template = self._compiled[key] = compile_template(self._texts[key])
            return template.render(scope).text.encode()
        except TemplateError as fault:
            turn.context.setdefault("integration", {})["error"] = f"Unable to transform: {fault}"
            raise Unanswered(500, kind="API_CONFIGURATION_ERROR") from None
