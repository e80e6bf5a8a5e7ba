"""Models of messages: a route may say which JSON Schema a message must keep to."""

from collections.abc import Callable

from cumulo.gateway.definitions import rest
from cumulo.gateway.definitions.v2 import Route, V2Definition
from cumulo.gateway.visit import Refused
from cumulo.gateway.websocket.expressions import selection
from cumulo.gateway.websocket.turn import Turn

Check = Callable[[Turn], None]

DEFAULT = "$default"


def compile_models(definition: V2Definition, route: Route) -> Check | None:
    """Refuses messages that are wrong; None when a route asks for nothing.  A message that no model is for is wrong."""
    if not route.model_selection_expression:
        return None
    from cumulo.gateway.rest.models import Models

    models = Models(_as_rest(definition))
    names = {model.id: model.name for model in definition.models.values()}
    select = selection(route.model_selection_expression)
    chosen = {key: names.get(name, name) for key, name in route.request_models.items()}

    def check(turn: Turn) -> None:
        name = chosen.get(select(turn, None) or DEFAULT) or chosen.get(DEFAULT)
        faults = ["No model matches"] if name is None else models.check(name)(turn.body)
        if faults:
            raise Refused(
                "BAD_REQUEST_BODY",
                "Bad request body",
                fields={"validationErrorString": f"[{', '.join(faults)}]"},
            )

    return check


def _as_rest(definition: V2Definition) -> rest.RestDefinition:
    """The models as REST APIs have them: they are the same schemas, and refer to one another in the same way."""
    models = {
        model.name: rest.Model(
            id=model.id, name=model.name, content_type=model.content_type, schema=model.schema
        )
        for model in definition.models.values()
    }
    return rest.RestDefinition(
        api_id=definition.api_id, account=definition.account, region=definition.region, models=models
    )
