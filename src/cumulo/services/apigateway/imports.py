"""REST APIs from OpenAPI documents: new ones, and documents over what there is."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cumulo.base.arn import partition_of
from cumulo.base.caller import Caller
from cumulo.base.ids import Ids
from cumulo.services.apigateway import api_rules, refusals
from cumulo.services.apigateway.changing import redefined, replace
from cumulo.services.apigateway.finding import api_of
from cumulo.services.apigateway.model import Api, DocumentationPart
from cumulo.services.apigateway.naming import checked_tags, new_id
from cumulo.services.apigateway.quotas import DOCUMENTATION_PARTS_MAX, MODELS_MAX, RESOURCES_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.rest_apis import RestApis
from cumulo.services.apigateway.views import api_view
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

if TYPE_CHECKING:  # documents are read late: nothing of OpenAPI is imported before somebody has one
    from cumulo.gateway.openapi.documentation import Part
    from cumulo.gateway.openapi.notes import Notes
    from cumulo.gateway.openapi.rest.reading import RestImport

PATH_CHARACTERS_MAX: Final = 10_240  # no request has a longer one
_INLINE_BYTES: Final = 64 * 1024
_MERGE: Final = "merge"


class Imports:
    """The operations that read documents."""

    def __init__(self, records: Records, rest_apis: RestApis, ids: Ids) -> None:
        self._records = records
        self._rest_apis = rest_apis
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "ImportRestApi": Operation(self.import_rest_api),
            "PutRestApi": Operation(self.put_rest_api),
            "ImportDocumentationParts": Operation(self.import_documentation_parts),
        }

    async def import_rest_api(self, caller: Caller, values: Values) -> Values | None:
        """ImportRestApi: a new API, with nothing but what the document says."""
        root = await _root(caller, values["body"])
        parameters: Mapping[str, str] = values.get("parameters", {})
        title = root["info"].get("title") if isinstance(root.get("info"), dict) else None
        given = {"name": str(title or ""), "endpointConfiguration": _endpoints(parameters)}
        new = self._rest_apis.made(caller, given)
        api = await self._put(caller, redefined(new, models={}), root, values, merge=False)
        return api_view(api, tags=False)

    async def put_rest_api(self, caller: Caller, values: Values) -> Values | None:
        """PutRestApi: a document merged into an API, or in place of what it has."""
        api_of(self._records, caller, values)
        root = await _root(caller, values["body"])
        api = api_of(self._records, caller, values)
        merge = (values.get("mode") or _MERGE) == _MERGE
        return api_view(await self._put(caller, api, root, values, merge=merge), tags=True)

    async def import_documentation_parts(self, caller: Caller, values: Values) -> Values | None:
        """ImportDocumentationParts: the documentation of a document, beside or in place of what is said already."""
        from cumulo.gateway.openapi.documentation import read_documentation
        from cumulo.gateway.openapi.notes import Notes

        api_of(self._records, caller, values)
        root = await _root(caller, values["body"])
        api = api_of(self._records, caller, values)
        notes = Notes()
        parts = read_documentation(root, notes)
        notes.settle(fail_on_warnings=bool(values.get("failOnWarnings")))
        merge = (values.get("mode") or _MERGE) == _MERGE
        kept = self._put_parts(api, parts, merge=merge)
        await self._records.store.commit()
        return {"ids": [one.id for one in kept], "warnings": notes.warnings}

    # -- help ------------------------------------------------------------------------------------------------

    async def _put(
        self, caller: Caller, api: Api, root: Mapping[str, Any], values: Values, *, merge: bool
    ) -> Api:
        from cumulo.gateway.openapi.notes import Notes
        from cumulo.services.apigateway.import_checks import checked_import

        notes = Notes()
        parameters: Mapping[str, str] = values.get("parameters", {})
        read = self._read(api, root, parameters.get("basepath", "ignore"), notes, merge=merge)
        made = self._changed(api, read, merge=merge)
        api_rules.check_name(made.definition.name)
        made = checked_import(made, lambda link: self._knows_link(caller, link), notes)
        notes.settle(fail_on_warnings=bool(values.get("failOnWarnings")))
        made = replace(made, warnings=tuple(notes.warnings))
        self._records.apis.put(made)
        if read.parts and "documentation" not in parameters.get("ignore", "").split(","):
            self._put_parts(made, read.parts, merge=merge)
        await self._records.store.commit()
        return made

    def _read(
        self, api: Api, root: Mapping[str, Any], base_path: str, notes: "Notes", *, merge: bool
    ) -> "RestImport":
        from cumulo.gateway.openapi.documents import document_of
        from cumulo.gateway.openapi.rest.reading import read_rest

        document = document_of(root, notes)
        _check_paths(document.paths)
        if len(document.schemas) > MODELS_MAX:
            raise refusals.too_many("models")
        return read_rest(
            document, api.definition, lambda: new_id(self._ids), notes, merge=merge, base_path=base_path
        )

    def _changed(self, api: Api, read: "RestImport", *, merge: bool) -> Api:
        """The API with what a document says of it as a whole."""
        made = replace(
            api,
            definition=read.definition,
            description=read.description or (api.description if merge else None),
            version=read.version or (api.version if merge else ""),
            security_policy=read.security_policy or api.security_policy,
            endpoint_access_mode=read.endpoint_access_mode or api.endpoint_access_mode,
            vpc_endpoint_ids=read.vpc_endpoint_ids or api.vpc_endpoint_ids,
            tags=checked_tags(read.tags, api.tags),
        )
        return api_rules.settled(api, made)

    def _knows_link(self, caller: Caller, link: str) -> bool:
        return self._records.vpc_links.get(join_key(caller.account, caller.region, link)) is not None

    def _put_parts(self, api: Api, parts: Iterable["Part"], *, merge: bool) -> list[DocumentationPart]:
        """Keep documentation parts; one that is there already of the same location keeps its id."""
        shelf = self._records.documentation_parts
        have: dict[tuple[str, ...], DocumentationPart] = {
            (one.type, one.path, one.method, one.status_code, one.name): one
            for one in shelf.by("api", api.key)
        }
        wanted = {part.location: part for part in parts}
        if len(wanted) + (len(have.keys() - wanted.keys()) if merge else 0) > DOCUMENTATION_PARTS_MAX:
            raise refusals.too_many("documentation parts")
        for location in () if merge else have.keys() - wanted.keys():
            shelf.delete(have[location])
        kept = []
        for location, part in wanted.items():
            before = have.get(location)
            one = DocumentationPart(
                account=api.definition.account,
                region=api.definition.region,
                api_id=api.id,
                id=before.id if before is not None else new_id(self._ids),
                type=part.type,
                properties=part.properties,
                path=part.path,
                method=part.method,
                status_code=part.status_code,
                name=part.name,
            )
            kept.append(shelf.put(one))
        return kept


async def _root(caller: Caller, body: bytes) -> dict[str, Any]:
    """The document in a body, with AWS's variables filled in; a long one is read beside the loop."""
    from cumulo.gateway.openapi.texts import read

    for name, value in (
        (b"${AWS::AccountId}", caller.account),
        (b"${AWS::Partition}", partition_of(caller.region)),
        (b"${AWS::Region}", caller.region),
    ):
        body = body.replace(name, value.encode())
    return read(body) if len(body) <= _INLINE_BYTES else await asyncio.to_thread(read, body)


def _endpoints(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The endpoint configuration in the parameters of an import."""
    found: dict[str, Any] = {}
    types = parameters.get("endpointConfigurationTypes", "")
    if types:
        found["types"] = [api_rules.endpoint_types_of(one.strip())[0] for one in types.split(",")]
    ids = parameters.get("endpointConfigurationVpcEndpointIds", "")
    if ids:
        found["vpcEndpointIds"] = [one.strip() for one in ids.split(",")]
    addresses = parameters.get("endpointConfigurationIpAddressType", "")
    if addresses:
        found["ipAddressType"] = api_rules.choice("IpAddressType", "ipv4", "dualstack")(addresses)
    return found


def _check_paths(paths: Iterable[str]) -> None:
    """AwsError when they need more resources than an API has, before those are made."""
    places: set[str] = set()
    for path in paths:
        if len(path) > PATH_CHARACTERS_MAX:
            raise refusals.bad_request(f"Unable to create resource at path '{path[:200]}...': it is too long")
        at = ""
        for part in path.split("/"):
            if part:
                at += "/" + part
                places.add(at)
            if len(places) >= RESOURCES_MAX:  # the root is one, too
                raise refusals.too_many("resources")
