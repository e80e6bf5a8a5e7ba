"""Finding what an operation names, with AWS's sentence where it is not there."""

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import Authorizer, Integration, Method, Resource
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.key_model import UsagePlan
from cumulo.services.apigateway.model import Api, Deployment, Stage
from cumulo.services.apigateway.records import Records
from cumulo.state.store import join_key
from cumulo.wire.service import Values


def owner_of(caller: Caller) -> str:
    """The index value of what an account has in a region."""
    return join_key(caller.account, caller.region)


def api_key(caller: Caller, api_id: str) -> str:
    """The key of an API."""
    return join_key(caller.account, caller.region, api_id)


def find_api(records: Records, caller: Caller, values: Values) -> Api | None:
    """The API, or None."""
    return records.apis.get(api_key(caller, values["restApiId"]))


def api_of(records: Records, caller: Caller, values: Values) -> Api:
    """The API.  NotFoundException."""
    found = find_api(records, caller, values)
    if found is None:
        raise refusals.unknown_api(caller.account, values["restApiId"])
    return found


def resource_of(records: Records, caller: Caller, values: Values) -> tuple[Api, Resource]:
    """An API and its resource; AWS says the same of an API that is not there."""
    api = find_api(records, caller, values)
    found = find_resource(api, values["resourceId"]) if api is not None else None
    if api is None or found is None:
        raise refusals.unknown("Resource")
    return api, found


def find_resource(api: Api, resource_id: str) -> Resource | None:
    """A resource by its id, or None."""
    return next((one for one in api.definition.resources if one.id == resource_id), None)


def method_of(records: Records, caller: Caller, values: Values) -> tuple[Api, Resource, Method]:
    """An API, its resource and the method.  NotFoundException."""
    api, resource = resource_of(records, caller, values)
    method = resource.methods.get(values["httpMethod"])
    if method is None:
        raise refusals.unknown("Method")
    return api, resource, method


def integration_of(
    records: Records, caller: Caller, values: Values
) -> tuple[Api, Resource, Method, Integration]:
    """The same with the method's integration."""
    api, resource, method = method_of(records, caller, values)
    if method.integration is None:
        raise refusals.unknown("Integration")
    return api, resource, method, method.integration


def deployment_of(records: Records, caller: Caller, values: Values) -> Deployment:
    """A deployment.  NotFoundException."""
    found = records.deployments.get(
        join_key(caller.account, caller.region, values["restApiId"], values["deploymentId"])
    )
    if found is None:
        raise refusals.unknown("Deployment")
    return found


def stage_of(records: Records, caller: Caller, values: Values) -> Stage:
    """A stage.  NotFoundException."""
    found = records.stages.get(
        join_key(caller.account, caller.region, values["restApiId"], values["stageName"])
    )
    if found is None:
        raise refusals.unknown("Stage")
    return found


def authorizer_of(records: Records, caller: Caller, values: Values) -> tuple[Api, Authorizer]:
    """An API and its authorizer.  NotFoundException."""
    api = find_api(records, caller, values)
    found = api.definition.authorizers.get(values["authorizerId"]) if api is not None else None
    if api is None or found is None:
        raise refusals.unknown("Authorizer")
    return api, found


def plan_of(records: Records, caller: Caller, values: Values) -> UsagePlan:
    """A usage plan.  NotFoundException."""
    found = records.usage_plans.get(join_key(caller.account, caller.region, values["usagePlanId"]))
    if found is None:
        raise refusals.not_found("Invalid Usage Plan ID specified")
    return found
