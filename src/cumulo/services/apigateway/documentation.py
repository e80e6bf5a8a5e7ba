"""The documentation of APIs: parts that are being written, and versions of them all."""

import json
import re
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import not_implemented
from cumulo.base.ids import Ids
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.finding import api_of
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import DocumentationPart, DocumentationVersion
from cumulo.services.apigateway.naming import new_id
from cumulo.services.apigateway.patches import Table, value
from cumulo.services.apigateway.quotas import DOCUMENTATION_PARTS_MAX, DOCUMENTATION_VERSIONS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import filled
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

_STATUS: Final = re.compile(r"([1-5]\d\d)|\*")


class Documentation:
    """The operations on documentation parts and versions."""

    def __init__(self, records: Records, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateDocumentationPart": Operation(self.create_part),
            "GetDocumentationPart": Operation(self.get_part),
            "GetDocumentationParts": Operation(
                self.list_parts, note="locationStatus UNDOCUMENTED is refused"
            ),
            "UpdateDocumentationPart": Operation(self.update_part),
            "DeleteDocumentationPart": Operation(self.delete_part),
            "CreateDocumentationVersion": Operation(self.create_version),
            "GetDocumentationVersion": Operation(self.get_version),
            "GetDocumentationVersions": Operation(self.list_versions),
            "UpdateDocumentationVersion": Operation(self.update_version),
            "DeleteDocumentationVersion": Operation(self.delete_version),
        }

    # -- parts -----------------------------------------------------------------------------------------------

    async def create_part(self, caller: Caller, values: Values) -> Values | None:
        """CreateDocumentationPart."""
        api = api_of(self._records, caller, values)
        have = self._records.documentation_parts.by("api", api.key)
        if len(have) >= DOCUMENTATION_PARTS_MAX:
            raise refusals.too_many("documentation parts")
        where = values["location"]
        part = DocumentationPart(
            account=caller.account,
            region=caller.region,
            api_id=api.id,
            id=new_id(self._ids),
            type=where["type"],
            properties=_properties(values["properties"]),
            path=where.get("path", ""),
            method=where.get("method", ""),
            status_code=where.get("statusCode", ""),
            name=where.get("name", ""),
        )
        if part.status_code and not _STATUS.fullmatch(part.status_code):
            raise refusals.bad_request("Invalid documentation part location: the status code is none")
        if any(_location(one) == _location(part) for one in have):
            raise refusals.conflict("Documentation part already exists for the specified location")
        return await self._keep(part)

    async def get_part(self, caller: Caller, values: Values) -> Values | None:
        """GetDocumentationPart."""
        return part_view(self._part(caller, values))

    async def list_parts(self, caller: Caller, values: Values) -> Values | None:
        """GetDocumentationParts, maybe of one type, path, or whose names hold `nameQuery`."""
        api = api_of(self._records, caller, values)
        if values.get("locationStatus") == "UNDOCUMENTED":
            raise not_implemented("apigateway", "GetDocumentationParts", "locationStatus UNDOCUMENTED")
        found = [
            one
            for one in self._records.documentation_parts.by("api", api.key)
            if values.get("type") in (None, one.type)
            and values.get("path") in (None, one.path)
            and values.get("nameQuery", "") in one.name
        ]
        return listed(found, lambda one: one.id, values, part_view)

    async def update_part(self, caller: Caller, values: Values) -> Values | None:
        """UpdateDocumentationPart."""
        part = self._part(caller, values)
        return await self._keep(_PART_PATCHES.apply(part, values.get("patchOperations")))

    async def delete_part(self, caller: Caller, values: Values) -> Values | None:
        """DeleteDocumentationPart."""
        api_of(self._records, caller, values)
        self._records.documentation_parts.delete(self._part(caller, values))
        await self._records.store.commit()
        return {}

    # -- versions --------------------------------------------------------------------------------------------

    async def create_version(self, caller: Caller, values: Values) -> Values | None:
        """CreateDocumentationVersion, maybe for a stage to name."""
        api = api_of(self._records, caller, values)
        have = self._records.documentation_versions.by("api", api.key)
        if len(have) >= DOCUMENTATION_VERSIONS_MAX:
            raise refusals.too_many("documentation versions")
        version = DocumentationVersion(
            account=caller.account,
            region=caller.region,
            api_id=api.id,
            version=values["documentationVersion"],
            created_at=self._clock.now(),
            parts=tuple(self._records.documentation_parts.by("api", api.key)),
            description=values.get("description"),
        )
        if any(one.version == version.version for one in have):
            raise refusals.conflict("Documentation version already exists for this API")
        name = values.get("stageName")
        stage = self._records.stages.get(join_key(api.key, name)) if name else None
        if name and stage is None:
            raise refusals.unknown("Stage")
        self._records.documentation_versions.put(version)
        if stage is not None:
            self._records.stages.put(replace(stage, documentation_version=version.version))
        await self._records.store.commit()
        return _version_view(version)

    async def get_version(self, caller: Caller, values: Values) -> Values | None:
        """GetDocumentationVersion."""
        return _version_view(self._version(caller, values))

    async def list_versions(self, caller: Caller, values: Values) -> Values | None:
        """GetDocumentationVersions."""
        api = api_of(self._records, caller, values)
        found = self._records.documentation_versions.by("api", api.key)
        return listed(found, lambda one: one.version, values, _version_view)

    async def update_version(self, caller: Caller, values: Values) -> Values | None:
        """UpdateDocumentationVersion."""
        version = _VERSION_PATCHES.apply(self._version(caller, values), values.get("patchOperations"))
        self._records.documentation_versions.put(version)
        await self._records.store.commit()
        return _version_view(version)

    async def delete_version(self, caller: Caller, values: Values) -> Values | None:
        """DeleteDocumentationVersion, unless a stage names it."""
        version = self._version(caller, values)
        for stage in self._records.stages.by("api", version.api):
            if stage.documentation_version == version.version:
                raise refusals.conflict(f"Documentation version is used by stage {stage.name}")
        self._records.documentation_versions.delete(version)
        await self._records.store.commit()
        return {}

    # -- help ------------------------------------------------------------------------------------------------

    def _part(self, caller: Caller, values: Values) -> DocumentationPart:
        key = join_key(caller.account, caller.region, values["restApiId"], values["documentationPartId"])
        found = self._records.documentation_parts.get(key)
        if found is None:
            raise refusals.unknown("Documentation part")
        return found

    async def _keep(self, part: DocumentationPart) -> Values:
        self._records.documentation_parts.put(part)
        await self._records.store.commit()
        return part_view(part)

    def _version(self, caller: Caller, values: Values) -> DocumentationVersion:
        key = join_key(caller.account, caller.region, values["restApiId"], values["documentationVersion"])
        found = self._records.documentation_versions.get(key)
        if found is None:
            raise refusals.unknown("Documentation version")
        return found


def part_view(part: DocumentationPart) -> Values:
    """A part as clients see it."""
    where = filled(
        type=part.type, path=part.path, method=part.method, statusCode=part.status_code, name=part.name
    )
    return {"id": part.id, "location": where, "properties": part.properties}


def _version_view(version: DocumentationVersion) -> Values:
    view = filled(version=version.version, description=version.description)
    return view | {"createdDate": int(version.created_at)}


def _location(part: DocumentationPart) -> tuple[str, ...]:
    return (part.type, part.path, part.method, part.status_code, part.name)


def _properties(text: str) -> str:
    if not text:
        raise refusals.bad_request("Documentation part properties must be non-empty")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise refusals.bad_request("Documentation part properties must be a JSON object")
    return text


_PART_PATCHES: Table[DocumentationPart] = Table(value("/properties", "properties", _properties), listed=True)
_VERSION_PATCHES: Table[DocumentationVersion] = Table(
    value("/description", "description", lambda text: text or None)
)
