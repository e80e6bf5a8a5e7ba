"""API mappings: which API of any kind a custom domain name leads to, below which path."""

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.domains.desk import V2, DomainDesk
from cumulo.gateway.domains.model import ApiMapping, DomainName
from cumulo.gateway.domains.wishes import checked_path
from cumulo.services.apigatewayv2.domain_names import check_modern
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.refusals import bad, missing
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values


class ApiMappings:
    """The operations."""

    def __init__(self, desk: DomainDesk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateApiMapping": Operation(self.create),
            "GetApiMapping": Operation(self.get),
            "GetApiMappings": Operation(self.get_all),
            "UpdateApiMapping": Operation(self.update),
            "DeleteApiMapping": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make a mapping."""
        domain = self._desk.find(caller, values["DomainName"])
        check_modern(domain)
        mapping = ApiMapping(
            domain=domain.key,
            id="",
            api_id=values["ApiId"],
            kind="",
            path=checked_path(values.get("ApiMappingKey") or "", several=True),
            stage=values["Stage"],
        )
        return view(await self._desk.map(domain, self._checked(caller, mapping), V2))

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show a mapping."""
        return view(self._find(caller, values)[1])

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show mappings."""
        domain = self._desk.find(caller, values["DomainName"])
        return page(self._desk.mappings_of(domain), lambda one: one.id, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of a mapping."""
        domain, before = self._find(caller, values)
        check_modern(domain)
        mapping = replace(before, api_id=values["ApiId"], stage=values.get("Stage", before.stage))
        if "ApiMappingKey" in values:
            mapping = replace(mapping, path=checked_path(values["ApiMappingKey"], several=True))
        return view(await self._desk.map(domain, self._checked(caller, mapping), V2))

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete a mapping."""
        await self._desk.unmap(*self._find(caller, values))

    def _find(self, caller: Caller, values: Values) -> tuple[DomainName, ApiMapping]:
        domain = self._desk.find(caller, values["DomainName"])
        found = self._desk.records.mappings.get(join_key(domain.key, values["ApiMappingId"]))
        if found is None:
            raise missing("ApiMapping")
        return domain, found

    def _checked(self, caller: Caller, mapping: ApiMapping) -> ApiMapping:
        """The mapping with its API's kind.  BadRequestException when there is no such API or stage."""
        book = self._desk.book
        kind = book.kind(caller.account, caller.region, mapping.api_id)
        if not kind:
            raise bad("Invalid API identifier specified")
        if not book.has_stage(caller.account, caller.region, mapping.api_id, mapping.stage):
            raise bad("Invalid stage identifier specified")
        return replace(mapping, kind=kind)


def view(mapping: ApiMapping) -> Values:
    """A mapping, as clients see it."""
    return {
        "ApiId": mapping.api_id,
        "ApiMappingId": mapping.id,
        "ApiMappingKey": mapping.path,
        "Stage": mapping.stage,
    }
