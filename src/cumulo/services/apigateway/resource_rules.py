"""What the resources of an API may be to one another.  Pure."""

import re
from typing import Final

from cumulo.gateway.definitions.rest import Resource
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import redefined, replace
from cumulo.services.apigateway.model import Api

_PART: Final = re.compile(r"[a-zA-Z0-9._:-]+|\{[a-zA-Z0-9._:-]+\+?\}")
_SENTENCE: Final = (
    "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and "
    "the end and an optional plus sign before the closing brace."
)


def is_variable(part: str) -> bool:
    """Whether a path part stands for anything."""
    return part.startswith("{")


def is_greedy(part: str) -> bool:
    """Whether a path part stands for all the rest."""
    return part.endswith("+}")


def check_place(api: Api, resource_id: str, parent: Resource, part: str) -> None:
    """AwsError when a resource (empty id: a new one) may not be there under the parent with this path part."""
    if not _PART.fullmatch(part):
        raise refusals.bad_request(_SENTENCE)
    if is_greedy(parent.path_part):
        raise refusals.bad_request(
            f"Cannot create a child of a resource with a greedy path variable: {parent.path_part}"
        )
    for sibling in api.definition.resources:
        if sibling.parent_id != parent.id or sibling.id == resource_id:
            continue
        if sibling.path_part == part:
            raise refusals.conflict(f"Another resource with the same parent already has this name: {part}")
        if is_variable(part) and is_variable(sibling.path_part):
            raise refusals.bad_request(
                f"A sibling ({sibling.path_part}) of this resource already has a variable path part -- only one is allowed"
            )
    if (
        resource_id
        and is_greedy(part)
        and any(one.parent_id == resource_id for one in api.definition.resources)
    ):
        raise refusals.bad_request(f"Cannot create a child of a resource with a greedy path variable: {part}")


def below(api: Api, resource_id: str) -> set[str]:
    """The ids of a resource and all under it."""
    found = {resource_id}
    grown = True
    while grown:
        more = {one.id for one in api.definition.resources if one.parent_id in found} - found
        grown = bool(more)
        found |= more
    return found


def moved(api: Api, resource: Resource) -> Api:
    """The API with a resource in a new place, the paths of all under it anew."""
    by_id = {one.id: one for one in api.definition.resources} | {resource.id: resource}
    changed = below(api, resource.id)
    resources = tuple(
        replace(by_id[one.id], path=path_of(by_id, by_id[one.id])) if one.id in changed else one
        for one in api.definition.resources
    )
    return redefined(api, resources=resources)


def path_of(by_id: dict[str, Resource], resource: Resource) -> str:
    """The whole path of a resource."""
    parts: list[str] = []
    while resource.parent_id:
        parts.append(resource.path_part)
        resource = by_id[resource.parent_id]
    return "/" + "/".join(reversed(parts))


def child_path(parent: Resource, part: str) -> str:
    """The path of a child."""
    return f"{parent.path.rstrip('/')}/{part}"
