"""What a method may be within its API.  Pure."""

from collections.abc import Iterable
from typing import Final

from cumulo.gateway.definitions.rest import Method
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.mappings import check_method_request
from cumulo.services.apigateway.model import Api

HTTP_METHODS: Final = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY")
_AUTHORIZATIONS: Final = ("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS")
_OF_AUTHORIZER: Final = {"CUSTOM": ("TOKEN", "REQUEST"), "COGNITO_USER_POOLS": ("COGNITO_USER_POOLS",)}
_AUTHORIZER: Final = (
    "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid "
    "authorizer."
)


def check_http_method(name: str) -> str:
    """The method's name.  BadRequestException."""
    if name not in HTTP_METHODS:
        raise refusals.bad_request(
            f"Invalid HttpMethod specified. Valid options are {','.join(HTTP_METHODS)}"
        )
    return name


def checked(api: Api, method: Method) -> Method:
    """The method as it is kept: an authorizer only where one is asked.  BadRequestException."""
    check_http_method(method.http_method)
    check_method_request(method.request_parameters)
    _check_authorization(api, method)
    validator = method.request_validator_id
    if validator and validator not in api.definition.request_validators:
        raise refusals.bad_request("Invalid Request Validator identifier specified")
    check_models(api, method.request_models.values())
    if method.authorization_type not in _OF_AUTHORIZER:
        return replace(method, authorizer_id="")
    return method


def check_models(api: Api, names: Iterable[str]) -> None:
    """BadRequestException for the name of no model."""
    for name in names:
        if name not in api.definition.models:
            raise refusals.bad_request(f"Invalid model identifier specified: {name}")


def _check_authorization(api: Api, method: Method) -> None:
    if method.authorization_type not in _AUTHORIZATIONS:
        raise refusals.bad_request(
            f"Invalid AuthorizationType specified. Valid options are {','.join(_AUTHORIZATIONS)}"
        )
    kinds = _OF_AUTHORIZER.get(method.authorization_type)
    if kinds is not None:
        authorizer = api.definition.authorizers.get(method.authorizer_id)
        if authorizer is None or authorizer.type not in kinds:
            raise refusals.bad_request(_AUTHORIZER)
