"""The variables of access logs: where each is found in a visit, and which are worked out from others.  Pure.

$context.a.b       the nested context, as the pipelines filled it
another name       `integrationLatency` is `integration.latency`
worked out         `responseLatency`, `authorize.status`, ...: what nobody needs but logs
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from cumulo.gateway.visit import Visit

MISSING: Final = "-"


class Ended(NamedTuple):
    """A visit that is over: with what status, how many bytes went out and came in, and how long it took."""

    visit: Visit
    status: int
    sent_bytes: int
    received_bytes: int
    seconds: float


Variable = Callable[[Ended], Any]

# By what went wrong: nobody knew who it was, or they may not.
_UNKNOWN: Final = frozenset(
    {"UNAUTHORIZED", "EXPIRED_TOKEN", "INVALID_SIGNATURE", "MISSING_AUTHENTICATION_TOKEN"}
)
_FORBIDDEN: Final = frozenset({"ACCESS_DENIED"})

_OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "awsEndpointRequestId": ("integration", "requestId"),
    "awsEndpointRequestId2": ("integration", "requestId2"),
    "integrationErrorMessage": ("integration", "error"),
    "integrationLatency": ("integration", "latency"),
    "integrationStatus": ("integration", "integrationStatus"),
}


def text_of(name: str) -> Callable[[Ended], str]:
    """What gives a variable as logs show it."""
    if name in _WORKED_OUT or name in _OTHER_NAMES or "." in name:
        value_of = variable(name)
        return lambda ended: shown(value_of(ended))

    def text(ended: Ended) -> str:  # most are these, and the shortest way is worth a microsecond a line
        value = ended.visit.context.get(name)
        return value if type(value) is str and value else shown(value)

    return text


def variable(name: str) -> Variable:
    """What gives the value of a variable, by its name without `$context.`; None (the value) where there is none."""
    worked_out = _WORKED_OUT.get(name)
    if worked_out is not None:
        return worked_out
    path = _OTHER_NAMES.get(name) or tuple(name.split("."))
    if path[0] == "authorizer" and len(path) > 1:
        return _of_authorizer(path[1:])
    if len(path) == 1:
        key = path[0]
        return lambda ended: ended.visit.context.get(key)
    return lambda ended: _found(ended.visit.context, path)


def shown(value: Any) -> str:
    """A value as logs show it."""
    kind = type(value)
    if kind is str:
        return value or MISSING
    if kind is int:
        return str(value)
    if value is None:
        return MISSING
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return MISSING  # AWS has nothing for a map as a whole: `$context.authorizer.claims`
    if isinstance(value, list | tuple):
        return msgspec.json.encode(value).decode()
    return str(value)


def _found(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if type(value) is not dict and not isinstance(value, Mapping):  # the quick question first
            return None
        value = value.get(key)
    return value


def _of_authorizer(path: tuple[str, ...]) -> Variable:
    """Of the authorizer's context (of JWTs: their claims), else of what only logs tell of it."""
    whole = ("authorizer", *path)
    of_jwt = ("authorizer", "jwt", *path)

    def value(ended: Ended) -> Any:
        visit = ended.visit
        found = _found(visit.context, whole)
        if found is None and path[0] == "claims":
            return _found(visit.context, of_jwt)
        return _found(visit.facts, path) if found is None else found

    return value


def _error_of(ended: Ended) -> Mapping[str, Any]:
    found = ended.visit.context.get("error")
    return found if isinstance(found, Mapping) else {}


def _asked(ended: Ended) -> bool:
    """Whether anybody was asked about the caller."""
    context = ended.visit.context
    return bool(context.get("authorizer")) or bool(_found(context, ("identity", "userArn")))


def _status(refusals: frozenset[str], known: Callable[[Ended], bool]) -> Variable:
    def status(ended: Ended) -> Any:
        if _error_of(ended).get("responseType") in refusals:
            return ended.status
        return 200 if known(ended) else None

    return status


def _message(refusals: frozenset[str]) -> Variable:
    def message(ended: Ended) -> Any:
        error = _error_of(ended)
        return error.get("message") if error.get("responseType") in refusals else None

    return message


def _is_known(ended: Ended) -> bool:
    return bool(_found(ended.visit.context, ("identity", "userArn")))


def _is_allowed(ended: Ended) -> bool:
    return _asked(ended) and _error_of(ended).get("responseType") not in _UNKNOWN


def _base_path(ended: Ended) -> Any:
    address = ended.visit.address
    return (address.base_path or "(none)") if address.custom else None


_WORKED_OUT: Final[Mapping[str, Variable]] = {
    "authenticate.error": _message(_UNKNOWN),
    "authenticate.status": _status(_UNKNOWN, _is_known),
    "authorize.error": _message(_FORBIDDEN),
    "authorize.status": _status(_FORBIDDEN, _is_allowed),
    "customDomain.basePathMatched": _base_path,
    "dataProcessed": lambda ended: ended.received_bytes + ended.sent_bytes,
    "responseLatency": lambda ended: int(ended.seconds * 1000),
    "responseLength": lambda ended: ended.sent_bytes,
    "status": lambda ended: ended.status,
}
