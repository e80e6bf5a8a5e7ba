"""Models: what bodies of requests and answers look like."""

from cumulo.base.caller import Caller
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.rest import Model
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import put_in, redefined, replace, without
from cumulo.services.apigateway.finding import api_of, find_api
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.naming import new_id
from cumulo.services.apigateway.patches import Table, value
from cumulo.services.apigateway.quotas import MODELS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.schemas import check_name, check_schema, flattened, references
from cumulo.services.apigateway.views import filled
from cumulo.wire.service import Operation, Values


class Models:
    """The operations on models."""

    def __init__(self, records: Records, ids: Ids) -> None:
        self._records = records
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateModel": Operation(self.create),
            "GetModel": Operation(self.get),
            "GetModels": Operation(self.get_all),
            "UpdateModel": Operation(self.update),
            "DeleteModel": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateModel."""
        api = api_of(self._records, caller, values)
        model = Model(
            id=new_id(self._ids),
            name=check_name(values["name"]),
            content_type=values["contentType"],
            description=values.get("description", ""),
            schema=values.get("schema", ""),
        )
        check_schema(api, model)
        if model.name in api.definition.models:
            raise refusals.conflict("Model name already exists for this REST API")
        if len(api.definition.models) >= MODELS_MAX:
            raise refusals.too_many("models")
        return await self._keep(api, model)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetModel, maybe with the models that it refers to inside of it."""
        api, model = self._find(caller, values)
        if values.get("flatten"):
            model = replace(model, schema=flattened(model, api.definition.models))
        return model_view(model)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetModels."""
        models = list(api_of(self._records, caller, values).definition.models.values())
        return listed(models, lambda one: one.name, values, model_view)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateModel."""
        api, model = self._find(caller, values)
        model = _PATCHES.apply(model, values.get("patchOperations"))
        check_schema(api, model)
        return await self._keep(api, model)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteModel, unless a method or another model refers to it."""
        api, model = self._find(caller, values)
        user = _user(api, model.name)
        if user:
            raise refusals.conflict(f"Cannot delete model '{model.name}', is referenced in {user}")
        self._records.apis.put(redefined(api, models=without(api.definition.models, model.name)))
        await self._records.store.commit()
        return {}

    def _find(self, caller: Caller, values: Values) -> tuple[Api, Model]:
        api = find_api(self._records, caller, values)
        model = api.definition.models.get(values["modelName"]) if api is not None else None
        if api is None or model is None:
            raise refusals.not_found(f"Invalid model name specified: {values['modelName']}")
        return api, model

    async def _keep(self, api: Api, model: Model) -> Values:
        self._records.apis.put(redefined(api, models=put_in(api.definition.models, model.name, model)))
        await self._records.store.commit()
        return model_view(model)


def model_view(model: Model) -> Values:
    """A model as clients see it."""
    return filled(
        id=model.id,
        name=model.name,
        description=model.description,
        contentType=model.content_type,
        schema=model.schema,
    )


def _user(api: Api, name: str) -> str:
    """Who refers to a model, in AWS's words; empty: nobody."""
    for resource in api.definition.resources:
        for method in resource.methods.values():
            where = f"{resource.path}/{method.http_method}"
            if name in method.request_models.values():
                return f"method request: {where}"
            for response in method.method_responses.values():
                if name in response.response_models.values():
                    return f"method response: {where}/{response.status_code}"
    for model in api.definition.models.values():
        if model.name != name and name in references(model.schema):
            return f"model: {model.name}"
    return ""


_PATCHES: Table[Model] = Table(value("/description", "description"), value("/schema", "schema"), listed=True)
