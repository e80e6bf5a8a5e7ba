"""The resources of an API: a tree of path parts."""

from cumulo.base.caller import Caller
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.rest import Resource
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import redefined, replace
from cumulo.services.apigateway.finding import api_of, find_api, find_resource, resource_of
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.naming import new_id
from cumulo.services.apigateway.patches import Field, Patch, Table
from cumulo.services.apigateway.quotas import RESOURCES_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.resource_rules import below, check_place, child_path, moved
from cumulo.services.apigateway.views import resource_view
from cumulo.wire.service import Operation, Values


class Resources:
    """The operations on resources."""

    def __init__(self, records: Records, ids: Ids) -> None:
        self._records = records
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateResource": Operation(self.create),
            "GetResource": Operation(self.get),
            "GetResources": Operation(self.get_all),
            "UpdateResource": Operation(self.update),
            "DeleteResource": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateResource."""
        api = find_api(self._records, caller, values)
        parent = find_resource(api, values["parentId"]) if api is not None else None
        if api is None or parent is None:
            raise refusals.unknown("Resource")
        part = values["pathPart"]
        check_place(api, "", parent, part)
        if len(api.definition.resources) >= RESOURCES_MAX:
            raise refusals.too_many("resources")
        resource = Resource(
            id=new_id(self._ids), parent_id=parent.id, path_part=part, path=child_path(parent, part)
        )
        self._records.apis.put(redefined(api, resources=(*api.definition.resources, resource)))
        await self._records.store.commit()
        return resource_view(resource, methods=False)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetResource."""
        _, resource = resource_of(self._records, caller, values)
        return resource_view(resource, methods="methods" in values.get("embed", ()))

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetResources."""
        api = api_of(self._records, caller, values)
        whole = "methods" in values.get("embed", ())
        return listed(
            api.definition.resources,
            lambda one: one.path,
            values,
            lambda one: resource_view(one, methods=whole),
        )

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateResource."""
        api, resource = resource_of(self._records, caller, values)
        state = _PATCHES.apply((api, resource), values.get("patchOperations"))
        self._records.apis.put(state[0])
        await self._records.store.commit()
        return resource_view(state[1], methods=False)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteResource, with all under it."""
        api, resource = resource_of(self._records, caller, values)
        if not resource.parent_id:
            raise refusals.bad_request("Root resource cannot be deleted.")
        gone = below(api, resource.id)
        kept = tuple(one for one in api.definition.resources if one.id not in gone)
        self._records.apis.put(redefined(api, resources=kept))
        await self._records.store.commit()
        return {}


_State = tuple[Api, Resource]


def _move(state: _State, patch: Patch) -> _State:
    api, resource = state
    name = patch.path.strip("/")
    if not resource.parent_id:
        raise refusals.bad_request(f"Root resource cannot update its {name}.")
    parent = find_resource(api, patch.text if name == "parentId" else resource.parent_id)
    if parent is None:
        raise refusals.unknown("Resource")
    if parent.id in below(api, resource.id):
        raise refusals.bad_request("Resources cannot be cyclical.")
    part = patch.text if name == "pathPart" else resource.path_part
    check_place(api, resource.id, parent, part)
    api = moved(api, replace(resource, parent_id=parent.id, path_part=part))
    found = find_resource(api, resource.id)
    assert found is not None
    return api, found


_PATCHES: Table[_State] = Table(
    Field("/parentId", ("replace",), _move), Field("/pathPart", ("replace",), _move), listed=True
)
