"""What a cache keys its entries by, and when a client wants one renewed."""

from collections.abc import Mapping
from typing import Final

from cumulo.gateway.rest.call import Call

WARNING: Final = "199 Cache-control headers were ignored because the caller was unauthorized."


def key_of(
    call: Call, namespace: str, parameters: tuple[str, ...], mapped: Mapping[str, str]
) -> tuple[str, ...]:
    """What tells one entry from another: the method, and each of the cache key's parameters.

    parameters  method.request.(path|querystring|header).name, or integration.request... that `mapped` leads back
    """
    parts = [namespace, call.resource.path, call.visit.request.method]
    for parameter in parameters:
        source = mapped.get(parameter, parameter)
        place, _, name = source.removeprefix("method.request.").partition(".")
        parts.append(_value(call, place, name))
    return tuple(parts)


def _value(call: Call, place: str, name: str) -> str:
    if place == "path":
        return call.path_parameters.get(name, "\0")
    values = (
        call.headers.get(name.lower()) if place in {"header", "multivalueheader"} else call.query.get(name)
    )
    return "\0" if values is None else "\1".join(values)


def asks_for_fresh(call: Call) -> bool:
    """Whether a client wants its entry renewed: Cache-Control: max-age=0."""
    values = call.headers.get("cache-control")
    if not values:
        return False
    words = {word.strip().lower().replace(" ", "") for value in values for word in value.split(",")}
    return "max-age=0" in words
