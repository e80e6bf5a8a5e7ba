"""An API's contents as a whole: what exports read, and what imports put in its place."""

import msgspec

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import RestDefinition
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.finding import api_key
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.quotas import RESOURCES_MAX
from cumulo.services.apigateway.records import Records


class Contents:
    """Reads and replaces the definitions of APIs."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def definition_of(self, caller: Caller, api_id: str) -> RestDefinition:
        """The working copy.  NotFoundException."""
        return self._api(caller, api_id).definition

    async def replace_contents(self, caller: Caller, api_id: str, definition: RestDefinition) -> None:
        """Put another definition in place of the API's, in one transaction; durable when it returns.

        Its id, account and region stay the API's own.  What stages point to are deployments: nothing changes for callers.
        """
        api = self._api(caller, api_id)
        if len(definition.resources) > RESOURCES_MAX:
            raise refusals.too_many("resources")
        own = msgspec.structs.replace(
            definition, api_id=api.id, account=api.definition.account, region=api.definition.region
        )
        self._records.apis.put(msgspec.structs.replace(api, definition=own))
        await self._records.store.commit()

    def _api(self, caller: Caller, api_id: str) -> Api:
        found = self._records.apis.get(api_key(caller, api_id))
        if found is None:
            raise refusals.unknown_api(caller.account, api_id)
        return found
