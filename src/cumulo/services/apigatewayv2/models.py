"""Models: JSON Schemas for the messages of a WebSocket API."""

import json
import re
from typing import Any, Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import Model
from cumulo.services.apigatewayv2 import bounds, editing
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.model_templates import sample
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import Api
from cumulo.services.apigatewayv2.refusals import bad, conflict
from cumulo.wire.service import Operation, Values

_NAME: Final = re.compile(r"[A-Za-z0-9]+")


class Models:
    """The operations on models."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateModel": Operation(self.create),
            "GetModel": Operation(self.get),
            "GetModels": Operation(self.get_all),
            "GetModelTemplate": Operation(
                self.get_template, note="a sample of the same kind as AWS's, not always the same text"
            ),
            "UpdateModel": Operation(self.update),
            "DeleteModel": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make a model."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        if api.is_http:
            raise bad("Currently, Models are not permitted for APIs with a protocol type of HTTP")
        return await self._keep(api, _changed(Model(id=self._desk.new_id(), name=values["Name"]), values))

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show a model."""
        api = self._desk.api(caller, values)
        return view(editing.model_of(api.definition, values["ModelId"]))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show models."""
        api = self._desk.api(caller, values)
        return page(api.definition.models.values(), lambda one: one.id, view, values)

    async def get_template(self, caller: Caller, values: Values) -> Values:
        """Show a sample mapping template of a model."""
        api = self._desk.api(caller, values)
        return {"Value": sample(json.loads(editing.model_of(api.definition, values["ModelId"]).schema))}

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of a model."""
        bounds.check(values)
        api = self._desk.api(caller, values)
        return await self._keep(api, _changed(editing.model_of(api.definition, values["ModelId"]), values))

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete a model that no route names."""
        api = self._desk.api(caller, values)
        have = editing.model_of(api.definition, values["ModelId"])
        for route in api.definition.routes:
            named = {*route.request_models.values()}
            for response in route.route_responses.values():
                named |= {*response.response_models.values()}
            if have.name in named:
                raise conflict(
                    f"Cannot delete model '{have.name}', is referenced in route: {route.route_key}"
                )
        left = editing.without(api.definition.models, have.id)
        await self._desk.change(api, replace(api.definition, models=left))

    async def _keep(self, api: Api, made: Model) -> Values:
        _check(api, made)
        await self._desk.change(api, editing.with_model(api.definition, made))
        return view(made)


def view(one: Model) -> Values:
    """A model as AWS shows it."""
    return {
        "ContentType": one.content_type,
        "Description": one.description or None,
        "ModelId": one.id,
        "Name": one.name,
        "Schema": one.schema,
    }


def _check(api: Api, made: Model) -> None:
    if _NAME.fullmatch(made.name) is None:
        raise bad(f"Model name must be alphanumeric: {made.name}")
    for other in api.definition.models.values():
        if other.name == made.name and other.id != made.id:
            raise conflict("Model name already exists for this REST API")
    try:
        schema = json.loads(made.schema)
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        raise bad(
            "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified]"
        )


def _changed(have: Model, values: Values) -> Model:
    changes: dict[str, Any] = {}
    for name, member in (
        ("ContentType", "content_type"),
        ("Description", "description"),
        ("Name", "name"),
        ("Schema", "schema"),
    ):
        if values.get(name) is not None:
            changes[member] = values[name]
    if changes.get("content_type") == "":
        del changes["content_type"]
    return replace(have, **changes)
