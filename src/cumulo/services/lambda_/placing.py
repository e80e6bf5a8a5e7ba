"""Which network a function's subnets belong to: EC2 knows it, AWS shows it, nothing here acts on it."""

from typing import Any

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.networks import Networks
from cumulo.services.lambda_ import errors
from cumulo.wire.service import Values


async def network_of(networks: Networks | None, caller: Caller, values: Values) -> str:
    """The network that a request's VpcConfig means; InvalidParameterValueException for unknown subnets."""
    subnets = (values.get("VpcConfig") or {}).get("SubnetIds") or []
    if networks is None or not subnets:
        return ""
    try:
        return await networks.network_of(caller, subnets)
    except AwsError as error:
        raise errors.invalid(
            f"Error occurred while DescribeSubnets. EC2 Error Code: {error.code}."
            f" EC2 Error Message: {error.message}"
        ) from error


def placed(fields: dict[str, Any], values: Values, network: str) -> dict[str, Any]:
    """The fields with the network in the VpcConfig that the request has set."""
    extra = fields.get("extra", {})
    if "VpcConfig" not in values or "VpcConfig" not in extra:
        return fields
    return fields | {"extra": extra | {"VpcConfig": extra["VpcConfig"] | {"VpcId": network}}}
