"""What a REST API as a whole may be.  Pure."""

import json
from typing import Any

from cumulo.base.arn import partition_of
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.model import Api
from cumulo.services.apigateway.quotas import COMPRESSION_BYTES_MAX, POLICY_CHARACTERS_MAX

_COMPRESSION = f"Invalid minimum compression size, must be between 0 and {COMPRESSION_BYTES_MAX}"
ENDPOINT_TYPES = ("REGIONAL", "EDGE", "PRIVATE")
_POLICY = "Invalid policy document. Please check the policy syntax and ensure that Principals are valid."


def one_type(types: tuple[str, ...]) -> str:
    """The endpoint type.  BadRequestException for none or several."""
    if not types:
        raise refusals.bad_request("REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.")
    if len(types) > 1:
        raise refusals.bad_request("Cannot create an api with multiple Endpoint Types.")
    return types[0]


def check_addresses(endpoint_type: str, ip_address_type: str, vpc_endpoint_ids: tuple[str, ...]) -> None:
    """BadRequestException for an address type or VPC endpoints that the endpoint type does not have."""
    if endpoint_type == "PRIVATE" and ip_address_type == "ipv4":
        raise refusals.bad_request("Only dualstack ipAddressType is supported for Private APIs.")
    if vpc_endpoint_ids and endpoint_type != "PRIVATE":
        raise refusals.bad_request("VPCEndpoints can only be specified with PRIVATE apis.")


def compression_size(size: int | None) -> int | None:
    """The size.  BadRequestException outside of AWS's range."""
    if size is not None and not 0 <= size <= COMPRESSION_BYTES_MAX:
        raise refusals.bad_request(_COMPRESSION)
    return size


def compression_of(text: str) -> int | None:
    """The size in a patch; an empty one turns compression off."""
    if not text:
        return None
    try:
        return compression_size(int(text))
    except ValueError:
        raise refusals.bad_request(_COMPRESSION) from None


def policy_of(text: str, account: str, region: str, api_id: str) -> str:
    """A resource policy as it is kept: short forms (`execute-api:/*`) written out.  BadRequestException when it is none."""
    if not text:
        return ""
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        raise refusals.bad_request(_POLICY) from None
    if not isinstance(policy, dict) or not isinstance(policy.get("Statement"), dict | list):
        raise refusals.bad_request(_POLICY)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    arn = f"arn:{partition_of(region)}:execute-api:{region}:{account}:{api_id}"
    for statement in statements:
        _check_statement(statement)
        for name in ("Resource", "NotResource"):
            if name in statement:
                statement[name] = _written_out(statement[name], arn)
    kept = json.dumps(policy, separators=(",", ":"))
    if len(kept) > POLICY_CHARACTERS_MAX:
        raise refusals.bad_request(
            f"Invalid policy document. The policy exceeds the limit of {POLICY_CHARACTERS_MAX} characters."
        )
    return kept


def check_name(name: str) -> str:
    """The name of an API.  BadRequestException for an empty one."""
    if not name.strip():
        raise refusals.bad_request("API name cannot be empty")
    return name


def endpoint_types_of(text: str) -> tuple[str, ...]:
    """The endpoint type in a patch."""
    if text not in ENDPOINT_TYPES:
        raise refusals.bad_request("Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE")
    return (text,)


def choice(thing: str, *options: str) -> Any:
    """Reads one of the options in a patch, or BadRequestException."""

    def read(text: str) -> str:
        if text not in options:
            raise refusals.bad_request(f"Invalid {thing} specified. Valid options are {','.join(options)}")
        return text

    return read


def settled(before: Api, after: Api) -> Api:
    """A patched API, with what follows from its endpoint type.  BadRequestException."""
    endpoint_type = one_type(after.definition.endpoint_types)
    if before.definition.endpoint_types != after.definition.endpoint_types and endpoint_type == "PRIVATE":
        after = replace(after, ip_address_type="dualstack")
    check_addresses(endpoint_type, after.ip_address_type, after.vpc_endpoint_ids)
    return after


def _check_statement(statement: Any) -> None:
    if (
        not isinstance(statement, dict)
        or statement.get("Effect") not in ("Allow", "Deny")
        or not ({"Principal", "NotPrincipal"} & statement.keys())
        or not ({"Action", "NotAction"} & statement.keys())
    ):
        raise refusals.bad_request(_POLICY)


def _written_out(resource: Any, arn: str) -> Any:
    if isinstance(resource, list):
        return [_written_out(one, arn) for one in resource]
    if isinstance(resource, str) and resource.startswith("execute-api:/"):
        return arn + resource.removeprefix("execute-api:")
    return resource
