"""A document as a REST API: a new one, or one that is merged into or written over what an API has."""

import json
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from cumulo.gateway.definitions.rest import (
    Authorizer,
    GatewayResponse,
    Model,
    RequestValidator,
    RestDefinition,
)
from cumulo.gateway.openapi.base_paths import parts_of, prefix_of
from cumulo.gateway.openapi.documentation import Part, read_documentation
from cumulo.gateway.openapi.documents import EXTENSION, Document
from cumulo.gateway.openapi.nodes import as_text, flag_at, number_at, object_at, text_at, texts_at
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import operations_of
from cumulo.gateway.openapi.rest.authorizers import Scheme, read_schemes
from cumulo.gateway.openapi.rest.methods import MethodsRead
from cumulo.gateway.openapi.rest.models import ModelsRead
from cumulo.gateway.openapi.rest.tree import ResourceTree
from cumulo.gateway.openapi.texts import Tree

VALIDATORS: Final = EXTENSION + "request-validators"
GATEWAY_RESPONSES: Final = EXTENSION + "gateway-responses"
BINARY_TYPES: Final = EXTENSION + "binary-media-types"
COMPRESSION: Final = EXTENSION + "minimum-compression-size"
KEY_SOURCE: Final = EXTENSION + "api-key-source"
POLICY: Final = EXTENSION + "policy"
SECURITY_POLICY: Final = EXTENSION + "security-policy"
ACCESS_MODE: Final = EXTENSION + "endpoint-access-mode"
NewId = Callable[[], str]
_T = TypeVar("_T", Authorizer, Model, RequestValidator)


