"""Changing parts of a frozen API: the same API with another resource, method or named thing."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from cumulo.gateway.definitions.rest import Integration, Method, Resource
from cumulo.services.apigateway.model import Api

T = TypeVar("T")
replace = msgspec.structs.replace


def redefined(api: Api, **members: Any) -> Api:
    """The API with other members of its definition."""
    return replace(api, definition=replace(api.definition, **members))


def with_resource(api: Api, resource: Resource) -> Api:
    """The API with a resource in place of the one with its id."""
    resources = tuple(resource if one.id == resource.id else one for one in api.definition.resources)
    return redefined(api, resources=resources)


def with_method(api: Api, resource: Resource, method: Method) -> Api:
    """The API with a method in place of the one with its name."""
    return with_resource(api, replace(resource, methods=put_in(resource.methods, method.http_method, method)))


def with_integration(api: Api, resource: Resource, method: Method, integration: Integration | None) -> Api:
    """The API with another integration (or none) of a method."""
    return with_method(api, resource, replace(method, integration=integration))


def put_in(have: Mapping[str, T], key: str, one: T) -> dict[str, T]:
    """A mapping with one more entry, or another."""
    return {**have, key: one}


def without(have: Mapping[str, T], key: str) -> dict[str, T]:
    """A mapping without an entry."""
    return {name: one for name, one in have.items() if name != key}
