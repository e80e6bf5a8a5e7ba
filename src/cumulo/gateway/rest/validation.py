"""Request validators: what must be there, and what a body must look like, before an integration is called."""

from collections.abc import Callable

from cumulo.gateway.definitions.rest import Method, RequestValidator
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.models import Models
from cumulo.gateway.rest.payloads import media_type
from cumulo.gateway.visit import Refused

Validate = Callable[[Call], None]
"""Refused BAD_REQUEST_PARAMETERS or BAD_REQUEST_BODY."""


def compile_validation(method: Method, validator: RequestValidator | None, models: Models) -> Validate | None:
    """The check that a method's validator asks for; None when it asks for nothing."""
    if validator is None:
        return None
    required = _required(method) if validator.validate_request_parameters else []
    check_body = validator.validate_request_body and bool(method.request_models)
    if not required and not check_body:
        return None

    def validate(call: Call) -> None:
        missing = [name for place, name in required if not _has(call, place, name)]
        if missing:
            told = f"Missing required request parameters: [{', '.join(missing)}]"
            raise Refused("BAD_REQUEST_PARAMETERS", told, fields={"validationErrorString": told})
        if check_body:
            _check_body(call, method, models)

    return validate


def _required(method: Method) -> list[tuple[str, str]]:
    """(place, name) of required parameters, in AWS's order: by their whole names."""
    names = sorted(name for name, needed in method.request_parameters.items() if needed)
    rows = (name.removeprefix("method.request.").partition(".") for name in names)
    return [(place, name) for place, _, name in rows]


def _has(call: Call, place: str, name: str) -> bool:
    if place == "header":
        return name.lower() in call.headers
    if place == "querystring":
        return name in call.query
    return place != "path" or name in call.path_parameters


def _check_body(call: Call, method: Method, models: Models) -> None:
    """By the model for the body's type; where there is none for it, a body of another type is not looked at."""
    names = method.request_models
    name = names.get(media_type(call.content_type)) or names.get("$default")
    if name is None:
        return
    wrong = models.check(name)(call.body)
    if wrong:
        raise Refused("BAD_REQUEST_BODY", fields={"validationErrorString": f"[{', '.join(wrong)}]"})
