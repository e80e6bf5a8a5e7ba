"""API Gateway's mapping templates.

    text ─parse─▶ statements ─compile─▶ Template ─render(Scope)─▶ Rendering (text, overrides)

A template is compiled once and rendered often.  It can reach nothing but its Scope, changes nothing of it, and
whatever it does is bounded (limits.py).  The language is Velocity 1.7 as API Gateway runs it: what is missing is an
empty text (and true), there are no macros, and unknown directives are printed.
"""

from typing import Any

from cumulo.gateway.java_regex.pattern import PatternError
from cumulo.gateway.jsonpath.errors import JsonPathError
from cumulo.gateway.vtl.compile import Compiler
from cumulo.gateway.vtl.errors import Broken, Stopped, TemplateError
from cumulo.gateway.vtl.evaluate import Run
from cumulo.gateway.vtl.overrides import make_context, read_overrides
from cumulo.gateway.vtl.parse import parse_template
from cumulo.gateway.vtl.scope import Rendering, Scope
from cumulo.gateway.vtl.state import Kept, State
from cumulo.gateway.vtl.things import Input, Util


class Template:
    """A compiled template; rendering it twice gives the same twice."""

    def __init__(self, text: str, run: Run) -> None:
        self.text = text
        self._run = run
        self._kept = Kept()

    def render(self, scope: Scope) -> Rendering:
        """The text for a request or an answer; TemplateError when the template fails or asks for too much."""
        variables = _Variables(scope)
        state = State(scope, self._kept, variables)
        try:
            self._run_to_end(state)
            context = variables.context
            overrides = scope.overrides if context is None else read_overrides(context, state.charge)
        except TemplateError as error:
            raise (error if error.line else error.at(self.text, state.at)) from None
        except (JsonPathError, PatternError) as error:
            raise TemplateError(str(error)).at(self.text, state.at) from error
        except RecursionError:
            raise TemplateError("The template nests values too deeply").at(self.text, state.at) from None
        return Rendering(text="".join(state.output), overrides=overrides)

    def _run_to_end(self, state: State) -> None:
        try:
            self._run(state)
        except (Stopped, Broken):
            return


class _Variables(dict[str, Any]):
    """What a template has set; $context and $stageVariables are made when they are first asked for."""

    __slots__ = ("_scope", "context")

    def __init__(self, scope: Scope) -> None:
        super().__init__(input=Input(), util=Util())
        self._scope = scope
        self.context: dict[str, Any] | None = None

    def __missing__(self, name: str) -> Any:
        if name == "context" and self.context is None:
            self.context = self[name] = make_context(self._scope)
            return self.context
        if name == "stageVariables":
            found = self[name] = dict(self._scope.stage_variables)
            return found
        return None


def compile_template(text: str) -> Template:
    """A template to render; TemplateError, with line and column, when it cannot be read."""
    try:
        text.encode()
        return Template(text, Compiler().block(parse_template(text)))
    except UnicodeEncodeError as error:
        raise TemplateError("A template has half of a character in it").at(text, error.start) from None
    except RecursionError:
        raise TemplateError("A template is nested too deeply") from None
