"""Base path mappings: which REST API a custom domain name leads to, below which first segment of the path."""

from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.gateway.domains.desk import V1, DomainDesk
from cumulo.gateway.domains.model import REST, ApiMapping, DomainName
from cumulo.gateway.domains.refusals import mixed_kinds
from cumulo.gateway.domains.wishes import checked_path
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.domain_names import find_domain
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.patches import Field, Patch, Table
from cumulo.services.apigateway.views import filled
from cumulo.wire.service import Operation, Values

NONE = "(none)"


class BasePathMappings:
    """The operations."""

    def __init__(self, desk: DomainDesk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateBasePathMapping": Operation(self.create),
            "GetBasePathMapping": Operation(self.get),
            "GetBasePathMappings": Operation(self.list),
            "UpdateBasePathMapping": Operation(self.update),
            "DeleteBasePathMapping": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateBasePathMapping."""
        domain = find_domain(self._desk, caller, values)
        mapping = ApiMapping(
            domain=domain.key,
            id="",
            api_id=values["restApiId"],
            kind=REST,
            path=checked_path(values.get("basePath") or "", several=False),
            stage=_stage(values.get("stage") or ""),
        )
        self._check(caller, domain, mapping)
        return _view(await self._desk.map(domain, mapping, V1))

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetBasePathMapping."""
        return _view(self._find(caller, values)[1])

    async def list(self, caller: Caller, values: Values) -> Values | None:
        """GetBasePathMappings."""
        found = self._desk.mappings_of(find_domain(self._desk, caller, values))
        return listed(found, lambda one: one.path, values, _view)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateBasePathMapping."""
        domain, before = self._find(caller, values)
        mapping = _PATCHES.apply(before, values.get("patchOperations"))
        self._check(caller, domain, mapping)
        return _view(await self._desk.map(domain, mapping, V1))

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteBasePathMapping."""
        await self._desk.unmap(*self._find(caller, values))
        return {}

    def _find(self, caller: Caller, values: Values) -> tuple[DomainName, ApiMapping]:
        domain = find_domain(self._desk, caller, values)
        path = "" if values["basePath"] == NONE else values["basePath"]
        for mapping in self._desk.mappings_of(domain):
            if mapping.path == path:
                return domain, mapping
        raise refusals.unknown("base path mapping")

    def _check(self, caller: Caller, domain: DomainName, mapping: ApiMapping) -> None:
        """Whether there is such an API and stage, and nothing here that only the second version may mix with it."""
        book = self._desk.book
        kind = book.kind(caller.account, caller.region, mapping.api_id)
        if not kind:
            raise refusals.bad_request("Invalid REST API identifier specified")
        if kind != REST or any(one.kind != REST for one in self._desk.mappings_of(domain)):
            raise mixed_kinds()
        if mapping.stage and not book.has_stage(caller.account, caller.region, mapping.api_id, mapping.stage):
            raise refusals.bad_request("Invalid stage identifier specified")


def _view(mapping: ApiMapping) -> Values:
    return filled(basePath=mapping.path or NONE, restApiId=mapping.api_id, stage=mapping.stage)


def _stage(text: str) -> str:
    return "" if text == NONE else text


def _path(mapping: Any, patch: Patch) -> Any:
    return msgspec.structs.replace(mapping, path=checked_path(patch.text, several=False))


def _to_stage(mapping: Any, patch: Patch) -> Any:
    return msgspec.structs.replace(mapping, stage="" if patch.op == "remove" else _stage(patch.text))


def _to_api(mapping: Any, patch: Patch) -> Any:
    return msgspec.structs.replace(mapping, api_id=patch.text)


_PATCHES: Table[ApiMapping] = Table(
    Field("/basePath", ("add", "replace"), _path),
    Field("/basepath", ("add", "replace"), _path),
    Field("/stage", ("add", "replace", "remove"), _to_stage),
    Field("/restapiId", ("add", "replace"), _to_api),
    Field("/restApiId", ("add", "replace"), _to_api),
)