class RestImport(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says of a REST API.

    definition   the API as it shall be
    description, version, security_policy, endpoint_access_mode   empty: nothing is said of it
    vpc_endpoint_ids, tags                                        the same
    parts        the documentation
    """

    definition: RestDefinition
    description: str = ""
    version: str = ""
    security_policy: str = ""
    endpoint_access_mode: str = ""
    vpc_endpoint_ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    parts: tuple[Part, ...] = ()


def read_rest(
    document: Document, have: RestDefinition, new_id: NewId, notes: Notes, *, merge: bool, base_path: str
) -> RestImport:
    """The API that a document describes, on top of what there is.

    merge: what there is stays unless the document says otherwise; else only its identity and endpoints, and the ids
    of what is named the same.  base_path: ignore, prepend, split.  BadRequestException for what is none.
    """
    root = document.root
    reading = _Reading(document, have, new_id, notes, merge=merge)
    definition = reading.definition(prefix_of(document.base_path, base_path))
    return RestImport(
        definition=definition,
        description=document.description,
        version=document.version,
        security_policy=text_at(root, SECURITY_POLICY, "", notes),
        endpoint_access_mode=text_at(root, ACCESS_MODE, "", notes),
        vpc_endpoint_ids=texts_at(document.endpoint, "vpcEndpointIds", "", notes),
        tags=document.tags,
        parts=read_documentation(root, notes),
    )


class _Reading:
    """Reads one document."""

    def __init__(
        self, document: Document, have: RestDefinition, new_id: NewId, notes: Notes, *, merge: bool
    ) -> None:
        self._document = document
        self._root = document.root
        self._have = have
        self._new_id = new_id
        self._notes = notes
        self._merge = merge

    def definition(self, prefix: str) -> RestDefinition:
        have, document, notes = self._have, self._document, self._notes
        schemes = read_schemes(document, self._id_by_name(have.authorizers), notes)
        authorizers = {
            one.authorizer.id: one.authorizer for one in schemes.values() if one.authorizer is not None
        }
        named = frozenset(have.models) if self._merge else frozenset[str]()
        models = ModelsRead(document, have.api_id, self._id_by_name(have.models), named, notes)
        validators = self._validators()
        resources = self._resources(prefix, models, schemes, validators)
        disabled = flag_at(document.endpoint, "disableExecuteApiEndpoint", "endpoint-configuration", notes)
        return msgspec.structs.replace(
            have,
            name=document.title or have.name,
            root_resource_id=resources[0].id,
            resources=resources,
            authorizers=self._over(have.authorizers, authorizers),
            models=self._over(have.models, models.models),
            request_validators=self._over(have.request_validators, validators),
            gateway_responses=self._over(have.gateway_responses, self._gateway_responses()),
            binary_media_types=self._binary_types(),
            minimum_compression_size=self._compression(),
            policy=self._policy(),
            api_key_source=self._key_source(),
            disable_execute_api_endpoint=have.disable_execute_api_endpoint if disabled is None else disabled,
        )

    def _over(self, have: Mapping[str, Tree], read: Mapping[str, Tree]) -> dict[str, Tree]:
        return {**have, **read} if self._merge else dict(read)

    def _id_by_name(self, have: Mapping[str, _T]) -> Callable[[str], str]:
        """Ids of what has names: the one that it has already, or a new one."""
        known = {one.name: one.id for one in have.values()}
        return lambda name: known.get(name) or self._new_id()

    # -- the tree ------------------------------------------------------------------------------------------------

    def _resources(
        self,
        prefix: str,
        models: ModelsRead,
        schemes: Mapping[str, Scheme],
        validators: Mapping[str, RequestValidator],
    ) -> tuple[Tree, ...]:
        known = {one.name: one for one in self._have.request_validators.values()} if self._merge else {}
        known |= {one.name: one for one in validators.values()}
        methods = MethodsRead(self._document, models, schemes, known, self._notes)
        tree = ResourceTree(self._have.resources, self._have.root_resource_id, self._new_id, keep=self._merge)
        for path, item in self._document.paths.items():
            if path.startswith("x-"):
                continue
            if not path.startswith("/"):
                self._notes.warn(f"Parse issue: attribute paths. Resource {path[:200]} should start with /")
                continue
            whole = "/" + "/".join(parts_of(prefix + path))
            resource = tree.grow(whole)
            operations = operations_of(self._document, path, item, self._notes)
            tree.put(whole, [methods.method(one, whole, resource.id) for one in operations])
        return tree.resources()

    # -- what is said of the whole -------------------------------------------------------------------------------

    def _validators(self) -> dict[str, RequestValidator]:
        id_of = self._id_by_name(self._have.request_validators)
        given = object_at(self._root, VALIDATORS, "", self._notes)
        found = {}
        for name in given:
            where = f"{VALIDATORS}.{name[:100]}"
            one = object_at(given, name, VALIDATORS, self._notes)
            validator = RequestValidator(
                id=id_of(name),
                name=name,
                validate_request_body=bool(flag_at(one, "validateRequestBody", where, self._notes)),
                validate_request_parameters=bool(
                    flag_at(one, "validateRequestParameters", where, self._notes)
                ),
            )
            found[validator.id] = validator
        return found

    def _gateway_responses(self) -> dict[str, GatewayResponse]:
        given = object_at(self._root, GATEWAY_RESPONSES, "", self._notes)
        found = {}
        for kind in given:
            where = f"{GATEWAY_RESPONSES}.{kind[:100]}"
            one = object_at(given, kind, GATEWAY_RESPONSES, self._notes)
            found[kind] = GatewayResponse(
                response_type=kind,
                status_code=text_at(one, "statusCode", where, self._notes),
                response_parameters=self._texts(one, "responseParameters", where),
                response_templates=self._texts(one, "responseTemplates", where),
            )
        return found

    def _texts(self, node: Mapping[str, Tree], name: str, where: str) -> dict[str, str]:
        given = object_at(node, name, where, self._notes)
        return {key: text_at(given, key, f"{where}.{name}", self._notes) for key in given}

    def _binary_types(self) -> tuple[str, ...]:
        given = texts_at(self._root, BINARY_TYPES, "", self._notes)
        have = self._have.binary_media_types if self._merge else ()
        return tuple(dict.fromkeys((*have, *given)))

    def _compression(self) -> int | None:
        given = number_at(self._root, COMPRESSION, "", self._notes)
        return self._have.minimum_compression_size if given is None and self._merge else given

    def _key_source(self) -> str:
        given = text_at(self._root, KEY_SOURCE, "", self._notes).upper()
        if given and given not in ("HEADER", "AUTHORIZER"):
            self._notes.parse_issue(KEY_SOURCE, f"`{given[:50]}` is not supported")
            given = ""
        return given or (self._have.api_key_source if self._merge else "HEADER")

    def _policy(self) -> str:
        """The policy as text; one that is no policy is found out where policies are checked."""
        given = self._root.get(POLICY)
        if given is None:
            return self._have.policy if self._merge else ""
        return as_text(given) or json.dumps(given)
