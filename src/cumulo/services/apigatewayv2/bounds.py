"""How long names and texts may be: AWS's model says it in the names of its shapes alone."""

from collections.abc import Mapping
from typing import Final

from cumulo.services.apigatewayv2.refusals import bad
from cumulo.wire.service import Values

_LONGEST: Final[Mapping[str, int]] = {
    "AuthorizerPayloadFormatVersion": 64,
    "AuthorizerUri": 2048,
    "ConnectionId": 1024,
    "ContentType": 256,
    "Description": 1024,
    "Format": 3072,
    "IdentityValidationExpression": 1024,
    "IntegrationMethod": 64,
    "IntegrationResponseKey": 512,
    "IntegrationSubtype": 128,
    "IntegrationUri": 2048,
    "Issuer": 2048,
    "Name": 128,
    "OperationName": 64,
    "PayloadFormatVersion": 64,
    "RouteKey": 1024,
    "Schema": 32_768,
    "ServerNameToVerify": 512,
    "StageName": 128,
    "Target": 2048,
    "Version": 64,
}
_LONGEST_VALUES: Final[Mapping[str, int]] = {
    "RequestModels": 128,
    "RequestParameters": 512,
    "RequestTemplates": 32_768,
    "ResponseModels": 128,
    "ResponseTemplates": 32_768,
    "StageVariables": 2048,
}
ENTRIES_MAX: Final = 300
_ENTRIES_MAX: Final[Mapping[str, int]] = {"StageVariables": 100, "Tags": 50}


def check(values: Values) -> Values:
    """The same values.  BadRequestException for one that is too long, and for too many of them."""
    for name, value in values.items():
        if isinstance(value, str):
            _short(name, value, _LONGEST.get(name, 2048 if name != "Body" else 0))
        elif isinstance(value, dict):
            if name in {"CorsConfiguration", "JwtConfiguration", "AccessLogSettings", "TlsConfig"}:
                check(value)
            else:
                _few(name, len(value))
                _check_values(name, value)
        elif isinstance(value, list):
            _few(name, len(value))
    return values


def _check_values(name: str, value: Mapping[str, object]) -> None:
    longest = _LONGEST_VALUES.get(name, 2048)
    for key, text in value.items():
        _short(f"{name} key", key, 512)
        if isinstance(text, str):
            _short(name, text, longest)


def _short(name: str, text: str, longest: int) -> None:
    if longest and len(text) > longest:
        raise bad(f"{name} must have length less than or equal to {longest}")


def _few(name: str, count: int) -> None:
    most = _ENTRIES_MAX.get(name, ENTRIES_MAX)
    if count > most:
        raise bad(f"{name} must have at most {most} entries")
